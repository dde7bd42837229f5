/* A decision log: read to its end, and replayed over the steps of a small trace; whatever it says,
 * there is a result or a message. */
#include "sim/machine/decided.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two sequences that run together, two layers of five experts, top-2. */
static moe_routing_file *
small_trace(void)
{
    moe_routing_builder *builder = moe_routing_builder_new(2, 5, 2);
    for (uint32_t step = 0; step < 4; step++)
        for (uint32_t s = 0; s < 2; s++) {
            uint16_t ids[4];
            for (uint32_t i = 0; i < 4; i++)
                ids[i] = (uint16_t)((step * (1 + s) + i / 2 + i % 2 * 2) % 5);
            moe_routing_builder_add(builder, s, step, step ? MOE_DECODE : MOE_PREFILL, ids, NULL);
            moe_routing_builder_step(builder, step);
        }
    return moe_routing_builder_finish(builder, "small");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(moe_routing_file) file = small_trace();
    g_autoptr(moe_decisions) log = moe_decisions_open_memory("x.log", data, size, diag);
    moe_decided decided;
    if (log && moe_decided_replay(log, moe_routing_get(file), &decided, diag, &error)) {
        moe_decided_clear(&decided);
        return 0;
    }
    moe_assert(moe_diag_errors(diag) > 0 || error, "neither a replay nor a message");
    return 0;
}
