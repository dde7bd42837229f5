/* A small model with random weights, runs of it with offloaded experts, and the traces of these
 * runs. */
#ifndef MOE_TESTS_PROPERTY_OFFLOAD_FIXTURE_H
#define MOE_TESTS_PROPERTY_OFFLOAD_FIXTURE_H

#include "profiler/offload.h"
#include "sim/base/random.h"
#include "sim/machine/scenario_private.h"
#include "tests/test.h"
#include "traces/safetensors.h"

#include <glib/gstdio.h>
#include <math.h>

enum {
    OFFLOAD_LAYERS = 4,
    OFFLOAD_EXPERTS = 10,
    OFFLOAD_TOP_K = 3,
    OFFLOAD_HIDDEN = 32,
    OFFLOAD_WIDTH = 48,
    OFFLOAD_VOCAB = 50,
    OFFLOAD_CONTEXT = 64,
    OFFLOAD_ROWS = 32,
    OFFLOAD_SLOTS = 3, /* sequences beside each other */
};

typedef struct offload_model {
    char *folder;
    moe_weights_set *weights;
    const moe_backend_ops *backend; /* NULL: the processor's */
    void *device;                   /* of that backend */
} offload_model;

/* A tensor of normal-like numbers around `mean`, each of them a bf16. */
static inline void
offload_tensor(GArray *tensors, moe_stream *stream, const char *name, uint64_t rows, uint64_t cols,
               double mean)
{
    size_t n = rows * (cols ? cols : 1);
    float *data = g_new(float, n);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (int u = 0; u < 4; u++)
            sum += moe_stream_unit(stream) - 0.5;
        data[i] = (float)(rint((mean + sum * 0.4) * 64) / 64);
    }
    moe_tensor t = {.name = g_strdup(name), .type = MOE_TENSOR_F32, .data = data};
    t.rank = cols ? 2 : 1;
    t.shape[0] = rows;
    t.shape[1] = cols;
    g_array_append_val(tensors, t);
}

static inline void
offload_layer(GArray *tensors, moe_stream *stream, uint32_t layer)
{
    static const struct {
        const char *name;
        uint64_t rows, cols;
        double mean;
    } parts[] = {
        {"input_layernorm.weight", OFFLOAD_HIDDEN, 0, 1},
        {"post_attention_layernorm.weight", OFFLOAD_HIDDEN, 0, 1},
        {"self_attn.q_proj.weight", OFFLOAD_HIDDEN, OFFLOAD_HIDDEN, 0},
        {"self_attn.k_proj.weight", OFFLOAD_HIDDEN, OFFLOAD_HIDDEN, 0},
        {"self_attn.v_proj.weight", OFFLOAD_HIDDEN, OFFLOAD_HIDDEN, 0},
        {"self_attn.o_proj.weight", OFFLOAD_HIDDEN, OFFLOAD_HIDDEN, 0},
        {"self_attn.q_norm.weight", OFFLOAD_HIDDEN, 0, 1},
        {"self_attn.k_norm.weight", OFFLOAD_HIDDEN, 0, 1},
        {"mlp.gate.weight", OFFLOAD_EXPERTS, OFFLOAD_HIDDEN, 0},
    };
    static const char *const matrices[] = {"gate_proj", "up_proj", "down_proj"};
    for (size_t i = 0; i < MOE_COUNT(parts); i++) {
        g_autofree char *name = g_strdup_printf("model.layers.%u.%s", layer, parts[i].name);
        offload_tensor(tensors, stream, name, parts[i].rows, parts[i].cols, parts[i].mean);
    }
    for (uint32_t i = 0; i < OFFLOAD_EXPERTS * 3; i++) {
        bool down = i % 3 == 2;
        g_autofree char *name = g_strdup_printf("model.layers.%u.mlp.experts.%u.%s.weight", layer,
                                                i / 3, matrices[i % 3]);
        offload_tensor(tensors, stream, name, down ? OFFLOAD_HIDDEN : OFFLOAD_WIDTH,
                       down ? OFFLOAD_WIDTH : OFFLOAD_HIDDEN, 0);
    }
}

