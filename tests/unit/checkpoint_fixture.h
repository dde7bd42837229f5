/* A checkpoint folder made on the spot: tiny models of each family, whose elements say which tensor
 * they are of, or which layer, expert, matrix, row and column. */
#ifndef MOE_TESTS_UNIT_CHECKPOINT_FIXTURE_H
#define MOE_TESTS_UNIT_CHECKPOINT_FIXTURE_H

#include "profiler/weights.h"
#include "tests/test.h"
#include "traces/safetensors.h"

#include <glib/gstdio.h>
#include <stdarg.h>

#define HIDDEN 32u
#define WIDTH 64u
#define EXPERTS 4u
#define LAYERS 2u
#define VOCAB 6u

/* What all configs have: two heads of 16, one of keys and values. */
#define CONFIG(type, keys)                                                                         \
    "{\"model_type\": \"" type "\", \"hidden_size\": 32, \"vocab_size\": 6, "                      \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, "           \
    "\"head_dim\": 16, \"num_experts_per_tok\": 2, \"max_position_embeddings\": 64, "              \
    "\"rms_norm_eps\": 1e-05, " keys "}"
#define CONFIG_OLMOE CONFIG("olmoe", "\"num_experts\": 4, \"intermediate_size\": 64")
#define CONFIG_MIXTRAL CONFIG("mixtral", "\"num_local_experts\": 4, \"intermediate_size\": 64")
#define CONFIG_GPT_OSS                                                                             \
    CONFIG("gpt_oss", "\"num_local_experts\": 4, \"intermediate_size\": 64, "                      \
                      "\"sliding_window\": 8, \"rope_scaling\": {\"rope_type\": \"default\"}")

typedef struct checkpoint {
    char *folder;
    GArray *tensors; /* moe_tensor; names and data are owned */
} checkpoint;

static inline void
checkpoint_put(const checkpoint *c, const char *file, const void *bytes, size_t n)
{
    g_autofree char *path = g_build_filename(c->folder, file, NULL);
    g_autoptr(GError) error = NULL;
    bool ok = g_file_set_contents(path, bytes, (gssize)n, &error);
    moe_assert(ok, "%s", error->message);
}

static inline checkpoint
checkpoint_new(const char *config)
{
    checkpoint c = {g_dir_make_tmp("moesim-checkpoint-XXXXXX", NULL),
                    g_array_new(FALSE, FALSE, sizeof(moe_tensor))};
    moe_assert(c.folder, "no temporary folder");
    checkpoint_put(&c, "config.json", config, strlen(config));
    return c;
}

