#include "traces/requests/timestamp.h"

#include "sim/base/decimal.h"

#include <stdio.h>

/* Exactly n digits at *at, which moves behind them; -1 when they are not there. */
static int
timestamp_digits(const char **at, int n)
{
    int value = 0;
    const char *p = *at;
    for (; n > 0; n--, p++) {
        unsigned digit = (unsigned char)(*p - '0');
        if (digit > 9)
            return -1;
        value = value * 10 + (int)digit;
    }
    *at = p;
    return value;
}

/* Days from 1970-01-01: years are counted from March, so that the leap day comes last. */
static int64_t
timestamp_days(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static int
timestamp_month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* "YYYY-MM-DD" */
static bool
timestamp_date(const char **at, int64_t *days)
{
    int year = timestamp_digits(at, 4);
    if (year < 1950 || year > 2200 || *(*at)++ != '-')
        return false;
    int month = timestamp_digits(at, 2);
    if (month < 1 || month > 12 || *(*at)++ != '-')
        return false;
    int day = timestamp_digits(at, 2);
    if (day < 1 || day > timestamp_month_days(year, month))
        return false;
    *days = timestamp_days(year, month, day);
    return true;
}

/* "HH:MM:SS" */
static bool
timestamp_clock(const char **at, int64_t *seconds)
{
    int hour = timestamp_digits(at, 2);
    if (hour < 0 || hour > 23 || *(*at)++ != ':')
        return false;
    int minute = timestamp_digits(at, 2);
    if (minute < 0 || minute > 59 || *(*at)++ != ':')
        return false;
    int second = timestamp_digits(at, 2);
    if (second < 0 || second > 59)
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    return true;
}

/* Decimals behind a point, as nanoseconds. */
static bool
timestamp_fraction(const char **at, int64_t *ns)
{
    const char *p = *at;
    int64_t value = 0;
    int n = 0;
    for (; (unsigned char)(*p - '0') <= 9; p++, n++) {
        if (n < 9)
            value = value * 10 + (*p - '0');
        if (n == 9)
            value += *p >= '5';
    }
    for (int i = n; i < 9; i++)
        value *= 10;
    *at = p;
    *ns = value;
    return n > 0;
}

/* "Z", "+01:00" or nothing. */
static bool
timestamp_zone(const char **at, int64_t *seconds)
{
    const char *p = *at;
    *seconds = 0;
    if (*p == 'Z')
        ++*at;
    if (*p != '+' && *p != '-')
        return true;
    int sign = *p++ == '-' ? -1 : 1;
    int hours = timestamp_digits(&p, 2);
    if (hours < 0 || hours > 23 || *p++ != ':')
        return false;
    int minutes = timestamp_digits(&p, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    *at = p;
    return true;
}

const char *
moe_timestamp_read(const char *text, int64_t *ns)
{
    const char *at = text;
    int64_t days, seconds, fraction = 0, zone;
    if (!timestamp_date(&at, &days) || (*at != ' ' && *at != 'T'))
        return NULL;
    at++;
    if (!timestamp_clock(&at, &seconds))
        return NULL;
    if (*at == '.') {
        at++;
        if (!timestamp_fraction(&at, &fraction))
            return NULL;
    }
    if (!timestamp_zone(&at, &zone))
        return NULL;
    *ns = (days * 86400 + seconds - zone) * MOE_NS_PER_S + fraction;
    return at;
}

char *
moe_timestamp_write(char *buffer, int64_t ns)
{
    int64_t seconds = ns / MOE_NS_PER_S, fraction = ns % MOE_NS_PER_S;
    if (fraction < 0) {
        seconds--;
        fraction += MOE_NS_PER_S;
    }
    int64_t days = seconds / 86400, clock = seconds % 86400;
    if (clock < 0) {
        days--;
        clock += 86400;
    }
    int64_t shifted = days + 719468; /* from 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day = shifted - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    int64_t month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5 - 1;
    month += month < 10 ? 3 : -9;
    year += era * 400 + (month <= 2);
    snprintf(buffer, MOE_TIMESTAMP_SIZE, "%04d-%02d-%02d %02d:%02d:%02d.%09d", (int)year,
             (int)month, (int)day, (int)(clock / 3600), (int)(clock / 60 % 60), (int)(clock % 60),
             (int)fraction);
    return buffer;
}

const char *
moe_duration_read(const char *text, int64_t unit_ns, int64_t *ns)
{
    moe_decimal decimal;
    const char *rest = moe_decimal_read(text, &decimal);
    return rest && moe_decimal_scale(&decimal, unit_ns, ns) ? rest : NULL;
}
