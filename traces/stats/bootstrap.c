#include "traces/stats/bootstrap.h"

#include "sim/base/random.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>

moe_bootstrap *
moe_bootstrap_new(uint32_t n)
{
    moe_assert(n <= MOE_BOOTSTRAP_MAX_SEQUENCES, "%u sequences", n);
    moe_bootstrap *bootstrap = g_new0(moe_bootstrap, 1);
    bootstrap->n = n;
    bootstrap->times = g_new0(uint16_t, (size_t)MOE_BOOTSTRAP_RESAMPLES * n + 1);
    for (uint32_t r = 0; r < MOE_BOOTSTRAP_RESAMPLES; r++) {
        moe_stream stream = moe_stream_new(0, "bootstrap", r);
        uint16_t *times = bootstrap->times + (size_t)r * n;
        for (uint32_t i = 0; i < n; i++)
            times[moe_stream_below(&stream, n)]++;
    }
    return bootstrap;
}

void
moe_bootstrap_free(moe_bootstrap *bootstrap)
{
    if (!bootstrap)
        return;
    g_free(bootstrap->times);
    g_free(bootstrap);
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
    for (uint32_t r = 0; r < MOE_BOOTSTRAP_RESAMPLES; r++)
        if (isnan(resampled[r]))
            return (moe_interval){NAN, NAN};
    qsort(resampled, MOE_BOOTSTRAP_RESAMPLES, sizeof *resampled, rising);
    return (moe_interval){2 * value - resampled[MOE_BOOTSTRAP_RESAMPLES - TAIL],
                          2 * value - resampled[TAIL]};
}

moe_interval
moe_bootstrap_ratio(const moe_bootstrap *bootstrap, const uint64_t *parts, const uint64_t *wholes)
{
    double ratios[MOE_BOOTSTRAP_RESAMPLES];
    uint64_t all_parts = 0, all_wholes = 0;
    for (uint32_t i = 0; i < bootstrap->n; i++) {
        all_parts += parts[i];
        all_wholes += wholes[i];
    }
    for (uint32_t r = 0; r < MOE_BOOTSTRAP_RESAMPLES; r++) {
        const uint16_t *times = moe_bootstrap_times(bootstrap, r);
        uint64_t part = 0, whole = 0;
        for (uint32_t i = 0; i < bootstrap->n; i++) {
            part += times[i] * parts[i];
            whole += times[i] * wholes[i];
        }
        ratios[r] = whole ? (double)part / (double)whole : NAN;
    }
    return moe_bootstrap_basic(all_wholes ? (double)all_parts / (double)all_wholes : NAN, ratios);
}
