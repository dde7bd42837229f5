/* Elementary functions that give the same bits on every machine: plain arithmetic in a fixed order,
 * where libm's last digit differs from one to the next. Errors are below 2 units in the last place
 * unless said otherwise. */
#ifndef MOE_BASE_ELEMENTARY_H
#define MOE_BASE_ELEMENTARY_H

#include "sim/base/base.h"

#include <string.h>

/* Natural logarithm of x > 0, finite. */
double moe_ln(double x);
/* e^x; 0 below -745.2, infinite above 709.78. */
double moe_exp(double x);
/* Sine and cosine of |x| <= 2^20, each within 2^-52 of the truth. */
void moe_sincos(double x, double *sine, double *cosine);

/* e^x in single precision; 0 below -104, infinite above 88.73. Inline, for loops that compilers
 * turn into vectors. */
static inline float
moe_expf(float x)
{
    /* Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits. */
    const float round = 0x1.8p23f;
    float clamped = x < -104 ? -104 : x > 89 ? 89 : x;
    float shifted = clamped * 0x1.715476p0f + round, k = shifted - round;
    float r = (clamped - k * 0x1.63p-1f) - k * -0x1.bd0106p-13f; /* ln 2 in two parts */
    float p = 0x1.a0d2cep-13f; /* Cephes' polynomial for e^r - 1 - r, |r| <= ln 2 / 2 */
    uint32_t bits;
    p = p * r + 0x1.6e879cp-10f;
    p = p * r + 0x1.1112cap-7f;
    p = p * r + 0x1.555502p-5f;
    p = p * r + 0x1.555554p-3f;
    p = p * r + 0x1.000000p-1f;
    p = p * (r * r) + r + 1;
    /* Times 2^k in two halves, neither of which is out of range. */
    memcpy(&bits, &shifted, sizeof bits);
    int32_t exponent = (int32_t)(bits - 0x4B400000u), half = exponent >> 1;
    uint32_t first = (uint32_t)(half + 127) << 23, second = (uint32_t)(exponent - half + 127) << 23;
    float a, b;
    memcpy(&a, &first, sizeof a);
    memcpy(&b, &second, sizeof b);
    return x == x ? p * a * b : x;
}

#endif
