#include "traces/stats/recall.h"

#include <glib.h>
#include <math.h>

moe_recall *
moe_recall_new(const moe_routing *routing)
{
    moe_recall *r = g_new0(moe_recall, 1);
    r->n_layers = routing->n_layers;
    r->n_lookahead = routing->n_lookahead;
    r->named = g_new0(uint64_t, (size_t)r->n_lookahead * r->n_layers + 1);
    r->routed = g_new0(uint64_t, (size_t)r->n_lookahead * r->n_layers + 1);
    return r;
}

void
moe_recall_free(moe_recall *r)
{
    if (!r)
        return;
    g_free(r->named);
    g_free(r->routed);
    g_free(r);
}

static uint32_t
shared(const uint16_t *a, uint32_t n_a, const uint16_t *b, uint32_t n_b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_a; i++)
        for (uint32_t j = 0; j < n_b; j++)
            n += a[i] == b[j];
    return n;
}

void
moe_recall_add(void *recall, const moe_block *block)
{
    moe_recall *r = recall;
    uint16_t predicted[MOE_ROUTING_MAX_K];
    for (uint32_t i = 0; i < r->n_lookahead; i++) {
        size_t at = (size_t)i * r->n_layers + block->layer;
        if (block->layer < block->routing->lookahead[i].distance)
            continue;
        for (uint32_t t = 0; t < block->n; t++) {
            uint32_t n = moe_routing_lookahead_row(block->routing, i, block->row[t], block->layer,
                                                   predicted);
            r->named[at] +=
                shared(block->ids + (size_t)t * block->k, block->count[t], predicted, n);
            r->routed[at] += block->count[t];
        }
    }
}

double
moe_recall_at(const moe_recall *r, uint32_t i, uint32_t layer)
{
    uint64_t named = 0, routed = 0;
    for (uint32_t l = 0; l < r->n_layers; l++) {
        if (layer != MOE_NONE && layer != l)
            continue;
        named += r->named[(size_t)i * r->n_layers + l];
        routed += r->routed[(size_t)i * r->n_layers + l];
    }
    return routed ? (double)named / (double)routed : NAN;
}
