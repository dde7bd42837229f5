/* How many tokens lie between two uses of an expert in a sequence: 1 is the next token. */
#ifndef MOE_TRACES_STATS_REUSE_H
#define MOE_TRACES_STATS_REUSE_H

#include "traces/stats/sweep.h"

#define MOE_REUSE_GAPS 1024 /* longer ones are not told apart */

typedef struct moe_reuse moe_reuse;

moe_reuse *moe_reuse_new(const moe_routing *routing);
void moe_reuse_free(moe_reuse *reuse);
void moe_reuse_add(void *reuse, const moe_block *block);

/* Uses that came `gap` tokens after the one before, 1 .. MOE_REUSE_GAPS (there: so many or more);
 * gap 0: first uses in their sequence. layer MOE_NONE: over all. */
uint64_t moe_reuse_count(const moe_reuse *reuse, uint32_t layer, uint32_t gap);
/* The smallest gap that at least this share of the repeated uses does not exceed; 0: there are
 * none. */
uint32_t moe_reuse_quantile(const moe_reuse *reuse, uint32_t layer, double share);

#endif
