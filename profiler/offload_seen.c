#include "profiler/offload_state.h"

static void
publish(moe_offload_seen *seen)
{
    seen->demand.first = (const uint64_t *)(void *)seen->first->data;
    seen->demand.expert = (const uint16_t *)(void *)seen->expert->data;
    seen->demand.tokens = (const uint32_t *)(void *)seen->tokens->data;
    seen->demand.step_tokens = (const uint32_t *)(void *)seen->step_tokens->data;
}

void
moe_offload_seen_init(moe_offload_seen *seen, uint32_t n_layers, uint32_t n_experts)
{
    uint64_t none = 0;
    seen->first = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    seen->expert = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    seen->tokens = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    seen->step_tokens = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    seen->demand = (moe_demand){.n_layers = n_layers, .n_experts = n_experts};
    g_array_append_val(seen->first, none);
    publish(seen);
}

void
moe_offload_seen_clear(moe_offload_seen *seen)
{
    GArray *arrays[] = {seen->first, seen->expert, seen->tokens, seen->step_tokens};
    for (size_t i = 0; i < MOE_COUNT(arrays); i++)
        if (arrays[i])
            g_array_free(arrays[i], TRUE);
}

void
moe_offload_seen_add(moe_offload_seen *seen, uint32_t layer, uint32_t step_tokens,
                     const moe_dispatch *dispatch)
{
    if (layer == 0) {
        g_array_append_val(seen->step_tokens, step_tokens);
        seen->demand.n_steps++;
    }
    g_array_append_vals(seen->expert, dispatch->expert, dispatch->n_experts);
    for (uint32_t i = 0; i < dispatch->n_experts; i++) {
        uint32_t tokens = dispatch->first[i + 1] - dispatch->first[i];
        g_array_append_val(seen->tokens, tokens);
    }
    uint64_t end = seen->expert->len;
    g_array_append_val(seen->first, end);
    publish(seen);
}
