/* How often each expert is used, and how unevenly. */
#ifndef MOE_TRACES_STATS_POPULARITY_H
#define MOE_TRACES_STATS_POPULARITY_H

#include "traces/stats/sweep.h"

typedef struct moe_popularity {
    uint32_t n_layers, n_experts;
    uint64_t *counts; /* [n_layers][n_experts]: uses */
    uint64_t *tokens; /* [n_layers]: tokens for which the layer ran */
} moe_popularity;

moe_popularity *moe_popularity_new(const moe_routing *routing);
void moe_popularity_free(moe_popularity *popularity);
void moe_popularity_add(void *popularity, const moe_block *block);

/* The shape of n counts over `tokens` tokens. NAN where it is not defined (no use at all). */
typedef struct moe_spread {
    double max_over_mean;
    double gini;         /* 0: all alike, 1 - 1/n: one has all; Gini, 1912 */
    double entropy_bits; /* of the share of uses; log2 n when all are alike */
    double zipf;         /* s of count ~ rank^-s: least squares of ln count on ln rank, over the
                            experts that are used; NAN for fewer than two */
    double frequency_sd; /* standard deviation (population) of uses per token, the "LB" of
                            arXiv 2505.16056 */
} moe_spread;

moe_spread moe_popularity_spread(const uint64_t *counts, size_t n, uint64_t tokens);

#endif
