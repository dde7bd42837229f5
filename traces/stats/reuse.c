#include "traces/stats/reuse.h"

#include <glib.h>

struct moe_reuse {
    uint32_t n_layers, n_experts;
    uint64_t *last;   /* [n_layers][n_experts]: time of the last use; 0: never */
    uint64_t *counts; /* [n_layers][MOE_REUSE_GAPS + 1] */
    struct clock {
        uint64_t now, start; /* start: of the sequence */
    } * clocks;
};

moe_reuse *
moe_reuse_new(const moe_routing *routing)
{
    moe_reuse *r = g_new0(moe_reuse, 1);
    r->n_layers = routing->n_layers;
    r->n_experts = routing->n_experts;
    r->last = g_new0(uint64_t, (size_t)r->n_layers * r->n_experts);
    r->counts = g_new0(uint64_t, (size_t)r->n_layers * (MOE_REUSE_GAPS + 1));
    r->clocks = g_new0(struct clock, r->n_layers);
    return r;
}

void
moe_reuse_free(moe_reuse *r)
{
    if (!r)
        return;
    g_free(r->last);
    g_free(r->counts);
    g_free(r->clocks);
    g_free(r);
}

void
moe_reuse_add(void *reuse, const moe_block *block)
{
    moe_reuse *r = reuse;
    uint64_t *last = r->last + (size_t)block->layer * r->n_experts;
    uint64_t *counts = r->counts + (size_t)block->layer * (MOE_REUSE_GAPS + 1);
    struct clock clock = r->clocks[block->layer];
    for (uint32_t t = 0; t < block->n; t++) {
        const uint16_t *ids = block->ids + (size_t)t * block->k;
        clock.now++;
        if (block->place[t] == 0)
            clock.start = clock.now;
        for (uint32_t j = 0; j < block->count[t]; j++) {
            uint64_t before = last[ids[j]], gap = MIN(clock.now - before, MOE_REUSE_GAPS);
            counts[before < clock.start ? 0 : gap]++;
            last[ids[j]] = clock.now;
        }
    }
    r->clocks[block->layer] = clock;
}

uint64_t
moe_reuse_count(const moe_reuse *r, uint32_t layer, uint32_t gap)
{
    uint64_t n = 0;
    for (uint32_t l = 0; l < r->n_layers; l++)
        n +=
            layer == MOE_NONE || layer == l ? r->counts[(size_t)l * (MOE_REUSE_GAPS + 1) + gap] : 0;
    return n;
}

uint32_t
moe_reuse_quantile(const moe_reuse *r, uint32_t layer, double share)
{
    uint64_t all = 0, sum = 0;
    for (uint32_t gap = 1; gap <= MOE_REUSE_GAPS; gap++)
        all += moe_reuse_count(r, layer, gap);
    for (uint32_t gap = 1; all && gap <= MOE_REUSE_GAPS; gap++) {
        sum += moe_reuse_count(r, layer, gap);
        if ((double)sum >= share * (double)all)
            return gap;
    }
    return 0;
}