/* Two shards: the experts, and all that is mapped. */
static inline void
offload_write(const char *folder, GArray *tensors)
{
    static const char config[] =
        "{\"model_type\": \"olmoe\", \"hidden_size\": 32, \"vocab_size\": 50, "
        "\"num_hidden_layers\": 4, \"num_attention_heads\": 2, \"num_key_value_heads\": 2, "
        "\"num_experts_per_tok\": 3, \"num_experts\": 10, \"intermediate_size\": 48, "
        "\"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-05, \"torch_dtype\": \"float32\"}";
    static const char *const shards[] = {"others.safetensors", "experts.safetensors"};
    g_autofree char *path = g_build_filename(folder, "config.json", NULL);
    g_autofree char *index = g_build_filename(folder, "model.safetensors.index.json", NULL);
    g_autoptr(GError) error = NULL;
    GString *map = g_string_new("{\"weight_map\": {");
    MOE_CHECK(g_file_set_contents(path, config, -1, &error), "%s", error->message);
    for (size_t f = 0; f < MOE_COUNT(shards); f++) {
        g_autofree char *shard = g_build_filename(folder, shards[f], NULL);
        g_autoptr(GArray) some = g_array_new(FALSE, FALSE, sizeof(moe_tensor));
        for (guint i = 0; i < tensors->len; i++) {
            moe_tensor t = g_array_index(tensors, moe_tensor, i);
            if ((strstr(t.name, ".experts.") != NULL) != (f == 1))
                continue;
            g_string_append_printf(map, "%s\"%s\": \"%s\"",
                                   map->str[map->len - 1] == '{' ? "" : ", ", t.name, shards[f]);
            g_array_append_val(some, t);
        }
        MOE_CHECK(moe_safetensors_write(shard, (const moe_tensor *)(void *)some->data, some->len,
                                        NULL, 0, &error),
                  "%s", error->message);
    }
    g_string_append(map, "}}");
    MOE_CHECK(g_file_set_contents(index, map->str, -1, &error), "%s", error->message);
    g_string_free(map, TRUE);
}

static inline offload_model
offload_model_new(uint64_t seed)
{
    offload_model model = {.folder = g_dir_make_tmp("moesim-offload-XXXXXX", NULL)};
    moe_stream stream = moe_stream_new(seed, "test.offload", 0);
    GArray *tensors = g_array_new(FALSE, FALSE, sizeof(moe_tensor));
    offload_tensor(tensors, &stream, "model.embed_tokens.weight", OFFLOAD_VOCAB, OFFLOAD_HIDDEN, 0);
    offload_tensor(tensors, &stream, "model.norm.weight", OFFLOAD_HIDDEN, 0, 1);
    offload_tensor(tensors, &stream, "lm_head.weight", OFFLOAD_VOCAB, OFFLOAD_HIDDEN, 0);
    for (uint32_t l = 0; l < OFFLOAD_LAYERS; l++)
        offload_layer(tensors, &stream, l);
    offload_write(model.folder, tensors);
    for (guint i = 0; i < tensors->len; i++) {
        moe_tensor *t = &g_array_index(tensors, moe_tensor, i);
        g_free((char *)(uintptr_t)t->name);
        g_free((void *)(uintptr_t)t->data);
    }
    g_array_free(tensors, TRUE);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    model.weights = moe_weights_open(model.folder, diag, &error);
    g_autofree char *messages = moe_diag_render(diag);
    moe_assert(model.weights, "%s%s", messages, error ? error->message : "");
    return model;
}

static inline void
offload_model_clear(offload_model *model)
{
    moe_weights_close(model->weights);
    GDir *dir = g_dir_open(model->folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(model->folder, name, NULL);
        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(model->folder);
    g_free(model->folder);
}

/* ---- a run ---- */

/* Three sequences: prompts of several tokens that join at different steps, then greedy decoding;
 * some steps hold prompts beside decoded tokens. */
typedef struct offload_script {
    uint32_t prompt[OFFLOAD_SLOTS], start[OFFLOAD_SLOTS], output[OFFLOAD_SLOTS];
} offload_script;

typedef struct offload_recorder {
    moe_routing_builder *builder;
    uint16_t ids[OFFLOAD_ROWS][OFFLOAD_LAYERS * OFFLOAD_TOP_K];
    uint16_t ahead[OFFLOAD_ROWS][OFFLOAD_LAYERS * OFFLOAD_TOP_K];
} offload_recorder;

static inline bool
offload_routed(void *context, const moe_routed *routed, GError **error)
{
    offload_recorder *recorder = context;
    for (uint32_t i = 0; i < routed->batch->n; i++) {
        memcpy(&recorder->ids[i][routed->layer * OFFLOAD_TOP_K], routed->ids + i * OFFLOAD_TOP_K,
               OFFLOAD_TOP_K * sizeof(uint16_t));
        if (routed->lookahead[0])
            memcpy(&recorder->ahead[i][(routed->layer + 1) * OFFLOAD_TOP_K],
                   routed->lookahead[0] + i * OFFLOAD_TOP_K, OFFLOAD_TOP_K * sizeof(uint16_t));
    }
    return true;
}

static inline void
offload_record(offload_recorder *recorder, const moe_batch *batch, const moe_phase *phases,
               uint32_t step)
{
    for (uint32_t i = 0; i < batch->n; i++) {
        moe_routing_builder_add(recorder->builder, batch->slot[i], batch->position[i], phases[i],
                                recorder->ids[i], NULL);
        for (uint32_t j = 0; j < OFFLOAD_TOP_K; j++)
            recorder->ahead[i][j] = MOE_ROUTING_NO_EXPERT;
        moe_routing_builder_predicted(recorder->builder, 0, recorder->ahead[i]);
        moe_routing_builder_step(recorder->builder, step);
    }
}

/* The rows of a step: whoever has started runs its prompt, or its next token. */
static inline uint32_t
offload_rows(const offload_script *script, uint32_t step, uint32_t done[], uint32_t last[],
             uint32_t token[], uint32_t slot[], uint32_t position[], moe_phase phases[])
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < OFFLOAD_SLOTS; s++) {
        bool prompts = step == script->start[s];
        if (step < script->start[s] || done[s] >= script->prompt[s] + script->output[s])
            continue;
        uint32_t rows = prompts ? script->prompt[s] : 1;
        for (uint32_t i = 0; i < rows; i++, n++) {
            token[n] = prompts ? (s * 17 + done[s] * 7 + 3) % OFFLOAD_VOCAB : last[s];
            slot[n] = s;
            position[n] = done[s]++;
            phases[n] = prompts ? MOE_PREFILL : MOE_DECODE;
        }
    }
    return n;
}

