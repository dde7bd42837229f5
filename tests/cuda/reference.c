/* The project's own router, for tests that are no C. */
#include "tests/cuda/reference.h"

#include "profiler/decoder.h"

#include <stdlib.h>

void
moe_reference_route(const moe_cuda_router *router, const float *logits, const float *correction,
                    uint16_t *ids, float *weights)
{
    static const moe_score scores[] = {
        [MOE_CUDA_SCORE_SOFTMAX] = MOE_SCORE_SOFTMAX,
        [MOE_CUDA_SCORE_SIGMOID] = MOE_SCORE_SIGMOID,
        [MOE_CUDA_SCORE_TOPK_SOFTMAX] = MOE_SCORE_TOPK_SOFTMAX,
    };
    moe_router_rule rule = {
        .score = scores[router->score],
        .experts = router->experts,
        .top_k = router->top_k,
        .groups = router->groups,
        .top_groups = router->top_groups,
        .group_score = router->group_top_two ? MOE_GROUP_TOP_TWO : MOE_GROUP_BEST,
        .normalise = router->normalise,
        .scale = router->scale,
    };
    float choice[MOE_CUDA_MAX_EXPERTS];
    moe_route(&rule, logits, correction, choice, ids, weights);
}
