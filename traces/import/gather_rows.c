/* The rows of one token: as they stand in the input, then as the traps want them. */
#include "traces/import/gather_state.h"

#include "traces/import/router.h"

#include <math.h>

/* Unsigned buffers say "none" by their largest number in all slots. */
static void
gather_unsigned(const gather *g, const moe_array *array, int32_t *ids)
{
    static const int32_t none[MOE_ARRAY_TYPES] = {[MOE_ARRAY_U8] = UINT8_MAX,
                                                  [MOE_ARRAY_U16] = UINT16_MAX,
                                                  [MOE_ARRAY_U32] = INT32_MAX,
                                                  [MOE_ARRAY_U64] = INT32_MAX};
    int32_t largest = none[array->type];
    bool an_id = g->from == 1 && largest < (int32_t)(g->experts ? g->experts : UINT16_MAX);
    if (largest == 0 || ids[0] != largest || an_id)
        return;
    for (uint32_t j = 1; j < g->from; j++)
        if (ids[j] != largest)
            return;
    for (uint32_t j = 0; j < g->from; j++)
        ids[j] = -1;
}

/* A row of zeros, as wide as the buffer: no top-k gives that. */
static bool
gather_unwritten(const gather *g, const int32_t *ids)
{
    uint32_t j = 0;
    while (j < g->from && ids[j] == 0)
        j++;
    return g->from > 1 && j == g->from;
}

uint32_t
gather_load(gather *g, const moe_block *b, uint64_t t)
{
    uint32_t used = 0;
    for (uint32_t l = 0; l < g->n_layers; l++) {
        int32_t *ids = g->raw + (size_t)l * g->from;
        float *reals = g->reals + (size_t)l * g->from;
        if (g->logits || b->weights)
            moe_array_reals(g->logits ? &b->layers[l] : &b->weights[l], t, reals);
        if (g->logits)
            continue;
        moe_array_ints(&b->layers[l], t, ids);
        gather_unsigned(g, &b->layers[l], ids);
        uint32_t n = 0;
        for (uint32_t j = 0; j < g->from; j++)
            n += ids[j] != -1;
        used = n > used && !gather_unwritten(g, ids) ? n : used;
    }
    return used;
}

/* Empty slots to the end, those too many left out. */
static void
gather_compact(gather *g, uint32_t l)
{
    const int32_t *from = g->raw + (size_t)l * g->from;
    const float *with = g->reals + (size_t)l * g->from;
    int32_t *ids = g->ids + (size_t)l * g->k;
    float *weights = g->weights + (size_t)l * g->k;
    uint32_t n = 0;
    bool unwritten = gather_unwritten(g, from);
    for (uint32_t j = 0; j < g->from; j++) {
        if (from[j] == -1 || (unwritten && (n == g->k || g->k == 1)))
            continue;
        g->n_moved += j > n;
        ids[n] = from[j];
        if (g->has_weights)
            weights[n] = with[j];
        n++;
    }
    for (; n < g->k; n++) {
        ids[n] = MOE_TRAPS_NONE;
        weights[n] = 0;
    }
}

/* The experts that a layer's logits choose; a row of zeros is none. */
static bool
gather_choose(gather *g, const moe_block *b, uint64_t t, uint32_t l)
{
    const float *row = g->reals + (size_t)l * g->from;
    int32_t *ids = g->ids + (size_t)l * g->k;
    float *weights = g->weights + (size_t)l * g->k;
    bool zero = true;
    for (uint32_t e = 0; e < g->from; e++) {
        zero &= row[e] == 0;
        if (isnan(row[e]) || row[e] == INFINITY)
            return moe_place_error(&b->place,
                                   "token %" G_GUINT64_FORMAT ", layer %u: the logit of expert %u "
                                   "is %s",
                                   t, g->numbers ? g->numbers[l] : l, e,
                                   isnan(row[e]) ? "not a number" : "infinite");
    }
    uint32_t n =
        zero ? 0 : moe_router_top_k(row, g->from, g->k, g->job->options->renormalise, ids, weights);
    for (; n < g->k; n++) {
        ids[n] = zero ? 0 : MOE_TRAPS_NONE;
        weights[n] = 0;
    }
    return true;
}

/* Rows that use more slots than any before. */
static bool
gather_widen(gather *g, const moe_block *b, uint64_t t, uint32_t used)
{
    if (g->wanted)
        return moe_place_error(&b->place,
                               "token %" G_GUINT64_FORMAT
                               ": a row of %u experts, but %u are wanted "
                               "(--top-k, --model)",
                               t, used, g->wanted);
    g->k = used;
    moe_traps_widen(g->traps, used);
    size_t slots = (size_t)g->n_layers * used;
    g->ids = g_renew(int32_t, g->ids, slots);
    g->weights = g_renew(float, g->weights, slots);
    return true;
}

bool
gather_rows(gather *g, const moe_block *b, uint64_t t)
{
    uint32_t used = gather_load(g, b, t);
    if (!g->logits && used > g->k && !gather_widen(g, b, t, used))
        return false;
    for (uint32_t l = 0; l < g->n_layers; l++) {
        if (g->logits && !gather_choose(g, b, t, l))
            return false;
        if (g->logits)
            continue;
        gather_compact(g, l);
        int32_t first = g->ids[(size_t)l * g->k];
        if (first == MOE_TRAPS_NOT_RUN && !b->not_run)
            return moe_place_error(&b->place,
                                   "token %" G_GUINT64_FORMAT
                                   ", layer %u: %d is no expert; only -1 means none",
                                   t, g->numbers ? g->numbers[l] : l, first);
    }
    return true;
}
