/* Decision logs replayed: the steps of the trace that a run recorded, through a cache of the log's
 * own settings, decision by decision. What the simulated cache and its policies must do is not
 * taken from the log: the victim of each admission, the outcome of each demand, the want-list at
 * each gate and which wish is drawn next. What only time can say is: when a prefetch starts and
 * ends, and which are called off. */
#ifndef MOE_MACHINE_DECIDED_H
#define MOE_MACHINE_DECIDED_H

#include "sim/residency/cache.h"
#include "traces/decisions.h"
#include "traces/routing.h"

typedef struct moe_decided_layer {
    uint64_t hits, late, misses;
    uint64_t loads, prefetches, evictions; /* loads: prefetches included */
} moe_decided_layer;

typedef struct moe_decided {
    uint32_t n_layers, slots;
    uint32_t n_steps, of_steps; /* replayed, and in the trace */
    uint64_t n_decisions;
    bool complete;             /* the log has its counts, and they are those of the replay */
    moe_decided_layer *layers; /* by MoE layer */
    moe_settings *cache;       /* of moe_cache_table: the log's settings */
    GPtrArray *docs;           /* what they were read from */
} moe_decided;

/* False with a located message about the first decision that cannot be, or with `error`. */
bool moe_decided_replay(moe_decisions *log, const moe_routing *routing, moe_decided *out,
                        moe_diag *diag, GError **error);
void moe_decided_clear(moe_decided *decided);

#endif
