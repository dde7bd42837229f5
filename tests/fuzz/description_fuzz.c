/* Any bytes as a description of routing; from one that is valid and small, routing. */
#include "traces/synth/description.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
small(const moe_generate_config *c)
{
    return c->layers * c->experts <= 4096 && c->layers * c->top_k <= 256 && c->domains <= 4 &&
           c->sequences <= 8 && c->prompt <= 32 && c->output <= 32;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16)
        return 0;
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_description) description =
        moe_description_parse("x.yaml", (const char *)data, size, diag);
    g_autofree char *said = moe_diag_render(diag);
    moe_assert(description || *said, "refused without a word");
    if (!description || !small(moe_description_config(description)))
        return 0;
    moe_routing_builder *builder =
        moe_generate(moe_description_config(description), (moe_loc){0}, diag);
    moe_assert(builder, "a valid description makes nothing");
    moe_routing_file *file = moe_routing_builder_finish(builder, "made");
    moe_assert(file, "no memory");
    moe_routing_close(file);
    return 0;
}
