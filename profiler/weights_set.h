/* Inside profiler/weights: what owns the weights. */
#ifndef MOE_PROFILER_WEIGHTS_SET_H
#define MOE_PROFILER_WEIGHTS_SET_H

#include "profiler/weights.h"
#include "profiler/weights_files.h"

struct moe_weights_set {
    moe_weights weights;
    moe_arch_set *arch;
    weights_files *files;
    GPtrArray *paths;
    uint32_t n_layers;
    uint64_t *expert_bytes; /* [n_layers]: of the largest expert; 0: dense */
};

/* Fills expert_bytes, once all experts are bound. */
void moe_weights_measure_experts(moe_weights_set *set);

#endif
