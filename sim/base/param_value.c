#include "sim/base/decimal.h"
#include "sim/base/param_internal.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name, *wants;
    size_t size;
} value_types[] = {
    [MOE_PARAM_BOOL] = {"true or false", "true or false", sizeof(bool)},
    [MOE_PARAM_INT] = {"whole number", "a whole number", sizeof(int64_t)},
    [MOE_PARAM_REAL] = {"number", "a number", sizeof(double)},
    [MOE_PARAM_SHARE] = {"share", "a share such as 25%", sizeof(double)},
    [MOE_PARAM_BYTES] = {"size", "a size such as 24GiB", sizeof(int64_t)},
    [MOE_PARAM_TIME] = {"time", "a time such as 12us", sizeof(int64_t)},
    [MOE_PARAM_RATE] = {"rate", "a rate such as 3.35TB/s", sizeof(double)},
    [MOE_PARAM_FLOPS] = {"compute rate", "a compute rate such as 312TFLOPS", sizeof(double)},
    [MOE_PARAM_POWER] = {"power", "a power such as 450W", sizeof(double)},
    [MOE_PARAM_BIT_ENERGY] = {"energy per bit", "an energy such as 3.9pJ/bit, or 'unknown'",
                              sizeof(double)},
    [MOE_PARAM_FLOP_ENERGY] = {"energy per FLOP", "an energy such as 0.5pJ/FLOP, or 'unknown'",
                               sizeof(double)},
    [MOE_PARAM_AMOUNT] = {"amount", "a size such as 24GiB, or a share such as 25%",
                          sizeof(moe_amount)},
    [MOE_PARAM_COUNT] = {"count", "a whole number or 'all'", sizeof(int64_t)},
    [MOE_PARAM_ENUM] = {"name", "a name", sizeof(int)},
    [MOE_PARAM_TEXT] = {"text", "a text", sizeof(const char *)},
    [MOE_PARAM_CHOICE] = {"choice", "a name, or a map with 'kind'", sizeof(moe_choice)},
    [MOE_PARAM_LIST] = {"list", "a list of maps", sizeof(moe_list)},
};

const char *
moe_param_wants(const moe_param *row)
{
    if (row->type == MOE_PARAM_COUNT && row->flags & MOE_PARAM_RECORDED)
        return "a whole number, 'all' or 'recorded'";
    return value_types[row->type].wants;
}

const char *
moe_param_type_name(moe_param_type type)
{
    return value_types[type].name;
}

/* Index of `text` in a '|'-separated list, -1: not there. */
static int
value_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    int index = 0;
    for (const char *at = choices;; at++, index++) {
        size_t n = strcspn(at, "|");
        if (n == length && strncmp(at, text, n) == 0)
            return index;
        at += n;
        if (!*at)
            return -1;
    }
}

static bool
value_count(const moe_param *row, const char *text, int64_t *out)
{
    if (strcmp(text, "all") == 0) {
        *out = INT64_MAX;
        return true;
    }
    if (row->flags & MOE_PARAM_RECORDED && strcmp(text, "recorded") == 0) {
        *out = -1;
        return true;
    }
    int64_t number;
    if (!moe_parse_int(text, &number) || number < 0 || number == INT64_MAX)
        return false;
    *out = number;
    return true;
}

/* An energy, or the word for one that nobody has stated. */
static bool
value_energy(const char *text, bool (*parse)(const char *text, double *pj), double *out)
{
    if (strcmp(text, "unknown") != 0)
        return parse(text, out);
    *out = -1;
    return true;
}

bool
moe_param_parse(const moe_param *row, const char *text, moe_param_value *value)
{
    memset(value, 0, sizeof *value);
    switch (row->type) {
    case MOE_PARAM_BOOL:
        return moe_parse_bool(text, &value->flag);
    case MOE_PARAM_INT:
        return moe_parse_int(text, &value->whole);
    case MOE_PARAM_REAL:
        return moe_parse_real(text, &value->real);
    case MOE_PARAM_SHARE:
        return moe_parse_share(text, &value->real);
    case MOE_PARAM_BYTES:
        return moe_parse_bytes(text, &value->whole);
    case MOE_PARAM_TIME:
        return moe_parse_time(text, &value->whole);
    case MOE_PARAM_RATE:
        return moe_parse_rate(text, &value->real);
    case MOE_PARAM_FLOPS:
        return moe_parse_flops(text, &value->real);
    case MOE_PARAM_POWER:
        return moe_parse_power(text, &value->real);
    case MOE_PARAM_BIT_ENERGY:
        return value_energy(text, moe_parse_bit_energy, &value->real);
    case MOE_PARAM_FLOP_ENERGY:
        return value_energy(text, moe_parse_flop_energy, &value->real);
    case MOE_PARAM_AMOUNT:
        return moe_parse_amount(text, &value->amount);
    case MOE_PARAM_COUNT:
        return value_count(row, text, &value->whole);
    case MOE_PARAM_ENUM:
        value->index = value_choice(row->choices, text);
        return value->index >= 0;
    case MOE_PARAM_TEXT:
        value->text = text;
        return true;
    case MOE_PARAM_CHOICE:
    case MOE_PARAM_LIST:
        break;
    }
    moe_assert(false, "key '%s' of type %d has no plain value", row->key, (int)row->type);
    return false;
}

