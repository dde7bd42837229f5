#include "traces/import/router.h"

#include <math.h>

uint32_t
moe_router_top_k(const float *logits, uint32_t n, uint32_t k, bool renormalise, int32_t *ids,
                 float *weights)
{
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (logits[i] == -INFINITY || (chosen == k && logits[i] <= logits[ids[k - 1]]))
            continue;
        uint32_t at = chosen < k ? chosen++ : k - 1;
        for (; at > 0 && logits[ids[at - 1]] < logits[i]; at--)
            ids[at] = ids[at - 1];
        ids[at] = (int32_t)i;
    }
    if (chosen == 0)
        return 0;
    double top = (double)logits[ids[0]], sum = 0;
    if (renormalise)
        for (uint32_t j = 0; j < chosen; j++)
            sum += exp((double)logits[ids[j]] - top);
    else
        for (uint32_t i = 0; i < n; i++)
            sum += exp((double)logits[i] - top);
    for (uint32_t j = 0; j < chosen; j++)
        weights[j] = (float)(exp((double)logits[ids[j]] - top) / sum);
    return chosen;
}
