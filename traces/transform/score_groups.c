/* Merge groups: who stays, and whom the others join. */
#include "traces/transform/score.h"

#include <math.h>
#include <string.h>

enum { GROUPS_TOKENS = 16384 };

/* Marks the `groups` x n_layers most used experts of the model, at least one in each layer. */
static void
pick_dominant(const double *usage, uint32_t n_layers, uint32_t n_experts, uint32_t groups,
              bool *dominant)
{
    uint32_t n = n_layers * n_experts, wanted = groups * n_layers;
    g_autofree uint32_t *order = g_new(uint32_t, n);
    moe_score_rank(usage, n, order);
    for (uint32_t l = 0; l < n_layers; l++) {
        uint32_t best = l * n_experts;
        for (uint32_t e = 1; e < n_experts; e++)
            if (usage[l * n_experts + e] > usage[best])
                best = l * n_experts + e;
        dominant[best] = true;
        wanted--;
    }
    for (uint32_t i = 0; i < n && wanted > 0; i++)
        if (!dominant[order[i]]) {
            dominant[order[i]] = true;
            wanted--;
        }
}

/* The token's value for each expert of the layer. */
static void
features(const moe_routing *routing, uint64_t row, uint32_t layer, double *value)
{
    uint32_t n = routing->n_experts;
    uint64_t at = row * routing->n_layers + layer;
    for (uint32_t e = 0; e < n; e++) {
        float logit = routing->logits ? moe_routing_f16(routing->logits[at * n + e]) : 0;
        value[e] = isfinite(logit) ? (double)logit : 0;
    }
    for (uint32_t j = 0; j < routing->k && !routing->logits; j++) {
        uint32_t id = moe_routing_id(routing, row, layer, j);
        if (id >= MOE_ROUTING_NOT_RUN)
            break;
        value[id] = routing->weights ? (double)routing->weights[at * routing->k + j] : 1;
    }
}

/* products[n * n]: sums over tokens of the products of two experts' values. */
static void
gram(const moe_routing *routing, uint32_t layer, double *value, double *products)
{
    uint32_t n = routing->n_experts;
    uint64_t stride = 1 + (routing->n_tokens - 1) / GROUPS_TOKENS;
    memset(products, 0, (size_t)n * n * sizeof *products);
    for (uint64_t t = 0; t < routing->n_tokens; t += stride) {
        features(routing, t, layer, value);
        for (uint32_t i = 0; i < n; i++) {
            if (value[i] == 0)
                continue;
            for (uint32_t j = 0; j < n; j++)
                products[(size_t)i * n + j] += value[i] * value[j];
        }
    }
}

void
moe_score_groups(const moe_routing *routing, uint32_t groups, uint16_t *to)
{
    uint32_t n = routing->n_experts;
    moe_score_of of = {MOE_SCORE_FREQUENCY, 0, routing->n_sequences, MOE_NONE, 0, 0};
    g_autofree double *usage = moe_score(routing, &of);
    g_autofree bool *dominant = g_new0(bool, (size_t)routing->n_layers *n);
    g_autofree double *value = g_new(double, n), *products = g_new(double, (size_t)n *n);
    pick_dominant(usage, routing->n_layers, n, groups, dominant);
    for (uint32_t l = 0; l < routing->n_layers; l++) {
        const bool *stays = dominant + (size_t)l * n;
        gram(routing, l, value, products);
        for (uint32_t e = 0; e < n; e++) {
            uint32_t best = MOE_NONE;
            double most = 0;
            for (uint32_t d = 0; d < n && !stays[e]; d++) {
                double norm = products[(size_t)d * n + d];
                double cosine = norm > 0 ? products[(size_t)e * n + d] / sqrt(norm) : 0;
                if (stays[d] && (best == MOE_NONE || cosine > most)) {
                    best = d;
                    most = cosine;
                }
            }
            to[(size_t)l * n + e] = (uint16_t)(stays[e] ? e : best);
        }
    }
}
