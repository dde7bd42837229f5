#include "traces/requests/renewal.h"

#include "sim/base/elementary.h"

#include <math.h>

const char *const moe_gap_family_names[MOE_GAP_FAMILIES] = {
    [MOE_GAP_GAMMA] = "Gamma",
    [MOE_GAP_WEIBULL] = "Weibull",
};

/* Uniform in (0, 1]. */
static double
renewal_unit(moe_stream *stream)
{
    return 1 - moe_stream_unit(stream);
}

/* Normal, by Marsaglia's polar method, of which the second value is not used. */
static double
renewal_normal(moe_stream *stream)
{
    double x, y, square;
    do {
        x = 2 * moe_stream_unit(stream) - 1;
        y = 2 * moe_stream_unit(stream) - 1;
        square = x * x + y * y;
    } while (square >= 1 || square == 0);
    return x * sqrt(-2 * moe_ln(square) / square);
}

/* Marsaglia and Tsang, A simple method for generating gamma variables (2000): shape >= 1. */
static double
renewal_gamma(double shape, moe_stream *stream)
{
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = renewal_normal(stream), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (moe_ln(renewal_unit(stream)) < x * x / 2 + d * (1 - v + moe_ln(v)))
            return d * v;
    }
}

double
moe_gap_draw(moe_gap_family family, double shape, moe_stream *stream)
{
    if (family == MOE_GAP_WEIBULL) {
        double e = -moe_ln(renewal_unit(stream));
        return e > 0 ? moe_exp(moe_ln(e) / shape) : 0;
    }
    if (shape >= 1)
        return renewal_gamma(shape, stream);
    double above = renewal_gamma(shape + 1, stream);
    return above * moe_exp(moe_ln(renewal_unit(stream)) / shape);
}

void
moe_renewal_fill(moe_gap_family family, double shape, moe_stream *stream, double *at, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += moe_gap_draw(family, shape, stream);
        at[i] = sum;
    }
    sum += moe_gap_draw(family, shape, stream);
    for (size_t i = 0; i < n; i++)
        at[i] = sum > 0 && sum < INFINITY ? fmin(at[i] / sum, 1) : 0;
}
