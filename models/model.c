/* Names to models: presets, preset files, config.json; ownership; getters. */
#include "models/model.h"

#include "models/set.h"
#include "sim/base/data.h"

static void
unknown_model(const char *name, moe_loc at, moe_diag *diag)
{
    g_auto(GStrv) presets = moe_data_presets("models/presets");
    const char *closest =
        presets ? moe_suggest(name, (const char *const *)presets, g_strv_length(presets)) : NULL;

    if (closest)
        moe_diag_error(diag, at, "unknown model '%s'; did you mean '%s'?", name, closest);
    else
        moe_diag_error(diag, at, "unknown model '%s': neither a preset nor a file", name);
}

moe_model_set *
moe_model_load(const char *name, const char *beside, moe_loc at, moe_diag *diag, GError **error)
{
    g_autofree char *preset = moe_data_preset("models/presets", name);
    if (preset)
        return moe_preset_load(preset, name, diag, error);
    g_autofree char *path = moe_data_find(name, beside);
    if (!path || !g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        unknown_model(name, at, diag);
        return NULL;
    }
    const char *file = moe_diag_intern(diag, path);
    if (g_str_has_suffix(file, ".json"))
        return moe_hf_config_load(file, diag, error);
    return moe_preset_load(file, NULL, diag, error);
}

void
moe_model_free(moe_model_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < MOE_COUNT(set->layers); i++)
        g_free(set->layers[i]);
    g_free(set->name);
    g_free(set->source);
    g_free(set->published_source);
    g_free(set);
}

const moe_model *
moe_model_get(const moe_model_set *set)
{
    return &set->model;
}

const moe_stack *
moe_model_decoder(const moe_model *model)
{
    return &model->stacks[model->n_stacks - 1];
}

const moe_stack *
moe_model_encoder(const moe_model *model)
{
    return model->n_stacks > 1 ? &model->stacks[0] : NULL;
}
