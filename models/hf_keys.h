/* The keys of a Hugging Face config.json, typed and checked; messages name the key. For models/ and
 * for who reads the same file for what no model says (profiler/arch.c). */
#ifndef MOE_MODELS_HF_KEYS_H
#define MOE_MODELS_HF_KEYS_H

#include "models/json.h"
#include "models/spec.h"

/* Largest values that are accepted, as in models/preset.c. */
#define MOE_HF_DIM 65536
#define MOE_HF_WIDTH 4194304
#define MOE_HF_LAYERS 1024
#define MOE_HF_EXPERTS 65533

typedef struct moe_hf_reader {
    const cJSON *root;
    const char *file;
    moe_diag *diag;
    moe_stack_spec stacks[2];
    moe_model_spec spec;
} moe_hf_reader;

/* The file as a whole: cJSON keeps no positions. */
moe_loc moe_hf_loc(const moe_hf_reader *r);
/* The value of `key`; NULL when absent or null. */
const cJSON *moe_hf_get(const moe_hf_reader *r, const char *key);
/* A positive integer that must be there. */
int64_t moe_hf_need(const moe_hf_reader *r, const char *key, int64_t max);
/* An integer from 0 to max, or the fallback. */
int64_t moe_hf_int(const moe_hf_reader *r, const char *key, int64_t fallback, int64_t max);
bool moe_hf_bool(const moe_hf_reader *r, const char *key, bool fallback);
/* A number from min to max, or the fallback; NAN as the fallback: must be there. */
double moe_hf_real(const moe_hf_reader *r, const cJSON *node, const char *key, double fallback,
                   double min, double max);
/* The text of `key` in `node`; NULL when absent. */
const char *moe_hf_text(const moe_hf_reader *r, const cJSON *node, const char *key);
/* Native types: torch_dtype (or the fallback), then what the quantisation of the checkpoint makes
 * of it. */
void moe_hf_dtype(moe_hf_reader *r, const char *fallback);
/* The model of a parsed config.json; NULL after located errors. */
moe_model_set *moe_hf_config_read(const cJSON *root, const char *path, moe_diag *diag);

#endif
