#include "traces/json_scan.h"

#include <string.h>

bool
moe_scan_fail(moe_scan *scan, const char *why)
{
    if (!scan->why)
        scan->why = why;
    return false;
}

static void
scan_space(moe_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
}

bool
moe_scan_maybe(moe_scan *scan, char c)
{
    if (scan->why)
        return false;
    scan_space(scan);
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static const char *
scan_wanted(char c)
{
    static const struct {
        char c;
        const char *why;
    } wanted[] = {
        {'{', "wants '{'"}, {'}', "wants ',' or '}'"}, {'[', "wants '['"},
        {':', "wants ':'"}, {']', "wants ',' or ']'"}, {',', "wants ','"},
    };
    for (size_t i = 0; i < MOE_COUNT(wanted); i++)
        if (wanted[i].c == c)
            return wanted[i].why;
    return "wants another character";
}

bool
moe_scan_take(moe_scan *scan, char c)
{
    return moe_scan_maybe(scan, c) || moe_scan_fail(scan, scan_wanted(c));
}

bool
moe_scan_end(moe_scan *scan)
{
    if (scan->why)
        return false;
    scan_space(scan);
    return scan->at == scan->end || moe_scan_fail(scan, "wants nothing more");
}

bool
moe_scan_whole(moe_scan *scan, uint64_t *out)
{
    if (scan->why)
        return false;
    scan_space(scan);
    const char *first = scan->at;
    uint64_t value = 0;
    for (; scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9'; scan->at++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*scan->at - '0'), &value))
            return moe_scan_fail(scan, "number above 2^64 - 1");
    }
    if (scan->at == first)
        return moe_scan_fail(scan, "wants a whole number");
    if (*first == '0' && scan->at - first > 1)
        return moe_scan_fail(scan, "number with leading zeros");
    if (scan->at < scan->end && strchr(".eE+-", *scan->at) && *scan->at != '\0')
        return moe_scan_fail(scan, "wants a whole number, not a fraction or an exponent");
    *out = value;
    return true;
}

/* Four hexadecimal digits at `at`; -1 when they are not. */
static int
scan_hex4(const moe_scan *scan, const char *at)
{
    int value = 0;
    if (scan->end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static void
scan_put_utf8(moe_scan *scan, uint32_t code)
{
    if (code < 0x80) {
        *scan->store++ = (char)code;
        return;
    }
    if (code < 0x800) {
        *scan->store++ = (char)(0xC0 | code >> 6);
        *scan->store++ = (char)(0x80 | (code & 0x3F));
        return;
    }
    if (code < 0x10000) {
        *scan->store++ = (char)(0xE0 | code >> 12);
    } else {
        *scan->store++ = (char)(0xF0 | code >> 18);
        *scan->store++ = (char)(0x80 | (code >> 12 & 0x3F));
    }
    *scan->store++ = (char)(0x80 | (code >> 6 & 0x3F));
    *scan->store++ = (char)(0x80 | (code & 0x3F));
}

/* The escape \uXXXX or a pair of them; `at` stands on the first digit. Never longer decoded than
 * written. */
static bool
scan_unicode(moe_scan *scan)
{
    int code = scan_hex4(scan, scan->at);
    if (code < 0)
        return moe_scan_fail(scan, "wants four hexadecimal digits after \\u");
    if (code == 0)
        return moe_scan_fail(scan, "NUL in a text");
    scan->at += 4;
    if (code < 0xD800 || code > 0xDFFF) {
        scan_put_utf8(scan, (uint32_t)code);
        return true;
    }
    int low = -1;
    if (code < 0xDC00 && scan->end - scan->at >= 6 && scan->at[0] == '\\' && scan->at[1] == 'u')
        low = scan_hex4(scan, scan->at + 2);
    if (low < 0xDC00 || low > 0xDFFF)
        return moe_scan_fail(scan, "half a surrogate pair");
    scan->at += 6;
    scan_put_utf8(scan, 0x10000u + ((uint32_t)(code - 0xD800) << 10) + (uint32_t)(low - 0xDC00));
    return true;
}

static bool
scan_escape(moe_scan *scan)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (scan->at == scan->end)
        return moe_scan_fail(scan, "text without an end");
    char c = *scan->at++;
    if (c == 'u')
        return scan_unicode(scan);
    const char *found = c ? strchr(from, c) : NULL;
    if (!found)
        return moe_scan_fail(scan, "unknown escape in a text");
    *scan->store++ = to[found - from];
    return true;
}

const char *
moe_scan_text(moe_scan *scan)
{
    if (!moe_scan_maybe(scan, '"')) {
        moe_scan_fail(scan, "wants a text in double quotes");
        return NULL;
    }
    const char *text = scan->store;
    while (scan->at < scan->end && *scan->at != '"') {
        unsigned char c = (unsigned char)*scan->at;
        if (c < 0x20) {
            moe_scan_fail(scan, "control character in a text");
            return NULL;
        }
        scan->at++;
        if (c != '\\')
            *scan->store++ = (char)c;
        else if (!scan_escape(scan))
            return NULL;
    }
    if (scan->at == scan->end) {
        moe_scan_fail(scan, "text without an end");
        return NULL;
    }
    scan->at++;
    *scan->store++ = '\0';
    return text;
}

bool
moe_scan_texts(moe_scan *scan, const char **texts, uint32_t max, uint32_t *n)
{
    *n = 0;
    if (!moe_scan_take(scan, '['))
        return false;
    if (moe_scan_maybe(scan, ']'))
        return true;
    do {
        if (*n == max)
            return moe_scan_fail(scan, "too many texts");
        texts[*n] = moe_scan_text(scan);
        if (!texts[*n])
            return false;
        ++*n;
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, ']');
}

void
moe_json_put_text(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            g_string_append_printf(out, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            g_string_append_printf(out, "\\u%04x", (unsigned char)*c);
        else
            g_string_append_c(out, *c);
    }
    g_string_append_c(out, '"');
}
