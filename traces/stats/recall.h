/* How many of the routed experts a recorded look-ahead named, layer by layer. Layers that it does
 * not predict (the first `distance`) count for nothing. */
#ifndef MOE_TRACES_STATS_RECALL_H
#define MOE_TRACES_STATS_RECALL_H

#include "traces/stats/sweep.h"

typedef struct moe_recall {
    uint32_t n_layers, n_lookahead;
    uint64_t *named, *routed; /* [n_lookahead][n_layers] */
} moe_recall;

moe_recall *moe_recall_new(const moe_routing *routing);
void moe_recall_free(moe_recall *recall);
void moe_recall_add(void *recall, const moe_block *block);
/* Of look-ahead i at a layer (MOE_NONE: over all it predicts); NAN where there is none. */
double moe_recall_at(const moe_recall *recall, uint32_t i, uint32_t layer);

#endif