void
moe_param_store(const moe_param *row, const moe_param_value *value, void *at)
{
    memcpy(at, value, value_types[row->type].size);
}

static void
value_load(const moe_param *row, const void *at, moe_param_value *value)
{
    memset(value, 0, sizeof *value);
    memcpy(value, at, value_types[row->type].size);
}

/* The number that a range speaks of; false: the value is none ("all", "unknown", a name). */
static bool
value_number(const moe_param *row, const moe_param_value *value, double *out)
{
    switch (row->type) {
    case MOE_PARAM_COUNT:
        *out = (double)value->whole;
        return value->whole >= 0 && value->whole < INT64_MAX;
    case MOE_PARAM_INT:
    case MOE_PARAM_BYTES:
    case MOE_PARAM_TIME:
        *out = (double)value->whole;
        return true;
    case MOE_PARAM_REAL:
    case MOE_PARAM_SHARE:
    case MOE_PARAM_RATE:
    case MOE_PARAM_FLOPS:
    case MOE_PARAM_POWER:
        *out = value->real;
        return true;
    case MOE_PARAM_BIT_ENERGY:
    case MOE_PARAM_FLOP_ENERGY:
        *out = value->real;
        return value->real >= 0;
    default:
        return false;
    }
}

/* A number in the row's unit, as a value of the row is written. */
static char *
value_bound(const moe_param *row, double bound)
{
    moe_param_value value;
    memset(&value, 0, sizeof value);
    bool whole = row->type == MOE_PARAM_INT || row->type == MOE_PARAM_BYTES ||
                 row->type == MOE_PARAM_TIME || row->type == MOE_PARAM_COUNT;
    if (whole)
        value.whole = bound >= 0x1p63 ? INT64_MAX : (int64_t)bound;
    else
        value.real = bound;
    return moe_param_format(row, &value);
}

char *
moe_param_range(const moe_param *row, const moe_param_value *value)
{
    double number;
    if ((row->min == 0 && row->max == 0) || !value_number(row, value, &number))
        return NULL;
    bool low = number < row->min, high = row->max >= row->min && number > row->max;
    if (!low && !high)
        return NULL;
    g_autofree char *bound = value_bound(row, low ? row->min : row->max);
    g_autofree char *got = moe_param_format(row, value);
    return g_strdup_printf("must be at %s %s, got %s", low ? "least" : "most", bound, got);
}

char *
moe_param_range_text(const moe_param *row)
{
    if (row->min == 0 && row->max == 0)
        return NULL;
    g_autofree char *min = value_bound(row, row->min);
    if (row->max < row->min)
        return g_strdup_printf("at least %s", min);
    g_autofree char *max = value_bound(row, row->max);
    return g_strdup_printf("%s to %s", min, max);
}

typedef struct value_unit {
    const char *name;
    int64_t size;
} value_unit;

/* The shortest way to write a whole number of units exactly; ties go to the first unit. */
static char *
value_whole(int64_t value, const value_unit *units, size_t n, const char *zero)
{
    size_t shortest = SIZE_MAX;
    char *best = NULL;
    if (value == 0)
        return g_strdup(zero);
    for (size_t i = 0; i < n; i++) {
        if (value % units[i].size != 0)
            continue;
        char *text = g_strdup_printf("%lld%s", (long long)(value / units[i].size), units[i].name);
        /* A digit counts more than a letter: "24GiB", not "24576MiB"; "80GB", not "80000MB". */
        size_t length = strlen(text) - strlen(units[i].name);
        if (length < shortest) {
            shortest = length;
            g_free(best);
            best = g_steal_pointer(&text);
        }
        g_free(text);
    }
    return best;
}

static char *
value_bytes(int64_t bytes)
{
    static const value_unit units[] = {
        {"TiB", 1024 * MOE_GIB}, {"TB", 1000000000000}, {"GiB", MOE_GIB},
        {"GB", 1000000000},      {"MiB", MOE_MIB},      {"MB", 1000000},
        {"KiB", MOE_KIB},        {"kB", 1000},          {"B", 1}};
    return value_whole(bytes, units, MOE_COUNT(units), "0B");
}

