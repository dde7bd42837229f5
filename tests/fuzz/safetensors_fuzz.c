/* A routing trace from memory; one that is let through must be safe to read whole. */
#include "traces/routing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_routing_file) file = moe_routing_open_memory("x.safetensors", data, size, diag);
    g_autofree char *text = moe_diag_render(diag);
    moe_assert((file == NULL) == (moe_diag_errors(diag) > 0), "%s", text);
    if (!file)
        return 0;
    const moe_routing *r = moe_routing_get(file);
    uint16_t ids[MOE_ROUTING_MAX_K];
    for (uint32_t s = 0; s < r->n_sequences; s++) {
        for (uint64_t i = 0; i < r->sequence_first[s + 1] - r->sequence_first[s]; i++) {
            uint64_t row = moe_routing_token(r, s, i);
            for (uint32_t layer = 0; layer < r->n_layers; layer++) {
                uint32_t n = moe_routing_row(r, row, layer, ids);
                for (uint32_t j = 0; j < n; j++)
                    moe_assert(ids[j] < r->n_experts, "expert %u of %u", ids[j], r->n_experts);
            }
        }
    }
    for (uint64_t i = 0; r->times && i < (uint64_t)r->n_time_steps * r->n_time_layers; i++)
        for (uint32_t s = 0; s < r->n_stages; s++)
            moe_assert(r->times[i * r->n_stages + s] >= 0 && r->stage_names[s], "stage %u", s);
    g_autoptr(GString) described = g_string_new(NULL);
    moe_routing_describe(file, described);
    return 0;
}
