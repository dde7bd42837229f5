/* Any bytes as a Hugging Face config.json: a model or messages, never both, never neither. */
#include "models/model.h"
#include "models/set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_model_set) set =
        moe_hf_config_parse("config.json", (const char *)data, size, diag);
    g_autofree char *text = moe_diag_render(diag);

    moe_assert(!set == (moe_diag_errors(diag) > 0), "%s", text);
    if (!set)
        return 0;
    const moe_model *model = moe_model_get(set);
    g_autoptr(GString) out = g_string_new(NULL);
    moe_model_canonical(model, out);
    moe_model_describe(model, out);
    int64_t active = moe_model_active(model, "all");
    int64_t total = moe_model_total(model);
    moe_assert(active > 0 && active <= total, "%lld of %lld", (long long)active, (long long)total);
    return 0;
}
