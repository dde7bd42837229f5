/* How many distinct experts of a layer a batch of B tokens needs (batches: traces/stats/batch.h).
 * What B uniform draws would need: E (1 - (1 - k / E)^B). */
#ifndef MOE_TRACES_STATS_COVERAGE_H
#define MOE_TRACES_STATS_COVERAGE_H

#include "traces/stats/batch.h"

#define MOE_COVERAGE_SIZES 10 /* B = 1, 2, 4, … 512 */

typedef struct moe_coverage {
    uint32_t n_layers, n_experts;
    uint64_t batches[MOE_COVERAGE_SIZES];
    uint64_t *distinct; /* [n_layers][MOE_COVERAGE_SIZES]: summed over the batches */
} moe_coverage;

moe_coverage *moe_coverage_new(const moe_pick *pick, moe_phase phase, moe_progress *progress,
                               void *context);
void moe_coverage_free(moe_coverage *coverage);
/* Mean distinct experts of a batch of 2^size tokens at a layer (MOE_NONE: mean over layers); NAN
 * without batches. */
double moe_coverage_mean(const moe_coverage *coverage, uint32_t layer, uint32_t size);

#endif
