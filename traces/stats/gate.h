/* Gate weights, and the load-balance loss.
 *
 * Weights of a row are taken as shares of their sum, largest first. Rows whose weights do not add
 * up to something positive are left out.
 *
 * Load-balance loss (Shazeer et al. 2017; Fedus et al., Switch Transformer, 2021): E * sum over
 * experts of f * p, f an expert's share of the choices, p its mean probability; 1 when all experts
 * are alike. p comes from the recorded router logits (softmax), or else from the gate weights,
 * which know nothing of the experts that were not chosen. micro: within each sequence, mean over
 * sequences; global: over all tokens (arXiv 2501.11873 compares the two). */
#ifndef MOE_TRACES_STATS_GATE_H
#define MOE_TRACES_STATS_GATE_H

#include "traces/stats/sweep.h"

#define MOE_GATE_BINS 1000 /* of a share, 0 .. 1 */

typedef struct moe_gate moe_gate;

/* NULL: neither weights nor logits are recorded. */
moe_gate *moe_gate_new(const moe_routing *routing);
void moe_gate_free(moe_gate *gate);
void moe_gate_add(void *gate, const moe_block *block);
/* After the last block. */
void moe_gate_finish(moe_gate *gate);

/* Mean share of the rank-th largest weight (from 0); NAN when weights are not recorded. layer
 * MOE_NONE: over all. */
double moe_gate_share(const moe_gate *gate, uint32_t layer, uint32_t rank);
/* Quantile of the largest weight's share, as the upper end of its bin. */
double moe_gate_top_quantile(const moe_gate *gate, uint32_t layer, double share);
/* The losses of a layer; layer MOE_NONE: mean over layers. */
double moe_gate_loss_micro(const moe_gate *gate, uint32_t layer);
double moe_gate_loss_global(const moe_gate *gate, uint32_t layer);

#endif
