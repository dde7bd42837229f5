/* One pass over a trace for many statistics: some tokens of one layer at a time, so that what a
 * statistic keeps per layer stays in the cache while it is used.
 *
 * Tokens come in the order of the pick, by position within a sequence; for each block of tokens
 * the layers come in ascending order. Statistics are added up in integers, so results do not depend
 * on where the blocks are cut. */
#ifndef MOE_TRACES_STATS_SWEEP_H
#define MOE_TRACES_STATS_SWEEP_H

#include "traces/stats/pick.h"

typedef struct moe_block {
    const moe_routing *routing;
    uint32_t layer; /* index */
    uint32_t n;     /* tokens */
    uint32_t k;
    bool full, full_above; /* every row has k experts */
    const uint16_t *ids;   /* [n][k]; what follows a row's experts is MOE_ROUTING_NO_EXPERT */
    const uint16_t *above; /* the same of the layer before; NULL at layer 0 */
    const uint16_t *count; /* [n]: experts of the row; 0: the layer did not run */
    const uint16_t *count_above;
    const uint32_t *place; /* [n]: how many tokens of the sequence came before; 0: a new sequence */
    const uint64_t *row;   /* [n] of the trace */
} moe_block;

typedef struct moe_block_user {
    void (*add)(void *state, const moe_block *block);
    void *state;
} moe_block_user;

/* progress (may be NULL) hears of tokens done and in all. */
void moe_sweep(const moe_pick *pick, const moe_block_user *users, size_t n_users,
               moe_progress *progress, void *context);

#endif
