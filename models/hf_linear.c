/* Families some of whose layers have linear attention or a state space instead of keys, after
 * transformers' configuration_*.py and modeling_*.py of that name. */
#include "models/hf_parts.h"

#include <inttypes.h>
#include <string.h>

/* Whether an entry of a list of layers means attention with keys; -1: it means neither. */
static int
has_keys(const cJSON *entry)
{
    static const char *const full[] = {"full_attention", "attention"};
    static const char *const linear[] = {"linear_attention", "mamba"};
    const char *text = cJSON_GetStringValue(entry);

    if (cJSON_IsNumber(entry)) { /* attn_type_list */
        double value = cJSON_GetNumberValue(entry);
        return value == 1 ? 1 : value == 0 ? 0 : -1;
    }
    for (size_t i = 0; text && i < MOE_COUNT(full); i++) {
        if (!strcmp(text, full[i]))
            return 1;
        if (!strcmp(text, linear[i]))
            return 0;
    }
    return -1;
}

/* The period of a list: from its first layer with keys to the second. */
static void
find_period(const cJSON *list, int n, moe_stack_spec *s)
{
    int first = -1, second = -1;

    for (int i = 0; i < n && second < 0; i++) {
        if (has_keys(cJSON_GetArrayItem(list, i)) != 1)
            continue;
        if (first < 0)
            first = i;
        else
            second = i;
    }
    s->attention_offset = first < 0 ? s->layers : first;
    s->attention_every = first < 0 ? s->layers + 1 : second < 0 ? s->layers : second - first;
}

/* A list of every layer's kind, which must be a regular pattern; false: there is none. */
static bool
read_list(const moe_hf_reader *r, const char *key, moe_stack_spec *s)
{
    const cJSON *list = moe_hf_get(r, key), *entry;
    int n = list ? cJSON_GetArraySize(list) : 0, i = 0;

    if (!list)
        return false;
    if (n != s->layers) {
        moe_diag_error(r->diag, moe_hf_loc(r), "key %s: %d entries for %" PRId64 " layers", key, n,
                       s->layers);
        return true;
    }
    find_period(list, n, s);
    cJSON_ArrayForEach(entry, list)
    {
        int keys = has_keys(entry);
        if (keys != (i % s->attention_every == s->attention_offset)) {
            moe_diag_error(r->diag, moe_hf_loc(r),
                           keys < 0 ? "key %s: entry %d is neither attention nor linear"
                                    : "key %s: entry %d breaks the pattern of those before it; "
                                      "write a preset",
                           key, i);
            break;
        }
        i++;
    }
    return true;
}

/* A key that must say so where it is there at all: the parameters are counted like that. */
static void
expect(const moe_hf_reader *r, const char *key, bool value)
{
    if (moe_hf_bool(r, key, value) != value)
        moe_diag_error(r->diag, moe_hf_loc(r), "key %s: only %s is known", key,
                       value ? "true" : "false");
}

void
moe_hf_read_qwen3_next(moe_hf_reader *r)
{
    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    if (!read_list(r, "layer_types", s)) {
        s->attention_every = moe_hf_int(r, "full_attention_interval", 4, MOE_HF_LAYERS);
        s->attention_every = MAX(s->attention_every, 1);
        s->attention_offset = s->attention_every - 1;
    }
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", false);
    s->attention.qk_norm = MOE_QK_NORM_HEAD;
    s->attention.output_gate = true;
    s->linear = (moe_linear_spec){
        .kind = MOE_LINEAR_DELTA,
        .heads = moe_hf_need(r, "linear_num_value_heads", MOE_HF_DIM),
        .key_heads = moe_hf_need(r, "linear_num_key_heads", MOE_HF_DIM),
        .key_dim = moe_hf_need(r, "linear_key_head_dim", MOE_HF_DIM),
        .value_dim = moe_hf_need(r, "linear_value_head_dim", MOE_HF_DIM),
        .conv = moe_hf_need(r, "linear_conv_kernel_dim", 256),
        .chunk = 64,
    };
    s->moe = moe_hf_read_experts(r, "num_experts", "moe_intermediate_size");
    s->moe.shared_width = moe_hf_need(r, "shared_expert_intermediate_size", MOE_HF_WIDTH);
    s->moe.shared_gate = true;
    moe_hf_read_qwen_pattern(r, s);
    moe_hf_dtype(r, "bf16");
}

