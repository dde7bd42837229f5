/* What the gates of a step's tokens say, as one ranked forecast: for who feeds `recorded`. */
#ifndef MOE_POLICY_PREDICT_UNITE_H
#define MOE_POLICY_PREDICT_UNITE_H

#include "sim/policy/predict/predict.h"

#include <stdlib.h>

/* One of a step's `tokens` tokens names `expert`; returns the new length of the forecast. */
static inline size_t
moe_unite_add(moe_forecast *out, size_t n, size_t max, uint32_t expert, uint32_t tokens)
{
    size_t i = 0;
    while (i < n && out[i].expert != expert)
        i++;
    if (i == max)
        return n;
    if (i == n)
        out[n++] = (moe_forecast){expert, 0};
    out[i].probability += 1.0f / (float)tokens;
    return n;
}

static inline int
moe_unite_compare(const void *a, const void *b)
{
    const moe_forecast *x = a, *y = b;
    if (x->probability != y->probability)
        return x->probability > y->probability ? -1 : 1;
    return x->expert < y->expert ? -1 : x->expert > y->expert;
}

/* All are named: most often first, ties to the lower id; one token's own order is its gate's. */
static inline void
moe_unite_rank(moe_forecast *out, size_t n, uint32_t tokens)
{
    if (tokens > 1)
        qsort(out, n, sizeof *out, moe_unite_compare);
}

#endif
