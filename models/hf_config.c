/* Hugging Face config.json -> the written form of models/spec.h.
 *
 * Each family has a reader of its own keys, after transformers' configuration_*.py and
 * modeling_*.py of that name. Keys that shape the model and are absent take the family's class
 * default where that default is what published files rely on; otherwise they are errors. */
#include "models/json.h"
#include "models/set.h"
#include "models/spec.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define DIM 65536
#define WIDTH 4194304
#define LAYERS 1024
#define EXPERTS 65533

typedef struct reader {
    const cJSON *root;
    const char *file;
    moe_diag *diag;
    moe_stack_spec stacks[2];
    moe_model_spec spec;
} reader;

static moe_loc
file_loc(const reader *r)
{
    return (moe_loc){.file = r->file};
}

static moe_loc
where(const void *context, size_t stack, const char *section, const char *key)
{
    return file_loc(context);
}

/* The value of `key`; NULL when absent or null. */
static const cJSON *
get(const reader *r, const char *key)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(r->root, key);
    return node && !cJSON_IsNull(node) ? node : NULL;
}

static int64_t
integer(const reader *r, const char *key, const cJSON *node, int64_t min, int64_t max)
{
    double value = cJSON_IsNumber(node) ? cJSON_GetNumberValue(node) : NAN;

    if (!(value >= (double)min && value <= (double)max) || value != floor(value)) {
        moe_diag_error(r->diag, file_loc(r),
                       "key %s: wants an integer from %" PRId64 " to %" PRId64, key, min, max);
        return min;
    }
    return (int64_t)value;
}

static int64_t
need_int(const reader *r, const char *key, int64_t max)
{
    const cJSON *node = get(r, key);

    if (!node) {
        moe_diag_error(r->diag, file_loc(r), "key %s: missing", key);
        return 1;
    }
    return integer(r, key, node, 1, max);
}

static int64_t
int_or(const reader *r, const char *key, int64_t fallback, int64_t max)
{
    const cJSON *node = get(r, key);
    return node ? integer(r, key, node, 0, max) : fallback;
}

static bool
bool_or(const reader *r, const char *key, bool fallback)
{
    const cJSON *node = get(r, key);

    if (node && !cJSON_IsBool(node))
        moe_diag_error(r->diag, file_loc(r), "key %s: wants true or false", key);
    return node ? cJSON_IsTrue(node) : fallback;
}

/* The text of `key` in `node`; NULL when absent. */
static const char *
text_of(const reader *r, const cJSON *node, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(node, key);

    if (!value || cJSON_IsNull(value))
        return NULL;
    if (!cJSON_IsString(value)) {
        moe_diag_error(r->diag, file_loc(r), "key %s: wants a text", key);
        return NULL;
    }
    return cJSON_GetStringValue(value);
}

static int
dtype_index(const char *name)
{
    for (int i = 0; moe_dtype_names[i]; i++)
        if (!strcmp(moe_dtype_names[i], name))
            return i;
    moe_assert(false, "dtype '%s'", name);
    return 0;
}

/* Native types: torch_dtype, then what the quantisation of the checkpoint makes of it. */
static void
read_dtype(reader *r, const char *fallback)
{
    static const char *const names[][2] = {
        {"bfloat16", "bf16"}, {"float16", "fp16"}, {"float32", "fp32"}};
    const char *torch = text_of(r, r->root, "torch_dtype");
    const char *dtype = torch ? NULL : fallback;

    if (!torch)
        torch = text_of(r, r->root, "dtype");
    for (size_t i = 0; torch && i < MOE_COUNT(names); i++)
        if (!strcmp(torch, names[i][0]))
            dtype = names[i][1];
    if (!dtype) {
        moe_diag_error(r->diag, file_loc(r),
                       "key torch_dtype: '%s' is none of bfloat16, float16, float32", torch);
        return;
    }
    r->spec.weights = r->spec.experts = dtype_index(dtype);
    const cJSON *quantisation = get(r, "quantization_config");
    const char *method = quantisation ? text_of(r, quantisation, "quant_method") : NULL;
    if (!method)
        return;
    if (!strcmp(method, "mxfp4"))
        r->spec.experts = dtype_index("mxfp4");
    else if (!strcmp(method, "fp8"))
        r->spec.weights = r->spec.experts = dtype_index("fp8");
    else
        moe_diag_warning(r->diag, file_loc(r),
                         "key quantization_config: quant_method '%s' is not read; weights are "
                         "taken as %s",
                         method, dtype);
}

