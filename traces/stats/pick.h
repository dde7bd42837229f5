/* Which sequences of a trace are measured, in which order: `n` from `first` on, or those listed.
 * A value: nothing is owned. */
#ifndef MOE_TRACES_STATS_PICK_H
#define MOE_TRACES_STATS_PICK_H

#include "traces/progress.h"
#include "traces/routing.h"

typedef struct moe_pick {
    const moe_routing *routing;
    const uint32_t *sequences; /* [n] indices; NULL: first, first + 1, … */
    uint32_t first, n;
} moe_pick;

static inline moe_pick
moe_pick_range(const moe_routing *routing, uint32_t from, uint32_t to)
{
    return (moe_pick){.routing = routing, .first = from, .n = to - from};
}

static inline moe_pick
moe_pick_all(const moe_routing *routing)
{
    return moe_pick_range(routing, 0, routing->n_sequences);
}

static inline uint32_t
moe_pick_sequence(const moe_pick *pick, uint32_t i)
{
    return pick->sequences ? pick->sequences[i] : pick->first + i;
}

/* Tokens of the i-th sequence, and of all. */
static inline uint64_t
moe_pick_length(const moe_pick *pick, uint32_t i)
{
    uint32_t s = moe_pick_sequence(pick, i);
    return pick->routing->sequence_first[s + 1] - pick->routing->sequence_first[s];
}

uint64_t moe_pick_tokens(const moe_pick *pick);
/* Every stride-th sequence of the pick, stride the smallest that leaves no more than `tokens`
 * tokens and `sequences` sequences, but at least one; *indices (yours) is what the result points
 * to. */
moe_pick moe_pick_thinned(const moe_pick *pick, uint64_t tokens, uint32_t sequences,
                          uint32_t **indices);

#endif
