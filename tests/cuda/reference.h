/* The project's own router, for tests that are no C. */
#ifndef MOE_TESTS_CUDA_REFERENCE_H
#define MOE_TESTS_CUDA_REFERENCE_H

#include "profiler/cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* moe_route of one row. */
void moe_reference_route(const moe_cuda_router *router, const float *logits,
                         const float *correction, uint16_t *ids, float *weights);

#ifdef __cplusplus
}
#endif
#endif
