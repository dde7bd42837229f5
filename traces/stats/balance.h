/* Load of the ranks that hold the experts, step by step and layer by layer: the busiest rank's
 * token-expert pairs over the mean of the ranks. Steps are those recorded, if the trace has any,
 * else batches of decode or prefill tokens (traces/stats/batch.h).
 *
 * Contiguous placement: expert e stands on rank floor(e R / E). */
#ifndef MOE_TRACES_STATS_BALANCE_H
#define MOE_TRACES_STATS_BALANCE_H

#include "traces/stats/batch.h"

#define MOE_BALANCE_RANKS 8 /* R = 1 .. 8 */

typedef struct moe_balance {
    uint32_t n_layers, batch;
    uint64_t *steps;   /* [n_layers]: in which the layer had pairs */
    double *imbalance; /* [n_layers][MOE_BALANCE_RANKS]: busiest over mean, summed over steps */
} moe_balance;

typedef enum moe_balance_of {
    MOE_BALANCE_STEP,
    MOE_BALANCE_DECODE,
    MOE_BALANCE_PREFILL,
} moe_balance_of;

/* Batches of `batch` tokens; of no account for MOE_BALANCE_STEP, which wants routing->step. */
moe_balance *moe_balance_new(const moe_pick *pick, moe_balance_of of, uint32_t batch,
                             moe_progress *progress, void *context);
void moe_balance_free(moe_balance *balance);
/* Mean over steps at a layer (MOE_NONE: over steps and layers); NAN without steps. */
double moe_balance_mean(const moe_balance *balance, uint32_t layer, uint32_t ranks);

#endif
