/* Bootstrap over sequences: 1000 resamples of as many sequences as there are, with replacement;
 * the 95 % "basic" interval of a statistic t is 2 t - q, q the 25th and 975th of the resampled
 * values counted from 0 (as arXiv 2505.16056's code takes them; Davison and Hinkley, 1997).
 * Resample r of n sequences is always the same, drawn from a counter-based stream. */
#ifndef MOE_TRACES_STATS_BOOTSTRAP_H
#define MOE_TRACES_STATS_BOOTSTRAP_H

#include "sim/base/base.h"

#define MOE_BOOTSTRAP_RESAMPLES 1000u

typedef struct moe_interval {
    double low, high;
} moe_interval;

/* times[n]: how often resample r holds each sequence. */
void moe_bootstrap_draw(uint32_t r, uint32_t n, uint32_t *times);
/* Of the statistic's value and its resampled values, which are left sorted. */
moe_interval moe_bootstrap_basic(double value, double resampled[MOE_BOOTSTRAP_RESAMPLES]);

#endif
