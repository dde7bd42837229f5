/* casys-kaist/LLMServingSim's profiles: …_DEVICE_MODEL_DTYPE_tpN_TABLE.csv, microseconds. The model
 * is the preset whose name the file's name holds; its layer gives the shapes. */
#include "profiler/tables.h"

#include "models/model.h"
#include "sim/base/data.h"
#include "sim/base/units.h"

#include <string.h>

typedef struct shapes {
    int64_t hidden, vocab, heads, kv_heads, head_dim, experts, top_k, width, matrices;
} shapes;

/* Lower case, and all that is no letter and no digit one '-'. */
static char *
plain_name(const char *name)
{
    char *out = g_ascii_strdown(name, -1);
    for (char *at = out; *at; at++)
        if (!g_ascii_isalnum(*at) && *at != '.')
            *at = '-';
    return out;
}

/* The longest name of a model preset in a text. */
static char *
model_in(const char *text)
{
    g_auto(GStrv) presets = moe_data_presets("models/presets");
    const char *best = NULL;
    for (size_t i = 0; presets && presets[i]; i++)
        if (strstr(text, presets[i]) && (!best || strlen(presets[i]) > strlen(best)))
            best = presets[i];
    return g_strdup(best);
}

static bool
take_shapes(const moe_model *model, shapes *out)
{
    const moe_stack *stack = moe_model_decoder(model);
    for (int i = 0; i < stack->n_layers; i++) {
        const moe_layer *layer = &stack->layers[i];
        if (layer->ffn.kind != MOE_FFN_MOE || layer->attention.kind != MOE_ATTENTION_HEADS)
            continue;
        *out = (shapes){model->hidden,
                        model->vocab,
                        layer->attention.heads,
                        layer->attention.kv_heads,
                        layer->attention.head_dim,
                        layer->ffn.experts,
                        layer->ffn.top_k,
                        layer->ffn.width,
                        layer->ffn.matrices};
        return true;
    }
    return false;
}

static bool
load_shapes(moe_foreign *f, const char *stem, shapes *out)
{
    moe_loc at = {.file = f->lines->file};
    g_autofree char *name = plain_name(stem), *preset = model_in(name);
    g_autoptr(GError) error = NULL;
    if (!preset) {
        moe_diag_error(f->lines->diag, at,
                       "the shapes are those of a model that the file's name says, but it holds "
                       "no name of a model preset (moesim list models)");
        return false;
    }
    g_autoptr(moe_model_set) set = moe_model_load(preset, NULL, at, f->lines->diag, &error);
    if (!set || !take_shapes(moe_model_get(set), out)) {
        moe_diag_error(f->lines->diag, at, "the model '%s' has no layer with experts and heads",
                       preset);
        return false;
    }
    moe_foreign_note(f, "model '%s' by the file's name", preset);
    return true;
}

/* The device stands before the model's organisation; what is behind the model is its dtype and the
 * devices that share a layer. */
static void
read_words(moe_foreign *f, const char *stem)
{
    g_auto(GStrv) words = g_strsplit(stem, "_", -1);
    moe_foreign_type dtype = {0};
    for (size_t i = 0; words[i]; i++) {
        int64_t n = 0;
        if (g_str_has_prefix(words[i], "tp") && moe_parse_int(words[i] + 2, &n) && n > 0 &&
            n <= 1024)
            f->row.tp = n;
        if (moe_foreign_find_dtype(words[i], &dtype)) {
            f->row.dtype = moe_measured_intern(f->table, dtype.common);
            f->row.weight_bits = dtype.weight_bits;
            f->row.activation_bits = dtype.activation_bits;
        }
        if (i >= 2 && !*f->row.device && g_utf8_validate(words[i], -1, NULL))
            f->row.device = moe_measured_intern(f->table, words[i]);
    }
}

static bool
begin(moe_foreign *f)
{
    g_autofree char *stem = moe_foreign_stem(f);
    shapes s = {0};
    f->row.source = moe_measured_intern(f->table, "LLMServingSim");
    f->row.framework = moe_measured_intern(f->table, "vllm");
    read_words(f, stem);
    if (*f->row.device)
        moe_foreign_note(f, "device '%s' by the file's name", f->row.device);
    if (!load_shapes(f, stem, &s))
        return false;
    const int64_t numbers[] = {s.hidden,   s.vocab,   s.heads, s.kv_heads,
                               s.head_dim, s.experts, s.top_k, s.width};
    memcpy(f->shape, numbers, sizeof numbers);
    f->row.matrices = s.matrices;
    return true;
}

enum { HIDDEN, VOCAB, HEADS, KV_HEADS, HEAD_DIM, N_EXPERTS, CHOICES, WIDTH }; /* in f->shape */