/* ---- parts that families share ---- */

static void
read_model(reader *r, const char *hidden, bool tied)
{
    r->spec.hidden = need_int(r, hidden, 1048576);
    r->spec.vocab = need_int(r, "vocab_size", 16777216);
    r->spec.tied = bool_or(r, "tie_word_embeddings", tied);
}

/* Multi-head or grouped attention; head_dim absent: hidden / heads. */
static moe_attention_spec
read_heads(const reader *r)
{
    moe_attention_spec a = {.kind = MOE_SPEC_HEADS};

    a.heads = need_int(r, "num_attention_heads", DIM);
    a.kv_heads = int_or(r, "num_key_value_heads", a.heads, DIM);
    a.head_dim = int_or(r, "head_dim", r->spec.hidden / a.heads, DIM);
    return a;
}

/* A window as long as the context is none. */
static int64_t
read_window(const reader *r)
{
    int64_t window = int_or(r, "sliding_window", 0, 1073741824);
    int64_t context = int_or(r, "max_position_embeddings", INT32_MAX, INT32_MAX);
    return window < context ? window : 0;
}

static moe_ffn_spec
read_experts(const reader *r, const char *count, const char *width)
{
    return (moe_ffn_spec){
        .matrices = 3,
        .experts = need_int(r, count, EXPERTS),
        .top_k = need_int(r, "num_experts_per_tok", EXPERTS),
        .width = need_int(r, width, WIDTH),
    };
}

