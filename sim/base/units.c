#include "sim/base/units.h"
#include "sim/base/decimal.h"

#include <math.h>
#include <string.h>

/* A unit is worth `numerator` target units, which is 10^power unless power says otherwise. */
enum { NOT_DECIMAL = 99 };

typedef struct unit {
    const char *name;
    int64_t numerator;
    int power;
} unit;

static const unit unit_bytes[] = {
    {"B", 1, 0},
    {"kB", 1000, 3},
    {"MB", 1000000, 6},
    {"GB", 1000000000, 9},
    {"TB", 1000000000000, 12},
    {"KiB", MOE_KIB, NOT_DECIMAL},
    {"MiB", MOE_MIB, NOT_DECIMAL},
    {"GiB", MOE_GIB, NOT_DECIMAL},
    {"TiB", 1024 * MOE_GIB, NOT_DECIMAL},
};

static const unit unit_time[] = {
    {"ps", 1, 0},
    {"ns", 1000, 3},
    {"us", 1000000, 6},
    {"ms", 1000000000, 9},
    {"s", MOE_PS_PER_S, 12},
    {"min", 60 * MOE_PS_PER_S, NOT_DECIMAL},
    {"h", 3600 * MOE_PS_PER_S, NOT_DECIMAL},
};

static const unit unit_flops[] = {
    {"FLOPS", 0, 0},   {"kFLOPS", 0, 3},  {"MFLOPS", 0, 6}, {"GFLOPS", 0, 9},
    {"TFLOPS", 0, 12}, {"PFLOPS", 0, 15}, {"OPS", 0, 0},    {"kOPS", 0, 3},
    {"MOPS", 0, 6},    {"GOPS", 0, 9},    {"TOPS", 0, 12},  {"POPS", 0, 15},
};

static const unit unit_power[] = {
    {"mW", 0, -3},
    {"W", 0, 0},
    {"kW", 0, 3},
    {"MW", 0, 6},
};

static const unit unit_energy[] = {
    {"fJ", 0, -3},
    {"pJ", 0, 0},
    {"nJ", 0, 3},
    {"uJ", 0, 6},
};

static const unit *
unit_find(const unit *units, size_t n, const char *name, size_t length)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(units[i].name) == length && memcmp(units[i].name, name, length) == 0)
            return &units[i];
    }
    return NULL;
}

/* The number and what follows it, after at most one space. */
static const char *
unit_number(const char *text, moe_decimal *number)
{
    const char *rest = moe_decimal_read(text, number);
    if (rest && *rest == ' ' && rest[1])
        rest++;
    return rest;
}

static bool
unit_is_zero(const char *rest, const moe_decimal *number)
{
    return !*rest && number->n_digits == 0;
}

bool
moe_parse_int(const char *text, int64_t *out)
{
    moe_decimal number;
    const char *rest = moe_decimal_read(text, &number);
    /* Dropped digits cannot make a number fit: 20 of them are above INT64_MAX already. */
    return rest && !*rest && number.whole && moe_decimal_scale(&number, 1, out);
}

bool
moe_parse_real(const char *text, double *out)
{
    moe_decimal number;
    const char *rest = moe_decimal_read(text, &number);
    return rest && !*rest && moe_decimal_real(&number, 0, out);
}

bool
moe_parse_bool(const char *text, bool *out)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return false;
    *out = *text == 't';
    return true;
}

bool
moe_parse_bytes(const char *text, int64_t *out)
{
    moe_decimal number;
    const char *rest = unit_number(text, &number);
    if (!rest || (number.negative && number.n_digits))
        return false;
    const unit *found =
        *rest ? unit_find(unit_bytes, MOE_COUNT(unit_bytes), rest, strlen(rest)) : &unit_bytes[0];
    return found && moe_decimal_scale(&number, found->numerator, out);
}

bool
moe_parse_time(const char *text, int64_t *ps)
{
    moe_decimal number;
    const char *rest = unit_number(text, &number);
    if (!rest || (number.negative && number.n_digits))
        return false;
    if (unit_is_zero(rest, &number)) {
        *ps = 0;
        return true;
    }
    const unit *found = unit_find(unit_time, MOE_COUNT(unit_time), rest, strlen(rest));
    return found && moe_decimal_scale(&number, found->numerator, ps);
}

