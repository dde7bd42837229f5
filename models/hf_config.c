/* Hugging Face config.json -> the written form of models/spec.h.
 *
 * Each family has a reader of its own keys, after transformers' configuration_*.py and
 * modeling_*.py of that name. Keys that shape the model and are absent take the family's class
 * default where that default is what published files rely on; otherwise they are errors. */
#include "models/hf_keys.h"
#include "models/set.h"

#include <inttypes.h>
#include <string.h>

static moe_loc
where(const void *context, size_t stack, const char *section, const char *key)
{
    return moe_hf_loc(context);
}

/* ---- parts that families share ---- */

static void
read_model(moe_hf_reader *r, const char *hidden, bool tied)
{
    r->spec.hidden = moe_hf_need(r, hidden, 1048576);
    r->spec.vocab = moe_hf_need(r, "vocab_size", 16777216);
    r->spec.tied = moe_hf_bool(r, "tie_word_embeddings", tied);
}

/* Multi-head or grouped attention; head_dim absent: hidden / heads. */
static moe_attention_spec
read_heads(const moe_hf_reader *r)
{
    moe_attention_spec a = {.kind = MOE_SPEC_HEADS};

    a.heads = moe_hf_need(r, "num_attention_heads", MOE_HF_DIM);
    a.kv_heads = moe_hf_int(r, "num_key_value_heads", a.heads, MOE_HF_DIM);
    a.head_dim = moe_hf_int(r, "head_dim", r->spec.hidden / a.heads, MOE_HF_DIM);
    return a;
}

/* A window as long as the context is none. */
static int64_t
read_window(const moe_hf_reader *r)
{
    int64_t window = moe_hf_int(r, "sliding_window", 0, 1073741824);
    int64_t context = moe_hf_int(r, "max_position_embeddings", INT32_MAX, INT32_MAX);
    return window < context ? window : 0;
}

/* transformers 5 writes num_local_experts where older files have num_experts. */
static moe_ffn_spec
read_experts(const moe_hf_reader *r, const char *count, const char *width)
{
    static const char local[] = "num_local_experts";
    bool other = !moe_hf_get(r, count) && moe_hf_get(r, local);

    return (moe_ffn_spec){
        .matrices = 3,
        .experts = moe_hf_need(r, other ? local : count, MOE_HF_EXPERTS),
        .top_k = moe_hf_need(r, "num_experts_per_tok", MOE_HF_EXPERTS),
        .width = moe_hf_need(r, width, MOE_HF_WIDTH),
    };
}

static moe_stack_spec *
read_decoder(moe_hf_reader *r)
{
    moe_stack_spec *s = &r->stacks[0];

    *s = (moe_stack_spec){
        .kind = MOE_STACK_DECODER,
        .layers = moe_hf_need(r, "num_hidden_layers", MOE_HF_LAYERS),
        .moe_every = 1,
        .window_every = 1,
        .attention = read_heads(r),
        .dense = {.matrices = 3},
    };
    r->spec.stacks = (moe_list){r->stacks, 1};
    return s;
}

static bool
has_dense(const moe_stack_spec *s)
{
    return s->dense_first || s->moe_every > 1;
}

/* Qwen: every decoder_sparse_step-th layer has experts, but those of mlp_only_layers. */
static void
read_qwen_pattern(const moe_hf_reader *r, moe_stack_spec *s)
{
    const cJSON *only = moe_hf_get(r, "mlp_only_layers");
    int64_t step = moe_hf_int(r, "decoder_sparse_step", 1, MOE_HF_LAYERS);

    s->moe_every = step ? step : 1;
    s->moe_offset = s->moe_every - 1;
    s->dense_first = only ? cJSON_GetArraySize(only) : 0;
    for (int i = 0; i < s->dense_first; i++) {
        const cJSON *item = cJSON_GetArrayItem(only, i);
        if (!cJSON_IsNumber(item) || cJSON_GetNumberValue(item) != i) {
            moe_diag_error(r->diag, moe_hf_loc(r),
                           "key mlp_only_layers: only the first layers can be dense here; write a "
                           "preset");
            break;
        }
    }
    if (has_dense(s))
        s->dense.width = moe_hf_need(r, "intermediate_size", MOE_HF_WIDTH);
    if (moe_hf_bool(r, "use_sliding_window", false))
        moe_diag_error(r->diag, moe_hf_loc(r),
                       "key use_sliding_window: windows by layer are not read; write a preset");
}

/* ---- families ---- */

static void
read_mixtral(moe_hf_reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.window = read_window(r);
    s->moe = read_experts(r, "num_local_experts", "intermediate_size");
    moe_hf_dtype(r, "bf16");
}

static void
read_olmoe(moe_hf_reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", false);
    s->attention.qk_norm = MOE_QK_NORM_FULL;
    s->moe = read_experts(r, "num_experts", "intermediate_size");
    moe_hf_dtype(r, "bf16");
}