static moe_stack_spec *
read_decoder(reader *r)
{
    moe_stack_spec *s = &r->stacks[0];

    *s = (moe_stack_spec){
        .kind = MOE_STACK_DECODER,
        .layers = need_int(r, "num_hidden_layers", LAYERS),
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
read_qwen_pattern(const reader *r, moe_stack_spec *s)
{
    const cJSON *only = get(r, "mlp_only_layers");
    int64_t step = int_or(r, "decoder_sparse_step", 1, LAYERS);

    s->moe_every = step ? step : 1;
    s->moe_offset = s->moe_every - 1;
    s->dense_first = only ? cJSON_GetArraySize(only) : 0;
    for (int i = 0; i < s->dense_first; i++) {
        const cJSON *item = cJSON_GetArrayItem(only, i);
        if (!cJSON_IsNumber(item) || cJSON_GetNumberValue(item) != i) {
            moe_diag_error(r->diag, file_loc(r),
                           "key mlp_only_layers: only the first layers can be dense here; write a "
                           "preset");
            break;
        }
    }
    if (has_dense(s))
        s->dense.width = need_int(r, "intermediate_size", WIDTH);
    if (bool_or(r, "use_sliding_window", false))
        moe_diag_error(r->diag, file_loc(r),
                       "key use_sliding_window: windows by layer are not read; write a preset");
}

/* ---- families ---- */

static void
read_mixtral(reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.window = read_window(r);
    s->moe = read_experts(r, "num_local_experts", "intermediate_size");
    read_dtype(r, "bf16");
}

static void
read_olmoe(reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = s->attention.output_bias = bool_or(r, "attention_bias", false);
    s->attention.qk_norm = MOE_QK_NORM_FULL;
    s->moe = read_experts(r, "num_experts", "intermediate_size");
    read_dtype(r, "bf16");
}

/* layer_types lists sliding and full layers; it must be a regular pattern. */
static void
read_layer_types(const reader *r, moe_stack_spec *s)
{
    const cJSON *types = get(r, "layer_types");
    int n = types ? cJSON_GetArraySize(types) : 0;

    s->window_every = 2;
    s->window_offset = 0;
    if (types && n != s->layers)
        moe_diag_error(r->diag, file_loc(r), "key layer_types: %d entries for %" PRId64 " layers",
                       n, s->layers);
    for (int i = 0; i < n; i++) {
        const char *type = cJSON_GetStringValue(cJSON_GetArrayItem(types, i));
        const char *want = i % 2 ? "full_attention" : "sliding_attention";
        if (!type || strcmp(type, want)) {
            moe_diag_error(r->diag, file_loc(r),
                           "key layer_types: entry %d is not '%s'; write a preset", i, want);
            break;
        }
    }
}

static void
read_gpt_oss(reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = s->attention.output_bias = bool_or(r, "attention_bias", true);
    s->attention.sinks = true;
    s->attention.window = read_window(r);
    read_layer_types(r, s);
    s->moe = read_experts(r, "num_local_experts", "intermediate_size");
    s->moe.bias = s->moe.router_bias = true;
    read_dtype(r, "bf16");
}

static void
read_deepseek_moe(const reader *r, moe_stack_spec *s)
{
    int64_t every = int_or(r, "moe_layer_freq", 1, LAYERS);

    s->moe_every = every ? every : 1;
    s->dense_first = int_or(r, "first_k_dense_replace", 0, LAYERS);
    if (has_dense(s))
        s->dense.width = need_int(r, "intermediate_size", WIDTH);
    s->moe = read_experts(r, "n_routed_experts", "moe_intermediate_size");
    s->moe.shared_width = s->moe.width * int_or(r, "n_shared_experts", 0, 64);
}

static void
read_deepseek(reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = s->attention.output_bias = bool_or(r, "attention_bias", false);
    read_deepseek_moe(r, s);
    read_dtype(r, "bf16");
}

static void
read_deepseek_mla(reader *r)
{
    const char *topk = text_of(r, r->root, "topk_method");

    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention = (moe_attention_spec){
        .kind = MOE_SPEC_MLA,
        .heads = s->attention.heads,
        .q_lora = int_or(r, "q_lora_rank", 0, DIM),
        .kv_lora = need_int(r, "kv_lora_rank", DIM),
        .nope_dim = need_int(r, "qk_nope_head_dim", DIM),
        .rope_dim = need_int(r, "qk_rope_head_dim", DIM),
        .value_dim = need_int(r, "v_head_dim", DIM),
    };
    read_deepseek_moe(r, s);
    s->moe.router_bias = topk && !strcmp(topk, "noaux_tc");
    read_dtype(r, "bf16");
}

static void
read_qwen2_moe(reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = bool_or(r, "qkv_bias", true);
    s->moe = read_experts(r, "num_experts", "moe_intermediate_size");
    s->moe.shared_width = need_int(r, "shared_expert_intermediate_size", WIDTH);
    s->moe.shared_gate = true;
    read_qwen_pattern(r, s);
    read_dtype(r, "bf16");
}

static void
read_qwen3_moe(reader *r)
{
    read_model(r, "hidden_size", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = s->attention.output_bias = bool_or(r, "attention_bias", false);
    s->attention.qk_norm = MOE_QK_NORM_HEAD;
    s->moe = read_experts(r, "num_experts", "moe_intermediate_size");
    read_qwen_pattern(r, s);
    read_dtype(r, "bf16");
}

static void
read_phimoe(reader *r)
{
    read_model(r, "hidden_size", false);
    r->spec.norm_bias = true;
    r->spec.head_bias = bool_or(r, "lm_head_bias", false);
    moe_stack_spec *s = read_decoder(r);
    s->attention.bias = s->attention.output_bias = bool_or(r, "attention_bias", false);
    s->attention.window = read_window(r);
    s->moe = read_experts(r, "num_local_experts", "intermediate_size");
    read_dtype(r, "bf16");
}

/* One of Switch's stacks: layers i with i % step == 1 are sparse (all of them for step 1). */
static moe_stack_spec
read_switch_stack(const reader *r, moe_stack_kind kind, int64_t layers, const char *sparse_key)
{
    int64_t sparse = int_or(r, sparse_key, 3, LAYERS);
    int64_t step = sparse ? MAX(layers / sparse, 1) : layers;
    moe_attention_spec attention = {
        .heads = need_int(r, "num_heads", DIM),
        .head_dim = need_int(r, "d_kv", DIM),
    };
    moe_ffn_spec ffn = {.matrices = 2, .width = need_int(r, "d_ff", WIDTH)};
    moe_stack_spec s = {
        .kind = (int)kind,
        .layers = layers,
        .moe_every = step,
        .moe_offset = step > 1 ? 1 : 0,
        .window_every = 1,
        .relative_buckets = int_or(r, "relative_attention_num_buckets", 32, DIM),
        .attention = attention,
        .moe = ffn,
    };

    if (step > 1)
        s.dense = ffn;
    s.moe.experts = need_int(r, "num_experts", EXPERTS);
    s.moe.top_k = 1;
    s.moe.router_bias = bool_or(r, "router_bias", false);
    if (kind == MOE_STACK_DECODER)
        s.cross = attention;
    return s;
}

static void
read_switch(reader *r)
{
    int64_t layers = need_int(r, "num_layers", LAYERS);

    read_model(r, "d_model", true);
    r->stacks[0] = read_switch_stack(r, MOE_STACK_ENCODER, layers, "num_sparse_encoder_layers");
    r->stacks[1] =
        read_switch_stack(r, MOE_STACK_DECODER, int_or(r, "num_decoder_layers", layers, LAYERS),
                          "num_sparse_decoder_layers");
    r->spec.stacks = (moe_list){r->stacks, 2};
    read_dtype(r, "fp32");
}

static const struct {
    const char *model_type;
    void (*read)(reader *r);
} families[] = {
    {"mixtral", read_mixtral},
    {"olmoe", read_olmoe},
    {"gpt_oss", read_gpt_oss},
    {"deepseek", read_deepseek},
    {"deepseek_v2", read_deepseek_mla},
    {"deepseek_v3", read_deepseek_mla},
    {"qwen2_moe", read_qwen2_moe},
    {"qwen3_moe", read_qwen3_moe},
    {"phimoe", read_phimoe},
    {"switch_transformers", read_switch},
};

static bool
read_family(reader *r)
{
    const char *type = text_of(r, r->root, "model_type");
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
        moe_diag_error(r->diag, file_loc(r), "key model_type: unknown architecture '%s'; known: %s",
                       type, known);
    else
        moe_diag_error(r->diag, file_loc(r), "key model_type: missing; known: %s", known);
    return false;
}

/* The checkpoint's name if it says one, else its folder's, else the architecture. */
static char *
model_name(const reader *r)
{
    const char *name = text_of(r, r->root, "_name_or_path");

    if (name && *name)
        return g_path_get_basename(name);
    g_autofree char *folder = g_path_get_dirname(r->file);
    if (strcmp(folder, "."))
        return g_path_get_basename(folder);
    return g_strdup(text_of(r, r->root, "model_type"));
}

static moe_model_set *
read_root(const cJSON *root, const char *path, moe_diag *diag)
{
    reader r = {.root = root, .file = moe_diag_intern(diag, path), .diag = diag};
    unsigned before = moe_diag_errors(diag);

    if (!cJSON_IsObject(root)) {
        moe_diag_error(diag, file_loc(&r), "not a JSON object");
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
    return root ? read_root(root, path, diag) : NULL;
}

moe_model_set *
moe_hf_config_load(const char *path, moe_diag *diag, GError **error)
{
    g_autoptr(cJSON) root = moe_json_load(path, diag, error);
    return root ? read_root(root, path, diag) : NULL;
}
