/* Cache-only replay of a trace (`moesim trace mrc`): miss counts of eviction policies, no clock.
 *
 * group access goes through each policy's tight loop over the object stream, decoded once for all
 * caches; the other groups through sim/residency, as the machine does. Definitions: DESIGN
 * section 5. */
#ifndef MOE_MACHINE_REPLAY_H
#define MOE_MACHINE_REPLAY_H

#include "sim/residency/residency.h"
#include "traces/routing.h"

typedef enum moe_group {
    MOE_GROUP_ACCESS,      /* one by one, as generic cache simulators do */
    MOE_GROUP_TOKEN_LAYER, /* the k experts of a token at a layer */
    MOE_GROUP_STEP_LAYER,  /* the union of a step's tokens at a layer */
    MOE_GROUP_TOKEN,       /* all layers of a token */
} moe_group;

typedef struct moe_replay_config {
    moe_group group;
    moe_scope scope;
    bool first_fill_hit; /* filling a free slot is not counted as a miss */
    uint32_t from, to;   /* sequences (indices) from <= s < to */
} moe_replay_config;

typedef struct moe_replay moe_replay; /* the decoded stream */

moe_replay *moe_replay_new(const moe_routing *routing, const moe_replay_config *config);
void moe_replay_free(moe_replay *replay);
/* With scope layer, `slots` are per layer. */
void moe_replay_run(moe_replay *replay, const moe_variant *evict, const void *evict_config,
                    uint32_t slots, uint64_t *accesses, uint64_t *misses);

#endif
