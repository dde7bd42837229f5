/* How many of a token's experts the token `lag` places before it in its sequence had too.
 *
 * Overlap at a lag is (sum of |S_t and S_t-lag|) / (sum of |S_t|), over the pairs of tokens of one
 * sequence for which the layer ran. For comparison: two tokens that draw independently with the
 * layer's popularity share sum p_e^2 / sum p_e (p_e: uses per token), uniform ones k / E.
 *
 * Each expert keeps a word whose bit j tells whether it was used j + 1 tokens ago; the word of each
 * access is added bit by bit, sixty-four lags at a time, in carry-save adders. The cost does not
 * depend on the number of experts. */
#ifndef MOE_TRACES_STATS_OVERLAP_H
#define MOE_TRACES_STATS_OVERLAP_H

#include "traces/stats/popularity.h"

#define MOE_OVERLAP_LAGS 64

typedef struct moe_overlap moe_overlap;

moe_overlap *moe_overlap_new(const moe_routing *routing);
void moe_overlap_free(moe_overlap *overlap);
void moe_overlap_add(void *overlap, const moe_block *block);

/* Shared experts and experts of the later token, summed over the pairs at a lag 1 ..
 * MOE_OVERLAP_LAGS. */
void moe_overlap_sums(const moe_overlap *overlap, uint32_t layer, uint32_t lag, uint64_t *shared,
                      uint64_t *experts);
/* Their quotient, layer MOE_NONE: over all layers; NAN when there are no such pairs. */
double moe_overlap_at(const moe_overlap *overlap, uint32_t layer, uint32_t lag);
/* What independent draws of the same popularity share, layer MOE_NONE: over all layers. */
double moe_overlap_independent(const moe_popularity *popularity, uint32_t layer);

#endif