/* Linear layers have as many heads, as wide, as the others have of queries. */
void
moe_hf_read_minimax(moe_hf_reader *r)
{
    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    if (!read_list(r, "layer_types", s) && !read_list(r, "attn_type_list", s))
        moe_diag_error(r->diag, moe_hf_loc(r), "key attn_type_list: missing");
    s->linear = (moe_linear_spec){
        .kind = MOE_LINEAR_LIGHTNING,
        .heads = s->attention.heads,
        .key_dim = s->attention.head_dim,
        .value_dim = s->attention.head_dim,
        .chunk = MAX(moe_hf_int(r, "block_size", 256, MOE_HF_DIM), 1),
    };
    s->moe = moe_hf_read_experts(r, "num_local_experts", "intermediate_size");
    s->moe.shared_width = moe_hf_int(r, "shared_intermediate_size", 0, MOE_HF_WIDTH);
    s->moe.shared_gate = s->moe.shared_width > 0;
    moe_hf_dtype(r, "bf16");
}

void
moe_hf_read_jamba(moe_hf_reader *r)
{
    const cJSON *rank = moe_hf_get(r, "mamba_dt_rank");

    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    s->attention_every = moe_hf_need(r, "attn_layer_period", MOE_HF_LAYERS);
    s->attention_offset = moe_hf_int(r, "attn_layer_offset", 0, MOE_HF_LAYERS);
    s->moe_every = moe_hf_need(r, "expert_layer_period", MOE_HF_LAYERS);
    s->moe_offset = moe_hf_int(r, "expert_layer_offset", 0, MOE_HF_LAYERS);
    expect(r, "mamba_conv_bias", true);
    expect(r, "mamba_proj_bias", false);
    s->linear = (moe_linear_spec){
        .kind = MOE_LINEAR_MAMBA,
        .heads = moe_hf_need(r, "mamba_expand", 64) * r->spec.hidden,
        .key_heads = 1,
        .key_dim = moe_hf_need(r, "mamba_d_state", MOE_HF_DIM),
        .value_dim = 1,
        .conv = moe_hf_need(r, "mamba_d_conv", 256),
        .rank = !rank || cJSON_IsString(rank) ? (r->spec.hidden + 15) / 16 /* "auto" */
                                              : moe_hf_need(r, "mamba_dt_rank", MOE_HF_DIM),
        .chunk = 1,
    };
    if (moe_hf_has_dense(s))
        s->dense.width = moe_hf_need(r, "intermediate_size", MOE_HF_WIDTH);
    s->moe = moe_hf_read_experts(r, "num_experts", "intermediate_size");
    moe_hf_dtype(r, "bf16");
}

void
moe_hf_read_granite_hybrid(moe_hf_reader *r)
{
    const cJSON *dim = moe_hf_get(r, "mamba_d_head");

    moe_hf_read_model(r, "hidden_size", false);
    moe_stack_spec *s = moe_hf_read_decoder(r);
    if (!read_list(r, "layer_types", s))
        moe_diag_error(r->diag, moe_hf_loc(r), "key layer_types: missing");
    s->attention.bias = s->attention.output_bias = moe_hf_bool(r, "attention_bias", false);
    expect(r, "mamba_conv_bias", true);
    expect(r, "mamba_proj_bias", false);
    int64_t heads = moe_hf_need(r, "mamba_n_heads", MOE_HF_DIM);
    int64_t channels = moe_hf_int(r, "mamba_expand", 2, 64) * r->spec.hidden;
    s->linear = (moe_linear_spec){
        .kind = MOE_LINEAR_MAMBA2,
        .heads = heads,
        .key_heads = moe_hf_need(r, "mamba_n_groups", MOE_HF_DIM),
        .key_dim = moe_hf_need(r, "mamba_d_state", MOE_HF_DIM),
        .value_dim = !dim || cJSON_IsString(dim) ? channels / heads /* "auto" */
                                                 : moe_hf_need(r, "mamba_d_head", MOE_HF_DIM),
        .conv = moe_hf_need(r, "mamba_d_conv", 256),
        .chunk = MAX(moe_hf_int(r, "mamba_chunk_size", 256, MOE_HF_DIM), 1),
    };
    s->moe = moe_hf_read_experts(r, "num_local_experts", "intermediate_size");
    s->moe.shared_width = moe_hf_int(r, "shared_intermediate_size", 0, MOE_HF_WIDTH);
    moe_hf_dtype(r, "bf16");
}
