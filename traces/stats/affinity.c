#include "traces/stats/affinity.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES (1ull << 28)

moe_affinity *
moe_affinity_new(const moe_routing *routing)
{
    uint64_t experts = routing->n_experts, n = experts * experts * routing->n_layers;
    if (n > MAX_ENTRIES)
        return NULL;
    moe_affinity *a = g_new0(moe_affinity, 1);
    a->n_layers = routing->n_layers;
    a->n_experts = routing->n_experts;
    a->k = routing->k;
    a->pairs = g_new0(uint32_t, n);
    a->before = g_new0(uint32_t, (size_t)a->n_layers * a->n_experts);
    return a;
}

void
moe_affinity_free(moe_affinity *a)
{
    if (!a)
        return;
    g_free(a->pairs);
    g_free(a->before);
    g_free(a);
}

/* k is a constant where this is inlined. */
static inline __attribute__((always_inline)) void
count_full(const moe_block *block, uint32_t *pairs, uint32_t *before, uint32_t n_experts,
           uint32_t k)
{
    const uint16_t *above = block->above, *ids = block->ids;
    for (uint32_t t = 0; t < block->n; t++, above += k, ids += k) {
        for (uint32_t i = 0; i < k; i++) {
            uint32_t *row = pairs + (size_t)above[i] * n_experts;
            before[above[i]]++;
            for (uint32_t j = 0; j < k; j++)
                row[ids[j]]++;
        }
    }
}

static void
count_ragged(const moe_block *block, uint32_t *pairs, uint32_t *before, uint32_t n_experts)
{
    for (uint32_t t = 0; t < block->n; t++) {
        const uint16_t *above = block->above + (size_t)t * block->k;
        const uint16_t *ids = block->ids + (size_t)t * block->k;
        for (uint32_t i = 0; block->count[t] && i < block->count_above[t]; i++) {
            before[above[i]]++;
            for (uint32_t j = 0; j < block->count[t]; j++)
                pairs[(size_t)above[i] * n_experts + ids[j]]++;
        }
    }
}

void
moe_affinity_add(void *affinity, const moe_block *block)
{
    moe_affinity *a = affinity;
    if (!block->above)
        return;
    size_t layer = (size_t)block->layer * a->n_experts;
    uint32_t *pairs = a->pairs + layer * a->n_experts, *before = a->before + layer;
    if (!block->full || !block->full_above)
        count_ragged(block, pairs, before, a->n_experts);
    else if (block->k == 4)
        count_full(block, pairs, before, a->n_experts, 4);
    else if (block->k == 8)
        count_full(block, pairs, before, a->n_experts, 8);
    else
        count_full(block, pairs, before, a->n_experts, block->k);
}

static int
falling(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

/* Sum of the k largest; `values` is left sorted. */
static uint64_t
largest(uint64_t *values, uint32_t n, uint32_t k)
{
    uint64_t sum = 0;
    qsort(values, n, sizeof *values, falling);
    for (uint32_t i = 0; i < MIN(n, k); i++)
        sum += values[i];
    return sum;
}

/* Pairs by the expert after, by the expert before, and in all. */
static uint64_t
margins(const moe_affinity *a, uint32_t layer, uint64_t *after, uint64_t *before)
{
    uint64_t all = 0;
    for (uint32_t x = 0; x < a->n_experts; x++) {
        const uint32_t *row = moe_affinity_row(a, layer, x);
        for (uint32_t y = 0; y < a->n_experts; y++) {
            after[y] += row[y];
            before[x] += row[y];
        }
        all += before[x];
    }
    return all;
}

moe_affinity_summary
moe_affinity_of(const moe_affinity *a, uint32_t layer)
{
    uint32_t n = a->n_experts;
    g_autofree uint64_t *after = g_new0(uint64_t, n), *before = g_new0(uint64_t, n);
    g_autofree uint64_t *sorted = g_new0(uint64_t, n);
    uint64_t all = margins(a, layer, after, before), followed = 0;
    if (!all)
        return (moe_affinity_summary){NAN, NAN, NAN};
    double information = 0, total = (double)all;
    for (uint32_t x = 0; x < n; x++) {
        const uint32_t *row = moe_affinity_row(a, layer, x);
        for (uint32_t y = 0; y < n; y++) {
            sorted[y] = row[y];
            if (row[y])
                information +=
                    (double)row[y] / total *
                    log2((double)row[y] * total / ((double)before[x] * (double)after[y]));
        }
        followed += largest(sorted, n, a->k);
    }
    return (moe_affinity_summary){
        .mass = (double)followed / total,
        .independent = (double)largest(after, n, a->k) / total,
        .information = information,
    };
}

uint32_t
moe_affinity_partner(const moe_affinity *a, uint32_t layer, uint32_t expert, double *probability)
{
    const uint32_t *row = moe_affinity_row(a, layer, expert);
    uint32_t uses = a->before[(size_t)layer * a->n_experts + expert], best = 0;
    if (!uses)
        return MOE_NONE;
    for (uint32_t y = 1; y < a->n_experts; y++)
        if (row[y] > row[best])
            best = y;
    *probability = (double)row[best] / (double)uses;
    return best;
}