/* layer_types lists sliding and full layers; it must be a regular pattern. */
static void
read_layer_types(const moe_hf_reader *r, moe_stack_spec *s)
{
    const cJSON *types = moe_hf_get(r, "layer_types");
    int n = types ? cJSON_GetArraySize(types) : 0;

    s->window_every = 2;
    s->window_offset = 0;
    if (types && n != s->layers)
        moe_diag_error(r->diag, moe_hf_loc(r), "key layer_types: %d entries for %" PRId64 " layers",
                       n, s->layers);
    for (int i = 0; i < n; i++) {
        const char *type = cJSON_GetStringValue(cJSON_GetArrayItem(types, i));
        const char *want = i % 2 ? "full_attention" : "sliding_attention";
        if (!type || strcmp(type, want)) {
            moe_diag_error(r->diag, moe_hf_loc(r),
                           "key layer_types: entry %d is not '%s'; write a preset", i, want);
            break;
        }
    }
}

static void
read_gpt_oss(moe_hf_reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", true);
    s->attention.sinks = true;
    s->attention.window = read_window(r);
    read_layer_types(r, s);
    s->moe = read_experts(r, "num_local_experts", "intermediate_size");
    s->moe.bias = s->moe.router_bias = true;
    moe_hf_dtype(r, "bf16");
}

static void
read_deepseek_moe(const moe_hf_reader *r, moe_stack_spec *s)
{
    int64_t every = moe_hf_int(r, "moe_layer_freq", 1, MOE_HF_LAYERS);

    s->moe_every = every ? every : 1;
    s->dense_first = moe_hf_int(r, "first_k_dense_replace", 0, MOE_HF_LAYERS);
    if (has_dense(s))
        s->dense.width = moe_hf_need(r, "intermediate_size", MOE_HF_WIDTH);
    s->moe = read_experts(r, "n_routed_experts", "moe_intermediate_size");
    s->moe.shared_width = s->moe.width * moe_hf_int(r, "n_shared_experts", 0, 64);
}

static void
read_deepseek(moe_hf_reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", false);
    read_deepseek_moe(r, s);
    moe_hf_dtype(r, "bf16");
}

static void
read_deepseek_mla(moe_hf_reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention = (moe_attention_spec){
        .kind = MOE_SPEC_MLA,
        .heads = s->attention.heads,
        .q_lora = moe_hf_int(r, "q_lora_rank", 0, MOE_HF_DIM),
        .kv_lora = moe_hf_need(r, "kv_lora_rank", MOE_HF_DIM),
        .nope_dim = moe_hf_need(r, "qk_nope_head_dim", MOE_HF_DIM),
        .rope_dim = moe_hf_need(r, "qk_rope_head_dim", MOE_HF_DIM),
        .value_dim = moe_hf_need(r, "v_head_dim", MOE_HF_DIM),
    };
    read_deepseek_moe(r, s);
    moe_hf_dtype(r, "bf16");
}

static void
read_deepseek_v2(moe_hf_reader *r)
{
    const char *topk = moe_hf_text(r, r->root, "topk_method");

    read_deepseek_mla(r);
    r->stacks[0].moe.router_bias = topk && !strcmp(topk, "noaux_tc");
}

/* Knows one topk_method only, noaux_tc, and need not name it. */
static void
read_deepseek_v3(moe_hf_reader *r)
{
    read_deepseek_mla(r);
    r->stacks[0].moe.router_bias = true;
}

static void
read_qwen2_moe(moe_hf_reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = moe_hf_bool(r, "qkv_bias", true);
    s->moe = read_experts(r, "num_experts", "moe_intermediate_size");
    s->moe.shared_width = moe_hf_need(r, "shared_expert_intermediate_size", MOE_HF_WIDTH);
    s->moe.shared_gate = true;
    read_qwen_pattern(r, s);
    moe_hf_dtype(r, "bf16");
}

static void
read_qwen3_moe(moe_hf_reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", false);
    s->attention.qk_norm = MOE_QK_NORM_HEAD;
    s->moe = read_experts(r, "num_experts", "moe_intermediate_size");
    read_qwen_pattern(r, s);
    moe_hf_dtype(r, "bf16");
}

