#include "traces/stats/popularity.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

moe_popularity *
moe_popularity_new(const moe_routing *routing)
{
    moe_popularity *p = g_new0(moe_popularity, 1);
    p->n_layers = routing->n_layers;
    p->n_experts = routing->n_experts;
    p->counts = g_new0(uint64_t, (size_t)p->n_layers * p->n_experts);
    p->tokens = g_new0(uint64_t, p->n_layers);
    return p;
}

void
moe_popularity_free(moe_popularity *p)
{
    if (!p)
        return;
    g_free(p->counts);
    g_free(p->tokens);
    g_free(p);
}

void
moe_popularity_add(void *popularity, const moe_block *block)
{
    moe_popularity *p = popularity;
    uint64_t *counts = p->counts + (size_t)block->layer * p->n_experts;
    if (block->full) {
        size_t n = (size_t)block->n * block->k;
        for (size_t i = 0; i < n; i++)
            counts[block->ids[i]]++;
        p->tokens[block->layer] += block->n;
        return;
    }
    for (uint32_t t = 0; t < block->n; t++) {
        for (uint32_t j = 0; j < block->count[t]; j++)
            counts[block->ids[(size_t)t * block->k + j]]++;
        p->tokens[block->layer] += block->count[t] > 0;
    }
}

static int
falling(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

/* Least squares over the ranks whose count is not zero. */
static double
zipf_exponent(const uint64_t *sorted, size_t n)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0, used = 0;
    for (size_t i = 0; i < n && sorted[i]; i++) {
        double x = log((double)(i + 1)), y = log((double)sorted[i]);
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
        used++;
    }
    return used < 2 ? NAN : -(used * sxy - sx * sy) / (used * sxx - sx * sx);
}

moe_spread
moe_popularity_spread(const uint64_t *counts, size_t n, uint64_t tokens)
{
    g_autofree uint64_t *sorted = g_memdup2(counts, n * sizeof *counts);
    qsort(sorted, n, sizeof *sorted, falling);
    double sum = 0, weighted = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)sorted[i];
        weighted += (double)sorted[i] * (double)(n - i); /* rank from the least used, 1 .. n */
    }
    if (sum == 0)
        return (moe_spread){NAN, NAN, NAN, NAN, NAN};
    double mean = sum / (double)n, entropy = 0;
    for (size_t i = 0; i < n; i++) {
        double share = (double)sorted[i] / sum, off = (double)sorted[i] - mean;
        entropy -= sorted[i] ? share * log2(share) : 0;
        square += off * off;
    }
    return (moe_spread){
        .max_over_mean = (double)sorted[0] / mean,
        .gini = (2 * weighted / sum - (double)n - 1) / (double)n,
        .entropy_bits = entropy,
        .zipf = zipf_exponent(sorted, n),
        .frequency_sd = sqrt(square / (double)n) / (double)tokens,
    };
}