/* A non-negative real with one of the units; a bare 0 is one, too. */
static bool
unit_real(const char *text, const unit *units, size_t n, const char *suffix, double *out)
{
    moe_decimal number;
    const char *rest = unit_number(text, &number);
    if (!rest || (number.negative && number.n_digits))
        return false;
    if (unit_is_zero(rest, &number)) {
        *out = 0;
        return true;
    }
    if (!g_str_has_suffix(rest, suffix))
        return false;
    const unit *found = unit_find(units, n, rest, strlen(rest) - strlen(suffix));
    bool decimal = found && found->power != NOT_DECIMAL;
    double value;
    if (!found || !moe_decimal_real(&number, decimal ? found->power : 0, &value))
        return false;
    if (!decimal) /* a power of two: the product is exact */
        value *= (double)found->numerator;
    if (!isfinite(value))
        return false;
    *out = number.n_digits ? value : 0;
    return true;
}

bool
moe_parse_rate(const char *text, double *bytes_per_s)
{
    return unit_real(text, unit_bytes, MOE_COUNT(unit_bytes), "/s", bytes_per_s);
}

bool
moe_parse_flops(const char *text, double *flops_per_s)
{
    return unit_real(text, unit_flops, MOE_COUNT(unit_flops), "", flops_per_s);
}

bool
moe_parse_power(const char *text, double *watt)
{
    return unit_real(text, unit_power, MOE_COUNT(unit_power), "", watt);
}

bool
moe_parse_bit_energy(const char *text, double *pj_per_bit)
{
    if (unit_real(text, unit_energy, MOE_COUNT(unit_energy), "/bit", pj_per_bit))
        return true;
    double byte;
    if (!unit_real(text, unit_energy, MOE_COUNT(unit_energy), "/B", &byte))
        return false;
    *pj_per_bit = byte / 8;
    return true;
}

bool
moe_parse_flop_energy(const char *text, double *pj_per_flop)
{
    return unit_real(text, unit_energy, MOE_COUNT(unit_energy), "/FLOP", pj_per_flop) ||
           unit_real(text, unit_energy, MOE_COUNT(unit_energy), "/OP", pj_per_flop);
}

bool
moe_parse_share(const char *text, double *share)
{
    moe_decimal number;
    double value;
    const char *rest = unit_number(text, &number);
    if (!rest || (*rest && strcmp(rest, "%") != 0) ||
        !moe_decimal_real(&number, *rest ? -2 : 0, &value))
        return false;
    if (!(value >= 0 && value <= 1))
        return false;
    *share = number.n_digits ? value : 0;
    return true;
}

/* "12 slots", "1 slot" */
static bool
unit_slots(const char *text, int64_t *out)
{
    moe_decimal number;
    const char *rest = moe_decimal_read(text, &number);
    if (!rest || !number.whole || number.negative)
        return false;
    if (strcmp(rest, " slots") != 0 && strcmp(rest, " slot") != 0)
        return false;
    return moe_decimal_scale(&number, 1, out);
}

bool
moe_parse_amount(const char *text, moe_amount *out)
{
    moe_amount amount = {MOE_AMOUNT_REST, 0, 0};
    moe_decimal number;
    const char *rest = moe_decimal_read(text, &number);
    if (strcmp(text, "rest") == 0) {
        *out = amount;
        return true;
    }
    if (!rest)
        return false;
    /* A bare whole number does not say whether it counts bytes or slots. */
    bool bare = !*rest;
    if (bare && number.whole && number.n_digits)
        return false;
    if (bare || g_str_has_suffix(rest, "%")) {
        amount.kind = MOE_AMOUNT_SHARE;
        if (!moe_parse_share(text, &amount.share))
            return false;
    } else if (unit_slots(text, &amount.count)) {
        amount.kind = MOE_AMOUNT_SLOTS;
    } else if (moe_parse_bytes(text, &amount.count)) {
        amount.kind = MOE_AMOUNT_BYTES;
    } else {
        return false;
    }
    *out = amount;
    return true;
}