static char *
value_time(int64_t ps)
{
    static const value_unit units[] = {
        {"s", MOE_PS_PER_S}, {"ms", 1000000000}, {"us", 1000000}, {"ns", 1000}, {"ps", 1}};
    return value_whole(ps, units, MOE_COUNT(units), "0s");
}

/* A decimal prefix that leaves 1 to 999 before the point where one does; digits are exact. */
static char *
value_scaled(double value, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
    size_t n = g_str_has_suffix(unit, "FLOPS") ? 6 : 5;
    char number[64];
    moe_decimal decimal = moe_decimal_of(value);
    if (value == 0)
        return g_strconcat("0", unit, NULL);
    size_t i = decimal.exponent > 0 ? MIN((size_t)(decimal.exponent - 1) / 3, n - 1) : 0;
    int exponent = decimal.exponent - 3 * (int)i;
    if (exponent < -6 || exponent > 15)
        return g_strconcat(moe_format_real(number, value), unit, NULL);
    return g_strconcat(moe_decimal_plain(number, &decimal, -3 * (int)i), prefixes[i], unit, NULL);
}

/* A number in the one unit in which it is written out. */
static char *
value_in(double value, const char *unit)
{
    char number[64];
    return g_strconcat(moe_format_real(number, value), unit, NULL);
}

static char *
value_energy_text(double pj, const char *unit)
{
    return pj < 0 ? g_strdup("unknown") : value_in(pj, unit);
}

static char *
value_amount(moe_amount amount)
{
    return amount.kind == MOE_AMOUNT_BYTES ? value_bytes(amount.count) : moe_format_amount(amount);
}

static char *
value_count_text(int64_t count)
{
    if (count == INT64_MAX || count == -1)
        return g_strdup(count == -1 ? "recorded" : "all");
    return g_strdup_printf("%lld", (long long)count);
}

static char *
value_choice_name(const moe_param *row, int index)
{
    const char *at = row->choices;
    for (; index > 0; index--)
        at += strcspn(at, "|") + 1;
    return g_strndup(at, strcspn(at, "|"));
}

char *
moe_param_format(const moe_param *row, const void *at)
{
    moe_param_value value;
    char number[64];
    if (row->type == MOE_PARAM_CHOICE) {
        const moe_choice *choice = at;
        return g_strdup(choice->variant ? choice->variant->name : "");
    }
    if (row->type == MOE_PARAM_LIST)
        return g_strdup_printf("%zu", ((const moe_list *)at)->n);
    value_load(row, at, &value);
    switch (row->type) {
    case MOE_PARAM_BOOL:
        return g_strdup(value.flag ? "true" : "false");
    case MOE_PARAM_INT:
        return g_strdup_printf("%lld", (long long)value.whole);
    case MOE_PARAM_BYTES:
        return value_bytes(value.whole);
    case MOE_PARAM_TIME:
        return value_time(value.whole);
    case MOE_PARAM_RATE:
        return value_scaled(value.real, "B/s");
    case MOE_PARAM_FLOPS:
        return value_scaled(value.real, "FLOPS");
    case MOE_PARAM_POWER:
        return value_in(value.real, "W");
    case MOE_PARAM_BIT_ENERGY:
        return value_energy_text(value.real, "pJ/bit");
    case MOE_PARAM_FLOP_ENERGY:
        return value_energy_text(value.real, "pJ/FLOP");
    case MOE_PARAM_SHARE:
        return moe_format_amount((moe_amount){MOE_AMOUNT_SHARE, value.real, 0});
    case MOE_PARAM_AMOUNT:
        return value_amount(value.amount);
    case MOE_PARAM_COUNT:
        return value_count_text(value.whole);
    case MOE_PARAM_ENUM:
        return value_choice_name(row, value.index);
    case MOE_PARAM_TEXT:
        return g_strdup(value.text ? value.text : "");
    default:
        return g_strdup(moe_format_real(number, value.real));
    }
}

char *
moe_param_format_default(const moe_param *row)
{
    moe_param_value value;
    memset(&value, 0, sizeof value);
    if (row->type == MOE_PARAM_CHOICE)
        return g_strdup(row->fallback ? row->fallback : "");
    if (row->type == MOE_PARAM_LIST)
        return g_strdup("0");
    bool ok = !row->fallback || moe_param_parse(row, row->fallback, &value);
    moe_assert(ok, "default '%s' of '%s'", row->fallback, row->key);
    return moe_param_format(row, &value);
}

GPtrArray *
moe_param_names(const moe_param *row)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    if (row->type == MOE_PARAM_CHOICE) {
        for (size_t i = 0; i < row->n_variants; i++)
            g_ptr_array_add(names, g_strdup(row->variants[i]->name));
        return names;
    }
    for (const char *at = row->choices;; at++) {
        size_t n = strcspn(at, "|");
        g_ptr_array_add(names, g_strndup(at, n));
        at += n;
        if (!*at)
            return names;
    }
}