/* Runs the script to its end; `recorder` may be NULL. False with `error`. */
static inline bool
offload_play(const offload_model *model, const offload_script *script, moe_offload *offload,
             offload_recorder *recorder, GError **error)
{
    const moe_decoder_observer observer = {.context = recorder, .routed = offload_routed};
    const moe_decoder_config config = {
        .backend = {.max_rows = OFFLOAD_ROWS,
                    .max_sequences = OFFLOAD_SLOTS,
                    .max_context = OFFLOAD_CONTEXT,
                    .threads = 1,
                    .exact = true,
                    .device = model->device},
        .lookahead = 1,
        .observer = recorder ? &observer : NULL,
        .source = offload ? moe_offload_source(offload) : NULL,
    };
    const moe_backend_ops *backend = model->backend ? model->backend : &moe_backend_cpu;
    moe_decoder *decoder =
        moe_decoder_new(moe_weights_get(model->weights), backend, &config, error);
    bool ok = decoder != NULL;
    uint32_t done[OFFLOAD_SLOTS] = {0}, last[OFFLOAD_SLOTS] = {0};
    for (uint32_t step = 0; ok; step++) {
        uint32_t token[OFFLOAD_ROWS], slot[OFFLOAD_ROWS], position[OFFLOAD_ROWS];
        uint32_t rows[OFFLOAD_ROWS];
        moe_phase phases[OFFLOAD_ROWS];
        uint32_t n = offload_rows(script, step, done, last, token, slot, position, phases);
        if (n == 0)
            break;
        const moe_batch batch = {n, token, slot, position};
        const float *logits;
        for (uint32_t i = 0; i < n; i++)
            rows[i] = i;
        ok = moe_decoder_step(decoder, &batch, rows, n, &logits, error);
        for (uint32_t i = 0; ok && i < n; i++)
            last[slot[i]] = moe_sample(logits + (size_t)i * OFFLOAD_VOCAB, OFFLOAD_VOCAB, 0, 0);
        if (ok && recorder)
            offload_record(recorder, &batch, phases, step);
    }
    moe_decoder_free(decoder);
    return ok;
}

/* The trace of a run, as a file in the model's folder. */
static inline char *
offload_trace(const offload_model *model, const offload_script *script, const char *name)
{
    g_autofree offload_recorder *recorder = g_new0(offload_recorder, 1);
    g_autoptr(GError) error = NULL;
    recorder->builder = moe_routing_builder_new(OFFLOAD_LAYERS, OFFLOAD_EXPERTS, OFFLOAD_TOP_K);
    moe_routing_builder_lookahead(recorder->builder, 1, OFFLOAD_TOP_K);
    moe_routing_builder_meta(recorder->builder, "order", "weight");
    MOE_CHECK(offload_play(model, script, NULL, recorder, &error), "%s", error->message);
    char *path = g_build_filename(model->folder, name, NULL);
    MOE_CHECK(moe_routing_builder_write(recorder->builder, path, &error), "%s", error->message);
    return path;
}

/* A cache in words; `keys` as a YAML map. */
static inline moe_settings *
offload_cache(const char *keys, moe_yaml_doc **doc)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_settings *settings = moe_settings_new(&moe_cache_table);
    *doc = moe_yaml_parse("cache", keys, strlen(keys), diag);
    if (*doc)
        moe_settings_read(settings, moe_yaml_root(*doc), NULL, true, diag);
    g_autofree char *messages = moe_diag_render(diag);
    moe_assert(moe_diag_errors(diag) == 0, "%s", messages);
    return settings;
}

#endif
