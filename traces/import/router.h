/* What a softmax router makes of its logits: the k largest probabilities. */
#ifndef MOE_TRACES_IMPORT_ROUTER_H
#define MOE_TRACES_IMPORT_ROUTER_H

#include "sim/base/base.h"

/* The k largest of n logits, largest first, equal ones by falling index last; their probabilities
 * under softmax over all n, or over the k chosen (`renormalise`: Mixtral, Qwen with norm_topk_prob,
 * gpt-oss). Logits are numbers or -inf. Returns how many of the k are above -inf. */
uint32_t moe_router_top_k(const float *logits, uint32_t n, uint32_t k, bool renormalise,
                          int32_t *ids, float *weights);

#endif
