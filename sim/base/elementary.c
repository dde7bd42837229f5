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