static int64_t
shared(const moe_foreign *f, int of)
{
    return MAX(f->shape[of] / f->row.tp, 1);
}

/* ---- experts ---- */

enum { M_TOKENS, M_DISTINCT, M_TIME, N_MOE };

static const moe_layout_column moe_list[N_MOE] = {
    [M_TOKENS] = {"tokens", true},
    [M_DISTINCT] = {"activated_experts", true},
    [M_TIME] = {"time_us", true},
};

static void
read_moe(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    row->kind = MOE_MEASURED_EXPERTS;
    row->framework = moe_measured_intern(f->table, "llmservingsim"); /* no version is said */
    row->hidden = f->shape[HIDDEN];
    row->width = shared(f, WIDTH);
    row->experts = f->shape[N_EXPERTS];
    row->top_k = f->shape[CHOICES];
    row->tokens = moe_foreign_whole(f, M_TOKENS, 1, 1);
    row->distinct = moe_foreign_whole(f, M_DISTINCT, 1, 1);
    if (!f->failed &&
        (row->distinct > MOE_MEASURED_MOST_EXPERTS || row->tokens > MOE_MEASURED_MOST_TOKENS))
        moe_foreign_fail(f, M_TOKENS, "more experts or tokens than there can be");
    moe_foreign_add(f, moe_foreign_real(f, M_TIME, 0));
}

const moe_layout moe_layout_llmservingsim_moe = {
    .name = "LLMServingSim moe",
    .help = "experts, so many of them evenly loaded",
    .columns = moe_list,
    .n_columns = N_MOE,
    .unit = "microseconds",
    .microseconds = 1,
    .begin = begin,
    .row = read_moe,
};

/* ---- everything else ---- */

enum { D_LAYER, D_TOKENS, D_TIME, N_DENSE };

static const moe_layout_column dense_list[N_DENSE] = {
    [D_LAYER] = {"layer", true},
    [D_TOKENS] = {"tokens", true},
    [D_TIME] = {"time_us", true},
};

static const struct {
    const char *layer;
    int operation;
} operations[] = {
    {"embedding", MOE_MEASURED_EMBEDDING},  {"layernorm", MOE_MEASURED_NORM},
    {"final_layernorm", MOE_MEASURED_NORM}, {"qk_norm", MOE_MEASURED_QK_NORM},
    {"rotary_emb", MOE_MEASURED_ROPE},      {"sampler", MOE_MEASURED_SAMPLING},
    {"act_fn", MOE_MEASURED_ACTIVATION},
};

/* n and k of the products; false: it is none. */
static bool
product_of(const moe_foreign *f, const char *layer, int64_t *n, int64_t *k)
{
    int64_t head = f->shape[HEAD_DIM], q = shared(f, HEADS) * head;
    *k = f->shape[HIDDEN];
    if (!strcmp(layer, "qkv_proj"))
        *n = q + 2 * shared(f, KV_HEADS) * head;
    else if (!strcmp(layer, "lm_head"))
        *n = shared(f, VOCAB);
    else if (!strcmp(layer, "gate"))
        *n = f->shape[N_EXPERTS];
    else if (!strcmp(layer, "o_proj")) {
        *n = f->shape[HIDDEN];
        *k = q;
    } else
        return false;
    return true;
}

static void
read_dense(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    const char *layer = moe_foreign_text(f, D_LAYER);
    int64_t tokens = moe_foreign_whole(f, D_TOKENS, 1, 1);

    row->kernel = layer;
    row->matrices = 0;
    row->kind = MOE_MEASURED_OPERATION;
    if (product_of(f, layer, &row->n, &row->k)) {
        row->kind = MOE_MEASURED_GEMM;
        row->tp = 1;
        row->m = tokens;
    } else {
        row->n = row->k = 0;
        row->tokens = tokens;
        row->hidden = f->shape[HIDDEN];
        row->heads = shared(f, HEADS);
        row->kv_heads = shared(f, KV_HEADS);
        row->head_dim = f->shape[HEAD_DIM];
        for (size_t i = 0; i < MOE_COUNT(operations); i++)
            if (!strcmp(operations[i].layer, layer))
                row->operation = operations[i].operation;
    }
    if (row->kind == MOE_MEASURED_OPERATION && !row->operation)
        moe_foreign_skip(f, "a layer that is not modelled");
    else
        moe_foreign_add(f, moe_foreign_real(f, D_TIME, 0));
}

const moe_layout moe_layout_llmservingsim_dense = {
    .name = "LLMServingSim dense",
    .help = "products and small operations",
    .columns = dense_list,
    .n_columns = N_DENSE,
    .unit = "microseconds",
    .microseconds = 1,
    .begin = begin,
    .row = read_dense,
};
