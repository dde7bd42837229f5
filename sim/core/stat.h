/* Samples of one quantity: count, sum, extremes, and percentiles that are exact for up to 10^6
 * samples and come from a log histogram (relative width 2^-7 or finer) beyond. */
#ifndef MOE_CORE_STAT_H
#define MOE_CORE_STAT_H

#include "sim/base/base.h"

typedef struct moe_stat moe_stat;

moe_stat *moe_stat_new(void);
void moe_stat_free(moe_stat *stat);
void moe_stat_add(moe_stat *stat, int64_t value); /* value >= 0 */
uint64_t moe_stat_count(const moe_stat *stat);
double moe_stat_sum(const moe_stat *stat);
double moe_stat_mean(const moe_stat *stat); /* 0 when empty */
int64_t moe_stat_min(const moe_stat *stat); /* 0 when empty */
int64_t moe_stat_max(const moe_stat *stat);
/* The value at rank ceil(q * count) in ascending order (nearest rank), 0 < q <= 1. */
int64_t moe_stat_percentile(moe_stat *stat, double q);
bool moe_stat_exact(const moe_stat *stat);

#endif
