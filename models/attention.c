/* Parameters, cache and work of an attention block.
 *
 * A linear attention, with K = key_heads * key_dim and V = heads * value_dim, has
 *     from hidden:  2 K + V (queries, keys, values) + V (the output's gate) + controls * heads
 *     convolution:  conv weights for each of 2 K + V channels, and a bias (conv_bias)
 *     learned:      vectors * heads numbers, a norm as wide as a head's values, or as V (wide_norm)
 *     to hidden:    V
 * A selective scan (mamba) projects 2 V from hidden, convolves V channels, and has its keys,
 * queries and step sizes from those: V * (2 K + rank), rank * V, decays of V * key_dim.
 * (transformers 5.24: modeling_qwen3_next, modeling_minimax, modeling_granitemoehybrid and
 * modeling_jamba, whose parameters are those of the presets to the last one.) */
#include "models/model.h"

#define INDEX_SCALED 128 /* elements of an indexer's key that share an FP32 scale */

static const struct linear_parts {
    const char *name;
    int controls; /* numbers per head that each token sets: decay, step, strength of writing */
    int vectors;  /* learned numbers per head */
    bool conv_bias, wide_norm;
} linear_parts[] = {
    [MOE_LINEAR_LIGHTNING] = {"lightning", 0, 0, false, true},
    [MOE_LINEAR_DELTA] = {"delta", 2, 2, false, false},
    [MOE_LINEAR_MAMBA2] = {"mamba2", 1, 3, true, true},
    [MOE_LINEAR_MAMBA] = {"mamba", 0, 0, true, false},
};

const char *
moe_linear_kind_name(moe_linear_kind kind)
{
    return linear_parts[kind].name;
}

static int64_t
linear_keys(const moe_attention *a)
{
    return (int64_t)a->key_heads * a->key_dim;
}

static int64_t
linear_values(const moe_attention *a)
{
    return (int64_t)a->heads * a->value_dim;
}

int64_t
moe_attention_linear_columns(const moe_attention *a)
{
    int64_t keys = linear_keys(a), values = linear_values(a);

    if (a->kind != MOE_ATTENTION_LINEAR)
        return 0;
    if (a->linear == MOE_LINEAR_MAMBA)
        return 2 * values;
    return 2 * keys + 2 * values + linear_parts[a->linear].controls * (int64_t)a->heads;
}

int64_t
moe_attention_conv_channels(const moe_attention *a)
{
    if (a->kind != MOE_ATTENTION_LINEAR || !a->conv)
        return 0;
    return linear_values(a) + (a->linear == MOE_LINEAR_MAMBA ? 0 : 2 * linear_keys(a));
}

static int64_t
linear_matrices(const moe_model *model, const moe_attention *a)
{
    int64_t values = linear_values(a);
    int64_t n = model->hidden * (moe_attention_linear_columns(a) + values);

    if (a->linear == MOE_LINEAR_MAMBA)
        n += values * (2 * linear_keys(a) + 2 * (int64_t)a->rank);
    return n;
}

/* Beside the matrices. */
static int64_t
linear_others(const moe_attention *a)
{
    const struct linear_parts *parts = &linear_parts[a->linear];
    int64_t values = linear_values(a);
    int64_t n = moe_attention_conv_channels(a) * (a->conv + parts->conv_bias);

    if (a->linear == MOE_LINEAR_MAMBA) /* decays, skip, bias of the steps; norms */
        return n + values * (a->key_dim + 2) + a->rank + 2 * linear_keys(a);
    return n + parts->vectors * (int64_t)a->heads + (parts->wide_norm ? values : a->value_dim);
}

/* Queries from the query's latent where there is one. */
static int64_t
index_matrices(const moe_model *model, const moe_attention *a)
{
    int64_t hidden = model->hidden, from = a->q_lora ? a->q_lora : hidden;

    return from * a->index_heads * a->index_dim + hidden * (a->index_dim + a->index_heads);
}

static int64_t
heads_matrices(const moe_model *model, const moe_attention *a)
{
    int64_t q = (int64_t)a->heads * (a->output_gate ? 3 : 2);
    return model->hidden * (int64_t)a->head_dim * (q + 2 * (int64_t)a->kv_heads);
}

