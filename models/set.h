/* The owner of a model and all it points to. Private to models/. */
#ifndef MOE_MODELS_SET_H
#define MOE_MODELS_SET_H

#include "models/model.h"

struct moe_model_set {
    moe_model model;
    moe_stack stacks[2];
    moe_layer *layers[2];
    char *name, *source, *published_source;
};

/* From a YAML preset at `path`; `name` is what it is called when the file does not say. */
moe_model_set *moe_preset_load(const char *path, const char *name, moe_diag *diag, GError **error);
moe_model_set *moe_preset_parse(const char *path, const char *text, size_t length, const char *name,
                                moe_diag *diag);
/* From a Hugging Face config.json. */
moe_model_set *moe_hf_config_load(const char *path, moe_diag *diag, GError **error);
moe_model_set *moe_hf_config_parse(const char *path, const char *text, size_t length,
                                   moe_diag *diag);

#endif
