/* whole-next-layer: every expert of the next MoE layers, whatever the gate will say.
 *
 * No prediction: layers are streamed through the cache in order, experts by ascending id, which
 * hides loads completely when a layer's experts load faster than a layer computes.
 *
 * Shen et al., SE-MoE: a scalable and efficient Mixture-of-Experts distributed training and
 * inference system, 2022 (ring memory offloading). */
#include "sim/policy/memory.h"
#include "sim/policy/prefetch/prefetch.h"

typedef struct whole_next_layer_config {
    int64_t distance;
} whole_next_layer_config;

static const moe_param whole_next_layer_rows[] = {
    {"distance", MOE_PARAM_INT, offsetof(whole_next_layer_config, distance), "1", 1, 1024,
     .unit = "layers", .flags = MOE_PARAM_IDENTITY,
     .help = "How many MoE layers ahead to load, nearest first."},
};

static void *
whole_next_layer_open(const void *config)
{
    whole_next_layer_config *state = moe_policy_alloc(1, sizeof *state);
    *state = *(const whole_next_layer_config *)config;
    return state;
}

static void
whole_next_layer_close(void *state)
{
    free(state);
}

static size_t
whole_next_layer_want(void *state, const moe_prefetch_query *query, moe_want *out, size_t max)
{
    const whole_next_layer_config *config = state;
    size_t n = 0;
    for (uint32_t d = 1; d <= config->distance && query->layer + d < query->n_layers; d++)
        for (uint32_t e = 0; e < query->n_experts && n < max; e++)
            out[n++] = (moe_want){query->layer + d, e};
    return n;
}

static const moe_prefetch_ops whole_next_layer_ops = {
    .open = whole_next_layer_open,
    .close = whole_next_layer_close,
    .want = whole_next_layer_want,
};

const moe_variant moe_prefetch_whole_next_layer = {
    .name = "whole-next-layer",
    .help = "Want all experts of the next MoE layers, by ascending id (SE-MoE's ring).",
    .rows = whole_next_layer_rows,
    .n_rows = MOE_COUNT(whole_next_layer_rows),
    .config_size = sizeof(whole_next_layer_config),
    .ops = &whole_next_layer_ops,
};