static int64_t
latent_matrices(const moe_model *model, const moe_attention *a)
{
    int64_t hidden = model->hidden, heads = a->heads;
    int64_t query = heads * (a->nope_dim + a->rope_dim);
    int64_t q = a->q_lora ? a->q_lora * (hidden + query) : hidden * query;
    int64_t kv_down = hidden * (a->kv_lora + a->rope_dim);
    int64_t kv_up = a->kv_lora * heads * (a->nope_dim + a->value_dim);
    return q + kv_down + kv_up + heads * a->value_dim * hidden;
}

/* Weights of the matrices that every token is multiplied with; no norms, no biases. */
static int64_t
attention_matrices(const moe_model *model, const moe_attention *a)
{
    switch (a->kind) {
    case MOE_ATTENTION_NONE:
        return 0;
    case MOE_ATTENTION_LINEAR:
        return linear_matrices(model, a);
    case MOE_ATTENTION_HEADS:
        return heads_matrices(model, a) + index_matrices(model, a);
    case MOE_ATTENTION_MLA:
        break;
    }
    return latent_matrices(model, a) + index_matrices(model, a);
}

static int64_t
qk_norm_params(const moe_attention *a)
{
    switch (a->qk_norm) {
    case MOE_QK_NORM_NONE:
        return 0;
    case MOE_QK_NORM_HEAD:
        return 2 * (int64_t)a->head_dim;
    case MOE_QK_NORM_FULL:
        break;
    }
    return (int64_t)a->head_dim * (a->heads + a->kv_heads);
}

int64_t
moe_attention_params(const moe_model *model, const moe_attention *a)
{
    int64_t n = attention_matrices(model, a) + 2 * (int64_t)a->index_dim; /* its LayerNorm */

    if (a->kind == MOE_ATTENTION_NONE)
        return 0;
    if (a->kind == MOE_ATTENTION_LINEAR)
        return n + linear_others(a);
    if (a->kind == MOE_ATTENTION_MLA)
        return n + a->q_lora + a->kv_lora; /* the norms of the latents */
    if (a->bias)
        n += (int64_t)a->head_dim * (a->heads + 2 * (int64_t)a->kv_heads);
    if (a->output_bias)
        n += model->hidden;
    if (a->sinks)
        n += a->heads;
    return n + qk_norm_params(a) + (int64_t)a->relative_buckets * a->heads;
}

/* ---- memory and work ---- */

int64_t
moe_attention_kv(const moe_attention *a)
{
    switch (a->kind) {
    case MOE_ATTENTION_NONE:
    case MOE_ATTENTION_LINEAR:
        return 0;
    case MOE_ATTENTION_HEADS:
        return 2 * (int64_t)a->kv_heads * a->head_dim;
    case MOE_ATTENTION_MLA:
        break;
    }
    return (int64_t)a->kv_lora + a->rope_dim;
}

int64_t
moe_attention_index_bytes(const moe_attention *a)
{
    return a->index_dim + 4 * (((int64_t)a->index_dim + INDEX_SCALED - 1) / INDEX_SCALED);
}

int64_t
moe_attention_conv_bytes(const moe_attention *a)
{
    return a->conv ? moe_attention_conv_channels(a) * (a->conv - 1) * 2 : 0;
}

int64_t
moe_attention_state_bytes(const moe_attention *a)
{
    if (a->kind != MOE_ATTENTION_LINEAR)
        return 0;
    return linear_values(a) * a->key_dim * (a->state_bits / 8) + moe_attention_conv_bytes(a);
}

int64_t
moe_attention_span(const moe_attention *a, int64_t length)
{
    int64_t most = a->window ? a->window : a->index_top_k;
    return most && length > most ? most : length;
}

double
moe_attention_proj_flops(const moe_model *model, const moe_attention *a)
{
    return 2.0 * (double)attention_matrices(model, a);
}

double
moe_attention_score_flops(const moe_attention *a, int64_t span)
{
    double per_key = 0; /* multiply-adds per head: score, then weighted value */

    if (a->kind == MOE_ATTENTION_HEADS)
        per_key = 2.0 * a->head_dim;
    if (a->kind == MOE_ATTENTION_MLA)
        per_key = 2.0 * a->kv_lora + a->rope_dim;
    return 2.0 * per_key * a->heads * (double)span;
}
