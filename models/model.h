/* What a model is: stacks of layers, shapes, experts, router; and what that costs in parameters,
 * bytes and FLOPs. Pure data and arithmetic: nothing here knows hardware or time.
 *
 * Read from a preset (models/presets/NAME.yaml) or straight from a Hugging Face config.json.
 * A model is immutable once read and can be shared by threads. */
#ifndef MOE_MODELS_MODEL_H
#define MOE_MODELS_MODEL_H

#include "sim/base/diag.h"

typedef enum moe_attention_kind {
    MOE_ATTENTION_NONE,
    MOE_ATTENTION_HEADS, /* MHA, GQA, MQA: kv_heads tells */
    MOE_ATTENTION_MLA,
    MOE_ATTENTION_LINEAR, /* a state of fixed size in the keys' place: linear, state-space */
} moe_attention_kind;

/* What a linear attention is made of (models/attention.c has the list). */
typedef enum moe_linear_kind {
    MOE_LINEAR_LIGHTNING, /* a fixed decay per head (MiniMax-01, M1) */
    MOE_LINEAR_DELTA,     /* gated delta rule (Qwen3-Next) */
    MOE_LINEAR_MAMBA2,    /* state-space duality: B and C are the groups' keys and queries, x the
                             values (Granite 4, Nemotron-H) */
    MOE_LINEAR_MAMBA,     /* selective scan: every channel a head of value_dim 1 (Jamba) */
} moe_linear_kind;

/* Normalisation of queries and keys: over each head, or over all heads together. */
typedef enum moe_qk_norm { MOE_QK_NORM_NONE, MOE_QK_NORM_HEAD, MOE_QK_NORM_FULL } moe_qk_norm;

/* One attention block. For MLA head_dim is unused; its cache holds kv_lora + rope elements.
 *
 * With an indexer (index_top_k > 0) attention is sparse: of all keys before a query, index_heads
 * small heads choose the index_top_k that it reads. Their key, index_dim wide and one for all
 * heads, is cached beside the others.
 *
 * Linear attention: each of `heads` keeps a state of key_dim x value_dim; key_heads keys and
 * queries are shared by heads / key_heads heads each (of a state-space layer: groups, state size,
 * head dimension). A convolution over the last `conv` inputs comes before. Its kv_heads and
 * head_dim are unused. */
typedef struct moe_attention {
    moe_attention_kind kind;
    int heads, kv_heads, head_dim;
    int q_lora, kv_lora, nope_dim, rope_dim, value_dim; /* MLA; q_lora 0: q from hidden directly */
    int window;                                         /* sliding window in tokens; 0: full */
    int index_heads, index_dim, index_top_k;            /* sparse; 0: all keys are read */
    moe_linear_kind linear;                             /* this and the next two lines: linear */
    int key_heads, key_dim, conv, rank;                 /* rank: mamba's, of the step size */
    int state_bits, chunk; /* of a state's element; tokens of a prompt that are taken together */
    bool output_gate;      /* what was attended is scaled by a sigmoid of a projection of its own */
    bool bias;             /* biases on q, k, v */
    bool output_bias;      /* bias on o */
    bool sinks;            /* one learned sink logit per head */
    moe_qk_norm qk_norm;
    int relative_buckets; /* T5: learned position biases per head, in a stack's first layer */
} moe_attention;

typedef enum moe_ffn_kind { MOE_FFN_NONE, MOE_FFN_DENSE, MOE_FFN_MOE } moe_ffn_kind;

typedef struct moe_ffn {
    moe_ffn_kind kind;
    int matrices; /* 2 (up, down) or 3 (gate, up, down) */
    int width;    /* dense: intermediate size; MoE: of one expert */
    int experts;  /* routed experts; 0 when dense */
    int top_k;
    int shared_width; /* all shared experts together; 0: none */
    bool shared_gate; /* the shared expert is scaled by a sigmoid gate */
    bool router_bias;
    bool bias;  /* biases in the expert's or dense matrices */
    bool again; /* a further round: a router of its own over the experts of the layer before it */
} moe_ffn;

typedef enum moe_stack_kind { MOE_STACK_DECODER, MOE_STACK_ENCODER } moe_stack_kind;

typedef struct moe_layer {
    moe_attention attention;
    moe_attention cross; /* decoder of an encoder-decoder model; kind NONE otherwise */
    moe_ffn ffn;
    int moe_index; /* which MoE layer of its stack, from 0, further rounds counted; -1: dense */
} moe_layer;

typedef struct moe_stack {
    moe_stack_kind kind;
    int n_layers, n_moe;
    const moe_layer *layers; /* a further round is a layer without attention */
} moe_stack;

typedef struct moe_model {
    const char *name;
    const char *source; /* where the shape comes from */
    int hidden, vocab;
    bool tied;      /* input and output embeddings are one matrix */
    bool head_bias; /* the unembedding has a bias */
    bool norm_bias; /* LayerNorm (scale and bias) instead of RMSNorm (scale) */
    int n_stacks;
    const moe_stack *stacks; /* encoder before decoder */
    double expert_bits;      /* native bits per expert weight (4.25 MXFP4); 16 by default */
    double weight_bits;      /* native bits of everything else */
    const char *expert_dtype, *weight_dtype;  /* what these types are called (moe_dtype_names) */
    double published_total, published_active; /* parameters; 0: not published */
    const char *counting;         /* which convention the published active number follows, see
                                     moe_model_active */
    const char *published_source; /* NULL: not published */
} moe_model;

