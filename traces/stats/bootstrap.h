/* Bootstrap over sequences: 1000 resamples of as many sequences as there are, with replacement;
 * the 95 % "basic" interval of a statistic t is 2 t - q, q the 25th and 975th of the resampled
 * values counted from 0 (as arXiv 2505.16056's code takes them; Davison and Hinkley, 1997).
 * Resample r of n sequences is always the same, drawn from a counter-based stream. */
#ifndef MOE_TRACES_STATS_BOOTSTRAP_H
#define MOE_TRACES_STATS_BOOTSTRAP_H

#include "sim/base/base.h"

#define MOE_BOOTSTRAP_RESAMPLES 1000u
#define MOE_BOOTSTRAP_MAX_SEQUENCES 16384u /* what the table of draws is made for */

typedef struct moe_bootstrap {
    uint32_t n;
    uint16_t *times; /* [MOE_BOOTSTRAP_RESAMPLES][n]: how often a resample holds a sequence */
} moe_bootstrap;

typedef struct moe_interval {
    double low, high;
} moe_interval;

/* n <= MOE_BOOTSTRAP_MAX_SEQUENCES. */
moe_bootstrap *moe_bootstrap_new(uint32_t n);
void moe_bootstrap_free(moe_bootstrap *bootstrap);
static inline const uint16_t *
moe_bootstrap_times(const moe_bootstrap *bootstrap, uint32_t r)
{
    return bootstrap->times + (size_t)r * bootstrap->n;
}

/* Of the statistic's value and its resampled values, which are left sorted. NAN when one of these
 * is: a resample without what the statistic is about. */
moe_interval moe_bootstrap_basic(double value, double resampled[MOE_BOOTSTRAP_RESAMPLES]);
/* Of the quotient sum of parts[n] / sum of wholes[n] over sequences. */
moe_interval moe_bootstrap_ratio(const moe_bootstrap *bootstrap, const uint64_t *parts,
                                 const uint64_t *wholes);

#endif
