#include "sim/base/decimal.h"
#include "sim/base/units.h"

#include <math.h>

typedef struct scale {
    const char *name;
    double size; /* in the unit of the value */
} scale;

/* Three significant digits: "1.28", "24.7", "312". */
static char *
format_digits(double value, const char *unit)
{
    char number[48];
    double size = fabs(value);
    const char *format = size >= 99.95 ? "%.0f" : size >= 9.995 ? "%.1f" : "%.2f";
    g_ascii_formatd(number, sizeof number, format, value);
    return g_strconcat(number, *unit ? " " : "", unit, NULL);
}

/* The largest scale in which the value, as it will be rounded, is at least 1. */
static char *
format_scaled(double value, const scale *scales, size_t n)
{
    size_t i = n - 1;
    while (i > 0 && fabs(value) < scales[i].size * 0.9995)
        i--;
    if (i == 0 && value == floor(value) && fabs(value) < 1e15)
        return g_strdup_printf("%lld%s%s", (long long)value, *scales[0].name ? " " : "",
                               scales[0].name);
    return format_digits(value / scales[i].size, scales[i].name);
}

char *
moe_format_bytes(int64_t bytes)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t i = 0;
    if (bytes > -1024 && bytes < 1024)
        return g_strdup_printf("%lld B", (long long)bytes);
    for (; i + 1 < MOE_COUNT(names) && fabs(value) >= 1023.95; i++)
        value /= 1024;
    char number[48];
    g_ascii_formatd(number, sizeof number, "%.1f", value);
    return g_strconcat(number, " ", names[i], NULL);
}

char *
moe_format_time(int64_t ps)
{
    static const scale scales[] = {{"ps", 1},   {"ns", 1e3},   {"us", 1e6},  {"ms", 1e9},
                                   {"s", 1e12}, {"min", 6e14}, {"h", 7.2e15}};
    /* Minutes from ten, hours from two on: below, smaller units read better. */
    double size = fabs((double)ps);
    if (ps == 0)
        return g_strdup("0 s");
    if (size >= scales[6].size)
        return format_digits((double)ps / 3.6e15, "h");
    if (size >= scales[5].size)
        return format_digits((double)ps / 6e13, "min");
    return format_scaled((double)ps, scales, 5);
}

char *
moe_format_rate(double bytes_per_s)
{
    static const scale scales[] = {{"B/s", 1},    {"kB/s", 1e3},  {"MB/s", 1e6},
                                   {"GB/s", 1e9}, {"TB/s", 1e12}, {"PB/s", 1e15}};
    return format_scaled(bytes_per_s, scales, MOE_COUNT(scales));
}

char *
moe_format_energy(double joules)
{
    static const scale scales[] = {{"uJ", 1}, {"mJ", 1e3}, {"J", 1e6}, {"kJ", 1e9}, {"MJ", 1e12}};
    return joules == 0 ? g_strdup("0 J") : format_scaled(joules * 1e6, scales, MOE_COUNT(scales));
}

char *
moe_format_count(double value)
{
    static const scale scales[] = {{"", 1}, {"K", 1e3}, {"M", 1e6}, {"B", 1e9}, {"T", 1e12}};
    return format_scaled(value, scales, MOE_COUNT(scales));
}

char *
moe_format_real(char *buffer, double value)
{
    static const char *const formats[] = {"%.15g", "%.16g", "%.17g"};
    for (size_t i = 0; i < MOE_COUNT(formats); i++) {
        g_ascii_formatd(buffer, 32, formats[i], value);
        if (g_ascii_strtod(buffer, NULL) == value)
            break;
    }
    return buffer;
}

char *
moe_format_amount(moe_amount amount)
{
    if (amount.kind == MOE_AMOUNT_REST)
        return g_strdup("rest");
    if (amount.kind == MOE_AMOUNT_SLOTS)
        return g_strdup_printf("%lld slot%s", (long long)amount.count,
                               amount.count == 1 ? "" : "s");
    if (amount.kind == MOE_AMOUNT_BYTES)
        return moe_format_bytes(amount.count);
    moe_decimal share = moe_decimal_of(amount.share);
    char number[64];
    if (amount.share > 0 && amount.share < 1e-6)
        return g_strconcat(moe_format_real(number, amount.share), NULL);
    return g_strconcat(moe_decimal_plain(number, &share, 2), "%", NULL);
}