static inline void
checkpoint_clear(checkpoint *c)
{
    GDir *dir = g_dir_open(c->folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(c->folder, name, NULL);
        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(c->folder);
    for (guint i = 0; i < c->tensors->len; i++) {
        moe_tensor *t = &g_array_index(c->tensors, moe_tensor, i);
        g_free((char *)(uintptr_t)t->name);
        g_free((void *)(uintptr_t)t->data);
    }
    g_array_free(c->tensors, TRUE);
    g_free(c->folder);
}

/* The tensor of this name, to be changed or renamed; NULL when there is none. */
static inline moe_tensor *
checkpoint_find(checkpoint *c, const char *name)
{
    for (guint i = 0; i < c->tensors->len; i++) {
        moe_tensor *t = &g_array_index(c->tensors, moe_tensor, i);
        if (strcmp(t->name, name) == 0)
            return t;
    }
    return NULL;
}

static inline void
checkpoint_drop(checkpoint *c, const char *name)
{
    for (guint i = 0; i < c->tensors->len; i++) {
        moe_tensor *t = &g_array_index(c->tensors, moe_tensor, i);
        if (strcmp(t->name, name) != 0)
            continue;
        g_free((char *)(uintptr_t)t->name);
        g_free((void *)(uintptr_t)t->data);
        g_array_remove_index(c->tensors, i);
        return;
    }
    moe_assert(false, "no tensor %s", name);
}

/* What element i of a tensor that is no expert's holds. */
static inline float
named_value(const char *name, size_t i)
{
    return (float)(g_str_hash(name) % 100000 + i);
}

typedef enum expert_matrix { GATE, UP, DOWN, GATE_BIAS, UP_BIAS, DOWN_BIAS } expert_matrix;

/* What element (r, c) of an expert's matrix holds. */
static inline float
expert_value(uint32_t layer, uint32_t expert, expert_matrix m, size_t r, size_t c)
{
    return (float)((((layer * EXPERTS + expert) * 6 + m) * 64 + r) * 64 + c);
}

/* A tensor of up to 4 dimensions (0: none), of bytes from `data` (taken). */
static inline void
checkpoint_add(checkpoint *c, const char *name, moe_tensor_type type, const uint64_t shape[4],
               void *data)
{
    moe_tensor t = {.name = g_strdup(name), .type = type, .data = data};
    for (; t.rank < 4 && shape[t.rank]; t.rank++)
        t.shape[t.rank] = shape[t.rank];
    g_array_append_val(c->tensors, t);
}

/* A tensor of floats by named_value. */
static inline void
checkpoint_named(checkpoint *c, const char *name, uint64_t rows, uint64_t cols)
{
    size_t n = rows * (cols ? cols : 1);
    float *data = g_new(float, n);
    for (size_t i = 0; i < n; i++)
        data[i] = named_value(name, i);
    checkpoint_add(c, name, MOE_TENSOR_F32, (const uint64_t[4]){rows, cols}, data);
}

/* The same of every layer: `rest` is the name behind model.layers.L. */
static inline void
checkpoint_layers(checkpoint *c, const char *rest, uint64_t rows, uint64_t cols)
{
    for (uint32_t l = 0; l < LAYERS; l++) {
        g_autofree char *name = g_strdup_printf("model.layers.%u.%s", l, rest);
        checkpoint_named(c, name, rows, cols);
    }
}

/* Embeddings, norms, attention without biases. */
static inline void
checkpoint_frame(checkpoint *c)
{
    checkpoint_named(c, "model.embed_tokens.weight", VOCAB, HIDDEN);
    checkpoint_named(c, "model.norm.weight", HIDDEN, 0);
    checkpoint_named(c, "lm_head.weight", VOCAB, HIDDEN);
    checkpoint_layers(c, "input_layernorm.weight", HIDDEN, 0);
    checkpoint_layers(c, "post_attention_layernorm.weight", HIDDEN, 0);
    checkpoint_layers(c, "self_attn.q_proj.weight", 32, HIDDEN);
    checkpoint_layers(c, "self_attn.k_proj.weight", 16, HIDDEN);
    checkpoint_layers(c, "self_attn.v_proj.weight", 16, HIDDEN);
    checkpoint_layers(c, "self_attn.o_proj.weight", HIDDEN, 32);
}

/* The experts one by one: names of gate, up and down, with the layer and the expert. */
static inline void
checkpoint_experts(checkpoint *c, const char *const names[3])
{
    for (uint32_t i = 0; i < LAYERS * EXPERTS * 3; i++) {
        uint32_t l = i / (EXPERTS * 3), e = i / 3 % EXPERTS, m = i % 3;
        uint64_t rows = m == DOWN ? HIDDEN : WIDTH, cols = m == DOWN ? WIDTH : HIDDEN;
        g_autofree char *name = g_strdup_printf(
            "model.layers.%u.%s.%u.%s.weight", l,
            *names[0] == 'w' ? "block_sparse_moe.experts" : "mlp.experts", e, names[m]);
        float *data = g_new(float, rows *cols);
        for (size_t at = 0; at < rows * cols; at++)
            data[at] = expert_value(l, e, (expert_matrix)m, at / cols, at % cols);
        checkpoint_add(c, name, MOE_TENSOR_F32, (const uint64_t[4]){rows, cols}, data);
    }
}

/* A complete OLMoE, as the Hub has it. */
static inline checkpoint
checkpoint_olmoe(void)
{
    checkpoint c = checkpoint_new(CONFIG_OLMOE);
    checkpoint_frame(&c);
    checkpoint_layers(&c, "self_attn.q_norm.weight", 32, 0);
    checkpoint_layers(&c, "self_attn.k_norm.weight", 16, 0);
    checkpoint_layers(&c, "mlp.gate.weight", EXPERTS, HIDDEN);
    checkpoint_experts(&c, (const char *const[3]){"gate_proj", "up_proj", "down_proj"});
    return c;
}

/* Writes the tensors from first on, every step-th, as `file`. */
static inline void
checkpoint_write_some(const checkpoint *c, const char *file, guint first, guint step)
{
    g_autofree char *path = g_build_filename(c->folder, file, NULL);
    g_autoptr(GArray) some = g_array_new(FALSE, FALSE, sizeof(moe_tensor));
    g_autoptr(GError) error = NULL;
    for (guint i = first; i < c->tensors->len; i += step)
        g_array_append_val(some, g_array_index(c->tensors, moe_tensor, i));
    bool ok = moe_safetensors_write(path, (const moe_tensor *)(void *)some->data, some->len, NULL,
                                    0, &error);
    moe_assert(ok, "%s", error->message);
}

static inline void
checkpoint_write(const checkpoint *c)
{
    checkpoint_write_some(c, "model.safetensors", 0, 1);
}

/* Opens the folder. Messages come without the folder's path; yours to free. */
static inline moe_weights_set *
checkpoint_open(const checkpoint *c, char **messages)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_weights_set *set = moe_weights_open(c->folder, diag, &error);
    g_autofree char *text = moe_diag_render(diag);
    g_autofree char *all = g_strconcat(text, error ? error->message : "", NULL);
    g_auto(GStrv) parts = g_strsplit(all, c->folder, -1);
    *messages = g_strjoinv("", parts);
    MOE_CHECK(!set == (error || *text), "%p, messages '%s'", (void *)set, *messages);
    return set;
}

/* Element (r, c) of a matrix of floats, wherever it lies. */
static inline float
matrix_value(const moe_matrix *m, uint64_t r, uint64_t c)
{
    float value;
    memcpy(&value, (const uint8_t *)m->data + 4 * (r * m->stride + c * m->step), 4);
    return value;
}

#endif
