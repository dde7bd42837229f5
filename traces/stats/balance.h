/* Load of the ranks that hold the experts, step by step and layer by layer: the busiest rank's
 * token-expert pairs over the mean of the ranks. Steps are those recorded, if the trace has any,
 * else batches of decode or prefill tokens (traces/stats/batch.h).
 *
 * Where experts stand is given, or contiguous: expert e on rank floor(e R / E), for R = 1 .. 8. */
#ifndef MOE_TRACES_STATS_BALANCE_H
#define MOE_TRACES_STATS_BALANCE_H

#include "traces/stats/batch.h"

#define MOE_BALANCE_RANKS 8

typedef struct moe_rank_table {
    uint32_t n_ranks;
    const uint16_t *rank; /* [n_layers][n_experts], below n_ranks */
} moe_rank_table;

typedef struct moe_balance {
    uint32_t n_layers, batch;
    uint32_t first, n; /* numbers of ranks that were looked at: n of them, from `first` on */
    uint64_t *steps;   /* [n_layers]: in which the layer had pairs */
    double *imbalance; /* [n_layers][n]: busiest over mean, summed over steps */
} moe_balance;

typedef enum moe_balance_of {
    MOE_BALANCE_STEP,
    MOE_BALANCE_DECODE,
    MOE_BALANCE_PREFILL,
} moe_balance_of;

/* Batches of `batch` tokens; of no account for MOE_BALANCE_STEP, which wants routing->step. table
 * NULL: contiguous. */
moe_balance *moe_balance_new(const moe_pick *pick, moe_balance_of of, uint32_t batch,
                             const moe_rank_table *table, moe_progress *progress, void *context);
void moe_balance_free(moe_balance *balance);
/* Mean over steps at a layer (MOE_NONE: over steps and layers) on so many ranks; NAN without steps.
 */
double moe_balance_mean(const moe_balance *balance, uint32_t layer, uint32_t ranks);

#endif
