#include "sim/base/decimal.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DECIMAL_DIGITS = 20, DECIMAL_EXPONENT = 100000 };

static const char *
decimal_exponent(const char *text, int *exponent)
{
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    if (!g_ascii_isdigit(*text))
        return NULL;
    int value = 0;
    for (; g_ascii_isdigit(*text); text++)
        value = MIN(value * 10 + (*text - '0'), DECIMAL_EXPONENT);
    *exponent = negative ? -value : value;
    return text;
}

static void
decimal_digit(moe_decimal *out, char digit)
{
    if (out->n_digits < DECIMAL_DIGITS && (digit != '0' || out->n_digits > 0))
        out->digits[out->n_digits++] = digit;
}

/* Zeros at the end carry nothing: 100 and 1e2 become the same. */
static void
decimal_trim(moe_decimal *out)
{
    while (out->n_digits > 0 && out->digits[out->n_digits - 1] == '0')
        out->n_digits--;
    out->digits[out->n_digits] = '\0';
    if (out->n_digits == 0)
        out->exponent = 0;
}

/* An 'e' that no exponent follows belongs to the unit. */
static const char *
decimal_tail(const char *at, moe_decimal *out)
{
    int exponent = 0;
    const char *end = *at == 'e' || *at == 'E' ? decimal_exponent(at + 1, &exponent) : NULL;
    if (end) {
        out->whole = false;
        out->exponent += exponent;
    }
    decimal_trim(out);
    return end ? end : at;
}

const char *
moe_decimal_read(const char *text, moe_decimal *out)
{
    memset(out, 0, sizeof *out);
    out->negative = *text == '-';
    out->whole = true;
    const char *at = *text == '-' || *text == '+' ? text + 1 : text;
    if (!g_ascii_isdigit(*at) || (*at == '0' && g_ascii_isdigit(at[1])))
        return NULL;
    for (; g_ascii_isdigit(*at); at++) {
        decimal_digit(out, *at);
        out->exponent = MIN(out->exponent + (out->n_digits > 0), DECIMAL_EXPONENT);
    }
    if (*at != '.')
        return decimal_tail(at, out);
    if (!g_ascii_isdigit(*++at))
        return NULL;
    out->whole = false;
    for (; g_ascii_isdigit(*at); at++) {
        decimal_digit(out, *at);
        out->exponent = MAX(out->exponent - (out->n_digits == 0), -DECIMAL_EXPONENT);
    }
    return decimal_tail(at, out);
}

bool
moe_decimal_scale(const moe_decimal *decimal, int64_t numerator, int64_t *out)
{
    unsigned __int128 value = 0;
    int power = decimal->exponent - decimal->n_digits; /* of the last digit */
    for (int i = 0; i < decimal->n_digits; i++)
        value = value * 10 + (unsigned)(decimal->digits[i] - '0');
    moe_assert(numerator >= 1 && numerator < (int64_t)1 << 60, "unit of %lld",
               (long long)numerator);
    value *= (uint64_t)numerator; /* 20 digits are below 2^67 */
    for (; power > 0 && value > 0 && value <= INT64_MAX; power--)
        value *= 10;
    if (power > 0 && value > 0)
        return false;
    unsigned rest = 0; /* the digit that was cut off last */
    for (; power < 0 && value > 0; power++) {
        rest = (unsigned)(value % 10);
        value /= 10;
    }
    if (power < 0)
        rest = 0;
    value += rest >= 5;
    if (value > (unsigned __int128)INT64_MAX + decimal->negative)
        return false;
    *out = decimal->negative ? (int64_t)(0 - (uint64_t)value) : (int64_t)value;
    return true;
}

bool
moe_decimal_real(const moe_decimal *decimal, int shift, double *out)
{
    char text[64];
    g_snprintf(text, sizeof text, "%s0.%se%d", decimal->negative && decimal->n_digits ? "-" : "",
               decimal->n_digits ? decimal->digits : "0", decimal->exponent + shift);
    double value = g_ascii_strtod(text, NULL);
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

moe_decimal
moe_decimal_of(double value)
{
    moe_decimal decimal;
    char text[32];
    for (int precision = 14; precision <= 16; precision++) {
        char format[8] = "%.14e";
        format[3] = (char)('0' + precision - 10);
        g_ascii_formatd(text, sizeof text, format, value);
        if (g_ascii_strtod(text, NULL) == value)
            break;
    }
    if (!moe_decimal_read(text, &decimal))
        memset(&decimal, 0, sizeof decimal);
    return decimal;
}

char *
moe_decimal_plain(char *buffer, const moe_decimal *decimal, int shift)
{
    int point = decimal->exponent + shift; /* digits before the point */
    char *at = buffer;
    if (decimal->negative && decimal->n_digits)
        *at++ = '-';
    if (point <= 0 || decimal->n_digits == 0)
        *at++ = '0';
    for (int i = 0; decimal->n_digits && i < point; i++)
        *at++ = i < decimal->n_digits ? decimal->digits[i] : '0';
    if (point < decimal->n_digits) {
        *at++ = '.';
        for (int i = point; i < decimal->n_digits; i++)
            *at++ = i < 0 ? '0' : decimal->digits[i];
    }
    *at = '\0';
    return buffer;
}
