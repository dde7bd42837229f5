/* Any bytes as the index of a checkpoint, beside a config and the two shards of a tiny OLMoE. What
 * is let through has all of its matrices, in the files. */
#include "profiler/weights.h"
#include "traces/safetensors.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config[] =
    "{\"model_type\": \"olmoe\", \"hidden_size\": 2, \"vocab_size\": 2, \"num_hidden_layers\": 1, "
    "\"num_attention_heads\": 1, \"num_experts\": 2, \"num_experts_per_tok\": 1, "
    "\"intermediate_size\": 1, \"max_position_embeddings\": 4, \"rms_norm_eps\": 0}";

static const struct {
    const char *name;
    uint64_t rows, cols;
} tensors[] = {
    {"lm_head.weight", 2, 2},
    {"model.embed_tokens.weight", 2, 2},
    {"model.norm.weight", 2, 0},
    {"model.layers.0.input_layernorm.weight", 2, 0},
    {"model.layers.0.post_attention_layernorm.weight", 2, 0},
    {"model.layers.0.self_attn.q_proj.weight", 2, 2},
    {"model.layers.0.self_attn.k_proj.weight", 2, 2},
    {"model.layers.0.self_attn.v_proj.weight", 2, 2},
    {"model.layers.0.self_attn.o_proj.weight", 2, 2},
    {"model.layers.0.self_attn.q_norm.weight", 2, 0},
    {"model.layers.0.self_attn.k_norm.weight", 2, 0},
    {"model.layers.0.mlp.gate.weight", 2, 2},
    {"model.layers.0.mlp.experts.gate_up_proj", 2, 2}, /* [E, 2, 2] */
    {"model.layers.0.mlp.experts.down_proj", 2, 1},    /* [E, 2, 1] */
};

static const char *const files[] = {"config.json", "a.safetensors", "b.safetensors",
                                    "model.safetensors.index.json"};
static char *folder, *paths[MOE_COUNT(files)];

static void
clean(void)
{
    for (size_t i = 0; i < MOE_COUNT(files); i++) {
        g_unlink(paths[i]);
        g_free(paths[i]);
    }
    g_rmdir(folder);
    g_free(folder);
}

static void
put(const char *path, const void *bytes, size_t n)
{
    bool ok =
        g_file_set_contents_full(path, bytes, (gssize)n, G_FILE_SET_CONTENTS_NONE, 0600, NULL);
    moe_assert(ok, "cannot write %s", path);
}

/* The first half of the tensors in a.safetensors, the others in b.safetensors. */
static void
prepare(void)
{
    static const float zeros[8];
    moe_tensor all[MOE_COUNT(tensors)];
    folder = g_dir_make_tmp("moesim-checkpoint-fuzz-XXXXXX", NULL);
    moe_assert(folder, "no folder");
    for (size_t i = 0; i < MOE_COUNT(files); i++)
        paths[i] = g_build_filename(folder, files[i], NULL);
    for (size_t i = 0; i < MOE_COUNT(tensors); i++) {
        moe_tensor *t = &all[i];
        *t = (moe_tensor){.name = tensors[i].name, .type = MOE_TENSOR_F32, .data = zeros};
        if (strstr(t->name, "experts"))
            t->shape[t->rank++] = 2;
        t->shape[t->rank++] = tensors[i].rows;
        if (tensors[i].cols)
            t->shape[t->rank++] = tensors[i].cols;
    }
    put(paths[0], config, strlen(config));
    moe_assert(moe_safetensors_write(paths[1], all, 7, NULL, 0, NULL) &&
                   moe_safetensors_write(paths[2], all + 7, MOE_COUNT(all) - 7, NULL, 0, NULL),
               "cannot write %s", folder);
    atexit(clean);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!folder)
        prepare();
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    put(paths[3], data, size);
    g_autoptr(moe_weights_set) set = moe_weights_open(folder, diag, &error);
    moe_assert(!set == (error || moe_diag_errors(diag) > 0), "neither weights nor a message");
    if (!set)
        return 0;
    const moe_weights *w = moe_weights_get(set);
    moe_span spans[MOE_EXPERT_SPANS];
    moe_assert(w->embedding.data && w->layers[0].router.data && w->bytes == 200, "%u bytes",
               (unsigned)w->bytes);
    for (uint32_t e = 0; e < 2; e++)
        moe_assert(w->layers[0].experts[e].down.data &&
                       moe_weights_expert_spans(set, 0, e, spans) <= 2,
                   "expert %u", e);
    moe_assert(moe_weights_expert_bytes(set, 0) == 24, "bytes of an expert");
    return 0;
}