typedef struct moe_model_set moe_model_set; /* owns a model and its arrays */

/* `name`: a preset's name, or a path to a .yaml preset or a Hugging Face config.json (a name that
 * ends in .json). `beside`: folder of the
 * file that names it, for relative paths; may be NULL. `at` locates messages about the name. */
moe_model_set *moe_model_load(const char *name, const char *beside, moe_loc at, moe_diag *diag,
                              GError **error);
void moe_model_free(moe_model_set *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_model_set, moe_model_free)
const moe_model *moe_model_get(const moe_model_set *set);
/* Every shape and number, canonical, for identities: the same model, the same text, whatever its
 * name and wherever it was read from. Published figures are no part of it. */
void moe_model_canonical(const moe_model *model, GString *out);
/* A readable description (`list models -v`). */
void moe_model_describe(const moe_model *model, GString *out);

/* The decoder (or the only) stack. */
const moe_stack *moe_model_decoder(const moe_model *model);
const moe_stack *moe_model_encoder(const moe_model *model); /* NULL: none */

/* ---- parameters (exact counts, norms included) ---- */
int64_t moe_attention_params(const moe_model *model, const moe_attention *attention);
int64_t moe_router_params(const moe_model *model, const moe_ffn *ffn);
int64_t moe_expert_params(const moe_model *model, const moe_ffn *ffn); /* one routed expert */
int64_t moe_shared_params(const moe_model *model, const moe_ffn *ffn);
int64_t moe_dense_params(const moe_model *model, const moe_ffn *ffn);
int64_t moe_norm_params(const moe_model *model, const moe_layer *layer);
int64_t moe_layer_params(const moe_model *model, const moe_layer *layer); /* all of it */
/* Input, and output when not tied, with the output's bias. */
int64_t moe_embedding_params(const moe_model *model);
int64_t moe_model_total(const moe_model *model);
/* Parameters that one token's forward pass uses. counting: "all" (input and output embeddings),
 * "output" (unembedding only), "none" (no embeddings). Encoder and decoder both. */
int64_t moe_model_active(const moe_model *model, const char *counting);

/* ---- memory and work ---- */
/* Elements of KV cache per token and layer (K and V, or MLA's latent); linear: none. */
int64_t moe_attention_kv(const moe_attention *attention);
/* Bytes of an indexer's key per token and layer: 8-bit elements, and an FP32 scale for each 128 of
 * them (the quantised cache of deepseek-ai/DeepSeek-V3.2-Exp's inference, and vLLM's). 0: none. */
int64_t moe_attention_index_bytes(const moe_attention *attention);
/* Bytes that a sequence's linear attention keeps in a layer, however long it is: heads * key_dim *
 * value_dim elements of state_bits, and the convolution's last conv - 1 inputs of 16 bits. */
int64_t moe_attention_state_bytes(const moe_attention *attention);
/* Bytes of the convolution's inputs among them. */
int64_t moe_attention_conv_bytes(const moe_attention *attention);
/* Tokens of a context of `length` that attention really reads (sliding window, indexer). */
int64_t moe_attention_span(const moe_attention *attention, int64_t length);
/* FLOPs (2 per multiply-add) of the projections for one token, an indexer's among them. */
double moe_attention_proj_flops(const moe_model *model, const moe_attention *attention);
/* Columns of a linear attention's projection from hidden, and channels of its convolution. */
int64_t moe_attention_linear_columns(const moe_attention *attention);
int64_t moe_attention_conv_channels(const moe_attention *attention);
/* Its name: lightning, delta, mamba2, mamba. */
const char *moe_linear_kind_name(moe_linear_kind kind);
/* FLOPs of scores and weighted values for one query token over `span` keys. MLA: in the absorbed
 * form, on the latent cache. Linear: 0, its state has no keys. */
double moe_attention_score_flops(const moe_attention *attention, int64_t span);
double moe_expert_flops(const moe_model *model, const moe_ffn *ffn); /* one token, one expert */
double moe_shared_flops(const moe_model *model, const moe_ffn *ffn);
double moe_dense_flops(const moe_model *model, const moe_ffn *ffn);
double moe_router_flops(const moe_model *model, const moe_ffn *ffn);

/* Bits of a dtype name: f32 fp32 tf32 bf16 f16 fp16 fp8 fp8_block int8 int4 mxfp4 (4.25) nvfp4
 * (4.5) int3 int2; "native" is the caller's. 0: unknown. */
double moe_dtype_bits(const char *dtype);
extern const char *const moe_dtype_names[]; /* NULL-terminated */
/* Bytes of `params` weights at `bits`, rounded up. */
int64_t moe_weight_bytes(int64_t params, double bits);

#endif
