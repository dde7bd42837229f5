/* Parts of config.json that families share. */
#include "models/hf_parts.h"

#include <inttypes.h>

void
moe_hf_read_model(moe_hf_reader *r, const char *hidden, bool tied)
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

int64_t
moe_hf_read_window(const moe_hf_reader *r)
{
    int64_t window = moe_hf_int(r, "sliding_window", 0, 1073741824);
    int64_t context = moe_hf_int(r, "max_position_embeddings", INT32_MAX, INT32_MAX);
    return window < context ? window : 0;
}

moe_ffn_spec
moe_hf_read_experts(const moe_hf_reader *r, const char *count, const char *width)
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

moe_stack_spec *
moe_hf_read_decoder(moe_hf_reader *r)
{
    moe_stack_spec *s = &r->stacks[0];

    *s = (moe_stack_spec){
        .kind = MOE_STACK_DECODER,
        .layers = moe_hf_need(r, "num_hidden_layers", MOE_HF_LAYERS),
        .moe_every = 1,
        .attention_every = 1,
        .window_every = 1,
        .attention = read_heads(r),
        .dense = {.matrices = 3},
    };
    r->spec.stacks = (moe_list){r->stacks, 1};
    return s;
}

bool
moe_hf_has_dense(const moe_stack_spec *s)
{
    return s->dense_first || s->moe_every > 1;
}

void
moe_hf_read_qwen_pattern(const moe_hf_reader *r, moe_stack_spec *s)
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
    if (moe_hf_has_dense(s))
        s->dense.width = moe_hf_need(r, "intermediate_size", MOE_HF_WIDTH);
    if (moe_hf_bool(r, "use_sliding_window", false))
        moe_diag_error(r->diag, moe_hf_loc(r),
                       "key use_sliding_window: windows by layer are not read; write a preset");
}