static void
read_phimoe(moe_hf_reader *r)
{
    read_model(r, "hidden_size", false);
    r->spec.norm_bias = true;
    r->spec.head_bias = moe_hf_bool(r, "lm_head_bias", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", false);
    s->attention.window = read_window(r);
    s->moe = read_experts(r, "num_local_experts", "intermediate_size");
    moe_hf_dtype(r, "bf16");
}

/* One of Switch's stacks: layers i with i % step == 1 are sparse (all of them for step 1). */
static moe_stack_spec
read_switch_stack(const moe_hf_reader *r, moe_stack_kind kind, int64_t layers,
                  const char *sparse_key)
{
    int64_t sparse = moe_hf_int(r, sparse_key, 3, MOE_HF_LAYERS);
    int64_t step = sparse ? MAX(layers / sparse, 1) : layers;
    moe_attention_spec attention = {
        .heads = moe_hf_need(r, "num_heads", MOE_HF_DIM),
        .head_dim = moe_hf_need(r, "d_kv", MOE_HF_DIM),
    };
    moe_ffn_spec ffn = {.matrices = 2, .width = moe_hf_need(r, "d_ff", MOE_HF_WIDTH)};
    moe_stack_spec s = {
        .kind = (int)kind,
        .layers = layers,
        .moe_every = step,
        .moe_offset = step > 1 ? 1 : 0,
        .window_every = 1,
        .relative_buckets = moe_hf_int(r, "relative_attention_num_buckets", 32, MOE_HF_DIM),
        .attention = attention,
        .moe = ffn,
    };

    if (step > 1)
        s.dense = ffn;
    s.moe.experts = moe_hf_need(r, "num_experts", MOE_HF_EXPERTS);
    s.moe.top_k = 1;
    s.moe.router_bias = moe_hf_bool(r, "router_bias", false);
    if (kind == MOE_STACK_DECODER)
        s.cross = attention;
    return s;
}

static void
read_switch(moe_hf_reader *r)
{
    int64_t layers = moe_hf_need(r, "num_layers", MOE_HF_LAYERS);

    read_model(r, "d_model", true);
    r->stacks[0] = read_switch_stack(r, MOE_STACK_ENCODER, layers, "num_sparse_encoder_layers");
    r->stacks[1] = read_switch_stack(r, MOE_STACK_DECODER,
                                     moe_hf_int(r, "num_decoder_layers", layers, MOE_HF_LAYERS),
                                     "num_sparse_decoder_layers");
    r->spec.stacks = (moe_list){r->stacks, 2};
    moe_hf_dtype(r, "fp32");
}

static const struct {
    const char *model_type;
    void (*read)(moe_hf_reader *r);
} families[] = {
    {"mixtral", read_mixtral},         {"olmoe", read_olmoe},
    {"gpt_oss", read_gpt_oss},         {"deepseek", read_deepseek},
    {"deepseek_v2", read_deepseek_v2}, {"deepseek_v3", read_deepseek_v3},
    {"qwen2_moe", read_qwen2_moe},     {"qwen3_moe", read_qwen3_moe},
    {"phimoe", read_phimoe},           {"switch_transformers", read_switch},
};

static bool
read_family(moe_hf_reader *r)
{
    const char *type = moe_hf_text(r, r->root, "model_type");
    const char *names[MOE_COUNT(families) + 1] = {NULL};

    for (size_t i = 0; i < MOE_COUNT(families); i++) {
        names[i] = families[i].model_type;
        if (type && !strcmp(type, families[i].model_type)) {
            families[i].read(r);
            return true;
        }
    }
    g_autofree char *known = g_strjoinv(", ", (char **)(uintptr_t)names);
    if (type)
        moe_diag_error(r->diag, moe_hf_loc(r),
                       "key model_type: unknown architecture '%s'; known: %s", type, known);
    else
        moe_diag_error(r->diag, moe_hf_loc(r), "key model_type: missing; known: %s", known);
    return false;
}

/* The checkpoint's name if it says one, else its folder's, else the architecture. */
static char *
model_name(const moe_hf_reader *r)
{
    const char *name = moe_hf_text(r, r->root, "_name_or_path");

    if (name && *name)
        return g_path_get_basename(name);
    g_autofree char *folder = g_path_get_dirname(r->file);
    if (strcmp(folder, "."))
        return g_path_get_basename(folder);
    return g_strdup(moe_hf_text(r, r->root, "model_type"));
}

moe_model_set *
moe_hf_config_read(const cJSON *root, const char *path, moe_diag *diag)
{
    moe_hf_reader r = {.root = root, .file = moe_diag_intern(diag, path), .diag = diag};
    unsigned before = moe_diag_errors(diag);

    if (!cJSON_IsObject(root)) {
        moe_diag_error(diag, moe_hf_loc(&r), "not a JSON object");
        return NULL;
    }
    if (!read_family(&r) || moe_diag_errors(diag) != before)
        return NULL;
    g_autofree char *name = model_name(&r);
    r.spec.name = name;
    r.spec.source = r.file;
    return moe_spec_build(&r.spec, where, &r, diag);
}

moe_model_set *
moe_hf_config_parse(const char *path, const char *text, size_t length, moe_diag *diag)
{
    g_autoptr(cJSON) root = moe_json_parse(path, text, length, diag);
    return root ? moe_hf_config_read(root, path, diag) : NULL;
}

moe_model_set *
moe_hf_config_load(const char *path, moe_diag *diag, GError **error)
{
    g_autoptr(cJSON) root = moe_json_load(path, diag, error);
    return root ? moe_hf_config_read(root, path, diag) : NULL;
}
