/* What kinds share: sums and scales of a row, softmax, the best experts by logit. Doubles in a
 * fixed order and moe_exp, so that every machine makes the same bytes. */
#ifndef MOE_TRACES_TRANSFORM_ROW_H
#define MOE_TRACES_TRANSFORM_ROW_H

#include "sim/base/elementary.h"
#include "traces/transform/transform.h"

#include <float.h>
#include <math.h>

#define ROW_ID MOE_PARAM_IDENTITY
#define ROW_RENORMALISE(type)                                                                      \
    {                                                                                              \
        "renormalise", MOE_PARAM_BOOL, offsetof(type, renormalise), "true",                        \
            .flags = ROW_ID,                                                                       \
            .help = "Scale the weights that stay so that a row's sum is what it was."              \
    }

static inline double
row_sum(const moe_transform_row *row)
{
    double sum = 0;
    for (uint32_t j = 0; row->weights && j < row->n; j++)
        sum += (double)row->weights[j];
    return sum;
}

/* Scales what is left to `sum`, unless nothing is left or it has no weight. What a float cannot
 * hold stays the largest that it can. */
static inline void
row_renormalise(moe_transform_row *row, double sum)
{
    double left = row_sum(row);
    if (!row->weights || left == 0 || left == sum)
        return;
    for (uint32_t j = 0; j < row->n; j++)
        row->weights[j] =
            (float)CLAMP((double)row->weights[j] * (sum / left), -(double)FLT_MAX, (double)FLT_MAX);
}

/* Keeps the experts whose flag is set, in their order. */
static inline void
row_keep(moe_transform_row *row, const bool *keep, bool renormalise)
{
    double sum = row_sum(row);
    uint32_t n = 0;
    for (uint32_t j = 0; j < row->n; j++) {
        if (!keep[j])
            continue;
        row->ids[n] = row->ids[j];
        if (row->weights)
            row->weights[n] = row->weights[j];
        n++;
    }
    bool fewer = n < row->n;
    row->n = n;
    if (renormalise && fewer)
        row_renormalise(row, sum);
}

/* order[i]: slot of the i-th heaviest expert, ties in order of the row; without weights the order
 * of the row. */
static inline void
row_order(const moe_transform_row *row, uint32_t *order)
{
    for (uint32_t i = 0; i < row->n; i++) {
        uint32_t at = i;
        for (; row->weights && at > 0 && row->weights[order[at - 1]] < row->weights[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

/* 1 / (1 + e^-x) */
static inline double
row_sigmoid(double x)
{
    double small = moe_exp(-fabs(x));
    return x >= 0 ? 1 / (1 + small) : small / (1 + small);
}

/* The experts with the highest logits, ties by number, those of -inf never: at most k, best first.
 * Returns how many. */
static inline uint32_t
row_best(const float *logits, uint32_t n_experts, uint32_t k, uint16_t *ids)
{
    uint32_t n = 0;
    for (uint32_t e = 0; e < n_experts; e++) {
        if (logits[e] == -INFINITY || (n == k && logits[ids[n - 1]] >= logits[e]))
            continue;
        uint32_t at = n < k ? n++ : k - 1;
        for (; at > 0 && logits[ids[at - 1]] < logits[e]; at--)
            ids[at] = ids[at - 1];
        ids[at] = (uint16_t)e;
    }
    return n;
}

/* Sum of e^(logit - highest) over all experts. */
static inline double
row_partition(const float *logits, uint32_t n_experts, double highest)
{
    double sum = 0;
    for (uint32_t e = 0; e < n_experts; e++)
        sum += moe_exp((double)logits[e] - highest);
    return sum;
}

/* What several kinds ask for. */
static inline unsigned
row_needs_weights(const void *config)
{
    return MOE_TRANSFORM_WEIGHTS;
}

#endif
