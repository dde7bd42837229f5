/* The written form of a model, between a preset or config.json and moe_model: stacks with a small
 * pattern that says which of their layers are dense, MoE, windowed. Private to models/.
 *
 * In a stack, layer i has an MoE part when i >= dense_first and i % moe_every == moe_offset, and
 * a dense one otherwise; it has `attention` when i % attention_every == attention_offset, and
 * `linear` otherwise; its window applies when i % window_every == window_offset. */
#ifndef MOE_MODELS_SPEC_H
#define MOE_MODELS_SPEC_H

#include "models/model.h"
#include "sim/base/param.h"

enum { MOE_SPEC_HEADS, MOE_SPEC_MLA };                         /* attention.kind */
enum { MOE_SPEC_FP32, MOE_SPEC_BF16, MOE_SPEC_FP16 };          /* linear.state */
enum { MOE_SPEC_ALL, MOE_SPEC_OUTPUT, MOE_SPEC_NO_EMBEDDING }; /* published.counting */

typedef struct moe_attention_spec {
    int kind;
    int64_t heads, kv_heads, head_dim; /* kv_heads 0: as heads */
    int64_t q_lora, kv_lora, nope_dim, rope_dim, value_dim;
    int64_t window;
    int64_t index_heads, index_dim, index_top_k; /* 0: no indexer */
    bool output_gate, bias, output_bias, sinks;
    int qk_norm;
} moe_attention_spec;

typedef struct moe_linear_spec {
    int kind;                 /* moe_linear_kind */
    int64_t heads, key_heads; /* heads 0: absent; key_heads 0: as heads */
    int64_t key_dim, value_dim;
    int64_t conv, rank, chunk;
    int state;
} moe_linear_spec;

typedef struct moe_ffn_spec {
    int64_t matrices, width; /* width 0: absent */
    int64_t experts, top_k;  /* MoE only */
    int64_t rounds;          /* MoE only; 0: as 1 */
    int64_t shared_width;
    bool shared_gate, router_bias, bias;
} moe_ffn_spec;

typedef struct moe_stack_spec {
    int kind; /* moe_stack_kind */
    int64_t layers;
    int64_t dense_first, moe_every, moe_offset;
    int64_t attention_every, attention_offset;
    int64_t window_every, window_offset;
    int64_t relative_buckets;
    moe_attention_spec attention, cross;
    moe_linear_spec linear;
    moe_ffn_spec dense, moe;
} moe_stack_spec;

typedef struct moe_model_spec {
    const char *name, *source;
    int64_t hidden, vocab;
    bool tied, head_bias, norm_bias;
    int weights, experts; /* native types: indices into moe_dtype_names */
    double published_total, published_active;
    int counting;
    const char *published_source;
    moe_list stacks; /* of moe_stack_spec */
} moe_model_spec;

/* Where a value of the written form stands: `section` ("moe", or NULL for the stack itself) and
 * `key` of a stack; the nearest place that exists. */
typedef moe_loc moe_spec_where(const void *context, size_t stack, const char *section,
                               const char *key);

/* Checks what single values cannot show and builds the model; NULL after located errors. */
moe_model_set *moe_spec_build(const moe_model_spec *spec, moe_spec_where *where,
                              const void *context, moe_diag *diag);
#endif
