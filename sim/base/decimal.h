/* Decimal numbers as written, kept exact until their unit is known: sign, digits and a power of
 * ten. "3.35TB/s" is 335 * 10^-2 with the rest "TB/s"; a unit of 10^12 then makes it 335 * 10^10
 * without a rounding in between. */
#ifndef MOE_BASE_DECIMAL_H
#define MOE_BASE_DECIMAL_H

#include "sim/base/base.h"

typedef struct moe_decimal {
    bool negative;
    char digits[24]; /* significant digits, no leading zeros; "" for zero */
    int n_digits;
    int exponent; /* value = 0.digits * 10^exponent */
    bool whole;   /* written without a point and an exponent */
} moe_decimal;

/* Reads [+-]digits[.digits][e[+-]digits] at the start of `text`; returns what follows it, NULL
 * when there is no such number. Leading zeros ("010") are refused. Digits behind the 20th are
 * dropped: they are beyond both an int64 and a double. */
const char *moe_decimal_read(const char *text, moe_decimal *out);

/* value * numerator, rounded to the nearest integer (halves away from zero); false when that is
 * not an int64. numerator >= 1. */
bool moe_decimal_scale(const moe_decimal *decimal, int64_t numerator, int64_t *out);
/* value * 10^shift as the nearest double; false when that is not finite. */
bool moe_decimal_real(const moe_decimal *decimal, int shift, double *out);

/* The shortest digits that read back as `value` (finite). */
moe_decimal moe_decimal_of(double value);
/* value * 10^shift in plain notation ("12.5"); buffer needs 64 bytes, |exponent| below 24. */
char *moe_decimal_plain(char *buffer, const moe_decimal *decimal, int shift);

#endif
