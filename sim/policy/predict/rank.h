/* Ranking of experts by score, for predictors: highest first, ties to the lower id. */
#ifndef MOE_POLICY_PREDICT_RANK_H
#define MOE_POLICY_PREDICT_RANK_H

#include "sim/policy/memory.h"
#include "sim/policy/predict/predict.h"

typedef struct moe_rank {
    double score;
    uint32_t expert;
} moe_rank;

static inline bool
moe_rank_before(moe_rank a, moe_rank b)
{
    return a.score > b.score || (a.score == b.score && a.expert < b.expert);
}

/* Shell sort: experts are few, and a library sort would allocate. */
static inline void
moe_rank_sort(moe_rank *ranks, size_t n)
{
    for (size_t gap = n / 2; gap; gap = gap == 2 ? 1 : gap * 5 / 11) {
        for (size_t i = gap; i < n; i++) {
            moe_rank rank = ranks[i];
            size_t j = i;
            for (; j >= gap && moe_rank_before(rank, ranks[j - gap]); j -= gap)
                ranks[j] = ranks[j - gap];
            ranks[j] = rank;
        }
    }
}

/* The `width` best of n scores, best first, ties to the lower id; returns how many were written
 * (fewer when fewer scores are above zero). One pass with an insertion into the short list: a
 * forecast wants few of many. */
static inline size_t
moe_rank_top(const double *scores, uint32_t n, moe_rank *best, size_t width)
{
    size_t kept = 0;
    double bar = 0;
    if (!width)
        return 0;
    for (uint32_t e = 0; e < n; e++) {
        if (scores[e] <= bar)
            continue;
        size_t at = kept < width ? kept++ : width - 1;
        for (; at > 0 && best[at - 1].score < scores[e]; at--)
            best[at] = best[at - 1];
        best[at] = (moe_rank){scores[e], e};
        if (kept == width)
            bar = best[width - 1].score;
    }
    return kept;
}

/* How many experts a forecast without a size of its own names: `width`, or, with 0, as many as
 * the layer just known demanded. */
static inline size_t
moe_rank_width(const moe_demand *demand, uint32_t step, uint32_t layer, int64_t width, size_t max)
{
    size_t n =
        width ? (size_t)width : moe_demand_size(demand, moe_demand_group(demand, step, layer));
    return n < max ? n : max;
}

#endif
