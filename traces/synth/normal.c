#include "traces/synth/normal.h"

#include "sim/base/elementary.h"

#include <math.h>

#define FARTHEST 7.0
#define ROOT_2_PI 2.50662827463100050242

double
moe_normal_density(double x)
{
    return moe_exp(-x * x / 2) / ROOT_2_PI;
}

/* 1/2 + density * (x + x^3/3 + x^5/15 + …), Marsaglia, "Evaluating the normal distribution",
 * Journal of Statistical Software 11(4), 2004. */
double
moe_normal_below(double x)
{
    if (x <= -FARTHEST || x >= FARTHEST)
        return x > 0 ? 1 : 0;
    double sum = x, term = x;
    for (int i = 3; i < 400 && term * term > sum * sum * 1e-34; i += 2) {
        term *= x * x / i;
        sum += term;
    }
    double below = 0.5 + sum * moe_normal_density(x);
    return below < 0 ? 0 : below > 1 ? 1 : below;
}

double
moe_normal_quantile(double p)
{
    double low = -FARTHEST, high = FARTHEST;
    for (int i = 0; i < 44; i++) {
        double middle = (low + high) / 2;
        if (moe_normal_below(middle) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

/* The mean of the slice between quantiles a and b is n (density(a) - density(b)). */
void
moe_normal_table(float table[MOE_NORMAL_SIZE])
{
    const uint32_t half = MOE_NORMAL_SIZE / 2;
    double before = moe_normal_density(0), squares = 0;
    for (uint32_t i = 0; i < half; i++) {
        double share = 0.5 + (double)(i + 1) / MOE_NORMAL_SIZE;
        double after = i + 1 < half ? moe_normal_density(moe_normal_quantile(share)) : 0;
        double mean = (before - after) * MOE_NORMAL_SIZE;
        table[half + i] = (float)mean;
        squares += mean * mean;
        before = after;
    }
    float scale = (float)sqrt(half / squares);
    for (uint32_t i = 0; i < half; i++) {
        table[half + i] *= scale;
        table[half - 1 - i] = -table[half + i];
    }
}
