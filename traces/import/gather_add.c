/* The second walk: tokens as the builder wants them. */
#include "traces/import/gather_state.h"

#include "traces/import/router.h"

#include <string.h>

/* The row of a kept layer as the builder wants it; false: it was never written. */
static bool
gather_row(gather *g, uint32_t l, uint16_t *ids, float *weights, uint32_t *n_out)
{
    size_t at = (size_t)l * g->k;
    const int32_t *from = g->ids + at;
    const float *with = g->weights + at;
    int32_t chosen[MOE_ROUTING_MAX_K];
    float of[MOE_ROUTING_MAX_K];
    uint32_t n = 0, k = g->k;
    if (g->logits) {
        k = moe_router_top_k(with, g->k, g->top_k, g->job->options->renormalise, chosen, of);
        from = chosen;
        with = of;
    } else if (g->k > 1 && gather_kind_of(g, from) == GATHER_ZERO) {
        return false;
    }
    for (uint32_t j = 0; j < k; j++) {
        if (from[j] < 0)
            continue;
        g->n_moved += j > n;
        ids[n] = (uint16_t)from[j];
        if (weights)
            weights[n] = with[j];
        n++;
    }
    *n_out = n;
    for (uint32_t j = n; j < g->top_k; j++) {
        ids[j] = n ? MOE_ROUTING_NO_EXPERT : MOE_ROUTING_NOT_RUN;
        if (weights)
            weights[j] = 0;
    }
    return true;
}

static uint32_t
gather_fact(const moe_block *b, moe_token_fact fact, uint64_t t, uint32_t otherwise)
{
    return b->facts[fact] ? (uint32_t)moe_array_whole(b->facts[fact], t) : otherwise;
}

static void
gather_facts(gather *g, const moe_block *b, uint64_t t)
{
    if (g->facts[MOE_TOKEN_STEP])
        moe_routing_builder_step(g->builder, gather_fact(b, MOE_TOKEN_STEP, t, 0));
    if (g->facts[MOE_TOKEN_ID])
        moe_routing_builder_token_id(g->builder, gather_fact(b, MOE_TOKEN_ID, t, 0));
    if (g->facts[MOE_TOKEN_DOMAIN])
        moe_routing_builder_domain(g->builder, (uint16_t)gather_fact(b, MOE_TOKEN_DOMAIN, t, 0));
    if (g->facts[MOE_TOKEN_MODALITY])
        moe_routing_builder_modality(g->builder, (uint8_t)gather_fact(b, MOE_TOKEN_MODALITY, t, 0));
}

static moe_phase
gather_phase(const gather *g, const moe_block *b, uint64_t t, uint32_t position)
{
    if (b->facts[MOE_TOKEN_PHASE])
        return (moe_phase)moe_array_whole(b->facts[MOE_TOKEN_PHASE], t);
    return g->phase_known && position < b->n_prefill ? MOE_PREFILL : MOE_DECODE;
}

/* A token's rows, ready in out_*; false: it is none, and counted. */
static bool
gather_rows(gather *g, const moe_block *b, uint64_t t)
{
    uint32_t at = 0, n = 0, present = 0, short_rows = 0, not_run = 0;
    for (uint32_t l = 0; l < g->n_layers; l++) {
        if (!g->layers[l].kept)
            continue;
        gather_load(g, b, t, l);
        float *weights = g->has_weights ? g->out_weights + (size_t)at * g->top_k : NULL;
        if (!gather_row(g, l, g->out_ids + (size_t)at * g->top_k, weights, &n)) {
            g->n_unwritten++;
            return false;
        }
        if (g->logits)
            memcpy(g->out_logits + (size_t)at * g->k, g->weights + (size_t)l * g->k,
                   g->k * sizeof *g->weights);
        present += n;
        short_rows += n > 0 && n < g->top_k;
        not_run += n == 0;
        at++;
    }
    g->n_absent += present == 0;
    if (present == 0)
        return false;
    g->n_short += short_rows;
    g->n_not_run += not_run;
    return true;
}

void
gather_add(gather *g, const moe_block *b, uint64_t t)
{
    if (gather_padding(b, t)) {
        g->n_padding++;
        return;
    }
    if (!gather_rows(g, b, t))
        return;
    uint32_t sequence = gather_fact(b, MOE_TOKEN_SEQUENCE, t, b->sequence);
    uint32_t position = gather_fact(b, MOE_TOKEN_POSITION, t, b->position + (uint32_t)t);
    moe_routing_builder_add(g->builder, sequence, position, gather_phase(g, b, t, position),
                            g->out_ids, g->has_weights ? g->out_weights : NULL);
    if (g->logits)
        moe_routing_builder_logits(g->builder, g->out_logits);
    gather_facts(g, b, t);
}
