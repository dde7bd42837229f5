#include "sim/base/elementary.h"

#include <math.h>

/* ln 2 in two parts, the first with so few digits that small whole multiples of it are exact. */
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33

/* ln(2^e m) = e ln 2 + 2 artanh((m - 1) / (m + 1)), with m in [sqrt 1/2, sqrt 2), where 11 terms of
 * the series are enough. */
double
moe_ln(double x)
{
    int e;
    double m = frexp(x, &e);
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2;
        e--;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int i = 21; i >= 3; i -= 2)
        sum = (sum + 1.0 / i) * square;
    return e * LN2_HIGH + (2 * s + (2 * s * sum + e * LN2_LOW));
}

/* e^x = 2^k e^r with |r| <= ln 2 / 2, where 14 terms of Taylor's series are enough. */
double
moe_exp(double x)
{
    if (x < -745.2)
        return 0;
    if (x > 709.79)
        return INFINITY;
    double k = floor(x / (LN2_HIGH + LN2_LOW) + 0.5);
    double r = (x - k * LN2_HIGH) - k * LN2_LOW, sum = 1;
    for (int i = 14; i >= 1; i--)
        sum = 1 + sum * r / i;
    return ldexp(sum, (int)k);
}

/* x = k pi / 2 + r with |r| <= pi / 4; pi / 2 in three parts, the first two with 33 digits, so that
 * k of up to 20 digits times them are exact. Then Taylor's series, and r's quadrant. */
void
moe_sincos(double x, double *sine, double *cosine)
{
    static const double odd[] = {
        -1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
        -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000};
    static const double even[] = {
        -1.0 / 2,       1.0 / 24,        -1.0 / 720,         1.0 / 40320,
        -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000};
    double k = floor(x * 0x1.45f306dc9c883p-1 + 0.5);
    double r = ((x - k * 0x1.921fb544p+0) - k * 0x1.0b4611a6p-34) - k * 0x1.3198a2e037073p-69;
    double square = r * r, s = 0, c = 0;
    for (int i = 7; i >= 0; i--) {
        s = (s + odd[i]) * square;
        c = (c + even[i]) * square;
    }
    s = r + r * s;
    c = 1 + c;
    int64_t quadrant = (int64_t)k & 3;
    *sine = quadrant == 0 ? s : quadrant == 1 ? c : quadrant == 2 ? -s : -c;
    *cosine = quadrant == 0 ? c : quadrant == 1 ? -s : quadrant == 2 ? -c : s;
}
