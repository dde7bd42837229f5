#include "traces/import/base64.h"

/* The six bits of a character; 64: none. */
static const uint8_t base64_values[128] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62,
    64, 64, 64, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64, 64, 0,
    1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 64, 64, 64, 64, 64, 64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
    39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
};

static inline unsigned
base64_value(unsigned char c)
{
    return c < 128 ? base64_values[c] : 64;
}

const char *
moe_base64_decode(char *text, size_t n, size_t *n_out)
{
    const unsigned char *in = (const unsigned char *)text;
    unsigned char *out = (unsigned char *)text;
    size_t pad = 0;
    if (n % 4)
        return "base64 whose length is no multiple of 4 (cut short?)";
    while (pad < 2 && pad < n && in[n - 1 - pad] == '=')
        pad++;
    size_t whole = n - pad, i = 0;
    for (; i + 4 <= whole; i += 4) {
        unsigned a = base64_value(in[i]), b = base64_value(in[i + 1]);
        unsigned c = base64_value(in[i + 2]), d = base64_value(in[i + 3]);
        if ((a | b | c | d) > 63)
            return "no base64: it holds a character that base64 does not have";
        *out++ = (unsigned char)(a << 2 | b >> 4);
        *out++ = (unsigned char)(b << 4 | c >> 2);
        *out++ = (unsigned char)(c << 6 | d);
    }
    unsigned bits = 0;
    for (; i < whole; i++) {
        unsigned value = base64_value(in[i]);
        if (value > 63)
            return "no base64: it holds a character that base64 does not have";
        bits = bits << 6 | value;
    }
    if (pad == 1) {
        *out++ = (unsigned char)(bits >> 10);
        *out++ = (unsigned char)(bits >> 2);
    } else if (pad == 2) {
        *out++ = (unsigned char)(bits >> 4);
    }
    if ((pad == 1 && bits & 3) || (pad == 2 && bits & 15))
        return "base64 with bits behind its end (cut short?)";
    *n_out = (size_t)(out - (unsigned char *)text);
    return NULL;
}
