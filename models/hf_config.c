/* Hugging Face config.json -> the written form of models/spec.h.
 *
 * Each family has a reader of its own keys, after transformers' configuration_*.py and
 * modeling_*.py of that name. Keys that shape the model and are absent take the family's class
 * default where that default is what published files rely on; otherwise they are errors. */
#include "models/hf_parts.h"
#include "models/set.h"

#include <inttypes.h>
#include <string.h>

static moe_loc
where(const void *context, size_t stack, const char *section, const char *key)
{
    return moe_hf_loc(context);
}

/* ---- families ---- */

static void
read_mixtral(moe_hf_reader *r)
{
    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    s->attention.window = moe_hf_read_window(r);
    s->moe = moe_hf_read_experts(r, "num_local_experts", "intermediate_size");
    moe_hf_dtype(r, "bf16");
}

static void
read_olmoe(moe_hf_reader *r)
{
    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", false);
    s->attention.qk_norm = MOE_QK_NORM_FULL;
    s->moe = moe_hf_read_experts(r, "num_experts", "intermediate_size");
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
    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", true);
    s->attention.sinks = true;
    s->attention.window = moe_hf_read_window(r);
    read_layer_types(r, s);
    s->moe = moe_hf_read_experts(r, "num_local_experts", "intermediate_size");
    s->moe.bias = s->moe.router_bias = true;
    moe_hf_dtype(r, "bf16");
}

static void
read_deepseek_moe(const moe_hf_reader *r, moe_stack_spec *s)
{
    int64_t every = moe_hf_int(r, "moe_layer_freq", 1, MOE_HF_LAYERS);

    s->moe_every = every ? every : 1;
    s->dense_first = moe_hf_int(r, "first_k_dense_replace", 0, MOE_HF_LAYERS);
    if (moe_hf_has_dense(s))
        s->dense.width = moe_hf_need(r, "intermediate_size", MOE_HF_WIDTH);
    s->moe = moe_hf_read_experts(r, "n_routed_experts", "moe_intermediate_size");
    s->moe.shared_width = s->moe.width * moe_hf_int(r, "n_shared_experts", 0, 64);
}

static void
read_deepseek(moe_hf_reader *r)
{
    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", false);
    read_deepseek_moe(r, s);
    moe_hf_dtype(r, "bf16");
}

static void
read_deepseek_mla(moe_hf_reader *r)
{
    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
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

/* Of V3, an indexer beside each attention. */
static void
read_deepseek_v32(moe_hf_reader *r)
{
    moe_attention_spec *a = &r->stacks[0].attention;

    read_deepseek_v3(r);
    a->index_heads = moe_hf_need(r, "index_n_heads", MOE_HF_DIM);
    a->index_dim = moe_hf_need(r, "index_head_dim", MOE_HF_DIM);
    a->index_top_k = moe_hf_need(r, "index_topk", 1073741824);
}

static void
read_qwen2_moe(moe_hf_reader *r)
{
    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    s->attention.bias = moe_hf_bool(r, "qkv_bias", true);
    s->moe = moe_hf_read_experts(r, "num_experts", "moe_intermediate_size");
    s->moe.shared_width = moe_hf_need(r, "shared_expert_intermediate_size", MOE_HF_WIDTH);
    s->moe.shared_gate = true;
    moe_hf_read_qwen_pattern(r, s);
    moe_hf_dtype(r, "bf16");
}

static void
read_qwen3_moe(moe_hf_reader *r)
{
    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", false);
    s->attention.qk_norm = MOE_QK_NORM_HEAD;
    s->moe = moe_hf_read_experts(r, "num_experts", "moe_intermediate_size");
    moe_hf_read_qwen_pattern(r, s);
    moe_hf_dtype(r, "bf16");
}

static void
read_phimoe(moe_hf_reader *r)
{
    moe_hf_read_model(r, "hidden_size", false);
    r->spec.norm_bias = true;
    r->spec.head_bias = moe_hf_bool(r, "lm_head_bias", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", false);
    s->attention.window = moe_hf_read_window(r);
    s->moe = moe_hf_read_experts(r, "num_local_experts", "intermediate_size");
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
        .attention_every = 1,
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

    moe_hf_read_model(r, "d_model", true);
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
    {"mixtral", read_mixtral},
    {"olmoe", read_olmoe},
    {"gpt_oss", read_gpt_oss},
    {"deepseek", read_deepseek},
    {"deepseek_v2", read_deepseek_v2},
    {"deepseek_v3", read_deepseek_v3},
    {"deepseek_v32", read_deepseek_v32},
    {"qwen2_moe", read_qwen2_moe},
    {"qwen3_moe", read_qwen3_moe},
    {"qwen3_next", moe_hf_read_qwen3_next},
    {"phimoe", read_phimoe},
    {"switch_transformers", read_switch},
    {"minimax", moe_hf_read_minimax},
    {"minimax_text_01", moe_hf_read_minimax},
    {"minimax_m1", moe_hf_read_minimax},
    {"jamba", moe_hf_read_jamba},
    {"granitemoehybrid", moe_hf_read_granite_hybrid},
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
