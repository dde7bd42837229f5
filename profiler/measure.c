/* What all measurements share: the clock, repetition, spreads. */
#include "profiler/measure.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEAST_TIMES = 3, MOST_TIMES = 64 };

double
moe_measure_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

moe_spread
moe_spread_of(double *values, uint32_t n)
{
    moe_assert(n, "no values");
    qsort(values, n, sizeof *values, by_value);
    return (moe_spread){(values[(n - 1) / 2] + values[n / 2]) / 2, values[0], values[n - 1], n};
}

double
moe_spread_width(const moe_spread *spread)
{
    return spread->median > 0 ? (spread->high - spread->low) / spread->median : 0;
}

moe_spread
moe_measure_repeat(double (*once)(void *context), void *context, double seconds)
{
    double values[MOST_TIMES];
    uint32_t n = 0;
    double began = moe_measure_now();

    once(context);
    while (n < LEAST_TIMES || (n < MOST_TIMES && moe_measure_now() - began < seconds))
        values[n++] = once(context);
    return moe_spread_of(values, n);
}

void
moe_measure_say(const moe_measure *how, const char *what, double share)
{
    if (how->progress)
        how->progress(how->context, what, share);
}

double
moe_measure_time(const moe_measure *how, uint32_t n)
{
    double left = how->until - moe_measure_now();
    return left > 0 ? left / n : 0;
}

uint32_t
moe_measure_threads(const moe_measure *how)
{
    uint32_t processors = g_get_num_processors();
    return how->threads ? MIN(how->threads, processors) : processors;
}

uint32_t
moe_measure_steps(uint32_t most, uint32_t steps[MOE_MEASURE_STEPS])
{
    uint32_t n = 0;
    for (uint32_t t = 1; t < most && n + 1 < MOE_MEASURE_STEPS; t *= 2)
        steps[n++] = t;
    steps[n++] = most;
    return n;
}
