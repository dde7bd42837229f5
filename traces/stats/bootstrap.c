#include "traces/stats/bootstrap.h"

#include "sim/base/random.h"

#include <stdlib.h>
#include <string.h>

void
moe_bootstrap_draw(uint32_t r, uint32_t n, uint32_t *times)
{
    moe_stream stream = moe_stream_new(0, "bootstrap", r);
    memset(times, 0, n * sizeof *times);
    for (uint32_t i = 0; i < n; i++)
        times[moe_stream_below(&stream, n)]++;
}

static int
rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

moe_interval
moe_bootstrap_basic(double value, double resampled[MOE_BOOTSTRAP_RESAMPLES])
{
    enum { TAIL = 25 };
    qsort(resampled, MOE_BOOTSTRAP_RESAMPLES, sizeof *resampled, rising);
    return (moe_interval){2 * value - resampled[MOE_BOOTSTRAP_RESAMPLES - TAIL],
                          2 * value - resampled[TAIL]};
}
