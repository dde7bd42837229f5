/* next-layer: what the forecast names for the next layers, nearest layer first.
 *
 * At each known gate: the experts forecast for the next MoE layer in ranked order, then those of
 * the layer after it, and so on up to `distance`, at most `budget` in all.
 *
 * Eliseev, Mazur, Fast inference of Mixture-of-Experts language models with offloading, 2023
 * (one layer ahead, one or two experts). */
#include "sim/policy/prefetch/buffer.h"

typedef struct next_layer_config {
    int64_t budget, distance;
} next_layer_config;

struct next_layer {
    next_layer_config config;
    moe_forecast_buffer buffer;
};

static const moe_param next_layer_rows[] = {
    {"budget", MOE_PARAM_INT, offsetof(next_layer_config, budget), "0", 0, 1 << 20,
     .unit = "experts", .flags = MOE_PARAM_IDENTITY,
     .help = "Experts wanted at most per known gate; 0: as many as the forecast has."},
    {"distance", MOE_PARAM_INT, offsetof(next_layer_config, distance), "1", 1, 1024,
     .unit = "layers", .flags = MOE_PARAM_IDENTITY,
     .help = "How many MoE layers ahead to look, nearest first."},
};

static void *
next_layer_open(const void *config)
{
    struct next_layer *next = moe_policy_alloc(1, sizeof *next);
    next->config = *(const next_layer_config *)config;
    return next;
}

static void
next_layer_close(void *state)
{
    free(((struct next_layer *)state)->buffer.items);
    free(state);
}

static size_t
next_layer_want(void *state, const moe_prefetch_query *query, moe_want *out, size_t max)
{
    struct next_layer *next = state;
    size_t budget = next->config.budget ? (size_t)next->config.budget : max, n = 0;
    budget = budget < max ? budget : max;
    for (uint32_t d = 1; d <= next->config.distance && d <= query->reach; d++) {
        uint32_t target = query->layer + d;
        if (target >= query->n_layers || n == budget)
            break;
        size_t named = moe_forecast_ask(&next->buffer, query, target);
        for (size_t i = 0; i < named && n < budget; i++)
            out[n++] = (moe_want){target, next->buffer.items[i].expert};
    }
    return n;
}

static const moe_prefetch_ops next_layer_ops = {
    .predicts = true,
    .open = next_layer_open,
    .close = next_layer_close,
    .want = next_layer_want,
};

const moe_variant moe_prefetch_next_layer = {
    .name = "next-layer",
    .help = "Want what is forecast for the next layers, nearest layer first.",
    .rows = next_layer_rows,
    .n_rows = MOE_COUNT(next_layer_rows),
    .config_size = sizeof(next_layer_config),
    .ops = &next_layer_ops,
};
