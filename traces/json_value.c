/* Numbers with a fraction, and values that are only to be passed over. */
#include "traces/json_scan.h"

#include <string.h>

#define VALUE_MAX_DEPTH 64

static inline bool
value_digit(const moe_scan *scan)
{
    return scan->at < scan->end && (unsigned char)(*scan->at - '0') <= 9;
}

char
moe_scan_peek(moe_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
    return scan->at < scan->end && !scan->why ? *scan->at : '\0';
}

/* A number that is too long for the quick way. */
static double
value_slow(const char *first, const char *end)
{
    g_autofree char *text = g_strndup(first, (gsize)(end - first));
    return g_ascii_strtod(text, NULL);
}

bool
moe_scan_real(moe_scan *scan, double *out)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    if (moe_scan_peek(scan) == '\0')
        return moe_scan_fail(scan, "wants a number");
    const char *first = scan->at;
    bool negative = *first == '-', exponent = false;
    uint64_t digits = 0;
    unsigned decimals = 0;
    scan->at += negative;
    const char *whole = scan->at;
    for (; value_digit(scan); scan->at++)
        digits = digits * 10 + (unsigned char)(*scan->at - '0');
    unsigned n = (unsigned)(scan->at - whole);
    if (n == 0 || (*whole == '0' && n > 1))
        return moe_scan_fail(scan, n ? "number with leading zeros" : "wants a number");
    if (scan->at < scan->end && *scan->at == '.') {
        for (scan->at++; value_digit(scan); scan->at++, decimals++)
            digits = digits * 10 + (unsigned char)(*scan->at - '0');
        if (decimals == 0)
            return moe_scan_fail(scan, "wants a digit behind the point");
    }
    if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
        exponent = true;
        scan->at++;
        scan->at += scan->at < scan->end && (*scan->at == '+' || *scan->at == '-');
        if (!value_digit(scan))
            return moe_scan_fail(scan, "wants a digit in the exponent");
        while (value_digit(scan))
            scan->at++;
    }
    if (exponent || n + decimals > 15) {
        *out = value_slow(first, scan->at);
        return true;
    }
    double value = (double)digits / powers[decimals];
    *out = negative ? -value : value;
    return true;
}

static bool
value_word(moe_scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < MOE_COUNT(words); i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(scan->end - scan->at) >= n && memcmp(scan->at, words[i], n) == 0) {
            scan->at += n;
            return true;
        }
    }
    return moe_scan_fail(scan, "wants a value");
}

static bool
value_key(moe_scan *scan)
{
    return moe_scan_text(scan) && moe_scan_take(scan, ':');
}

bool
moe_scan_skip(moe_scan *scan)
{
    uint64_t objects = 0; /* a bit for each open value: an object, no list */
    unsigned depth = 0;
    double number;
    do {
        char c = moe_scan_peek(scan);
        bool open = c == '{' || c == '[';
        if (open) {
            if (depth == VALUE_MAX_DEPTH)
                return moe_scan_fail(scan, "values in one another, too deep");
            objects = (objects & ~(UINT64_C(1) << depth)) | (uint64_t)(c == '{') << depth;
            scan->at++;
            if (!moe_scan_maybe(scan, c == '{' ? '}' : ']')) {
                depth++;
                if (c == '{' && !value_key(scan))
                    return false;
                continue;
            }
        } else if (c == '"'                             ? !moe_scan_text(scan)
                   : c == '-' || (c >= '0' && c <= '9') ? !moe_scan_real(scan, &number)
                                                        : !value_word(scan)) {
            return false;
        }
        while (depth && !moe_scan_maybe(scan, ','))
            if (!moe_scan_take(scan, objects >> --depth & 1 ? '}' : ']'))
                return false;
        if (depth && (objects >> (depth - 1) & 1) && !value_key(scan))
            return false;
    } while (depth);
    return true;
}
