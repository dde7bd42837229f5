/* How a decoder computes, beyond the shapes of models/model.h: normalisation, rotary embedding,
 * router and activation, read from a Hugging Face config.json. Immutable once read. */
#ifndef MOE_PROFILER_ARCH_H
#define MOE_PROFILER_ARCH_H

#include "models/model.h"

typedef enum moe_score {
    MOE_SCORE_SOFTMAX,      /* softmax over all experts, then top-k */
    MOE_SCORE_SIGMOID,      /* sigmoid of each, top-k by score plus correction bias */
    MOE_SCORE_TOPK_SOFTMAX, /* top-k of the logits, softmax over the k */
} moe_score;

typedef enum moe_group_score {
    MOE_GROUP_BEST,    /* a group is worth its best expert (DeepSeek-V2) */
    MOE_GROUP_TOP_TWO, /* the sum of its best two (DeepSeek-V3) */
} moe_group_score;

/* From a row of router logits to experts and their weights. */
typedef struct moe_router_rule {
    moe_score score;
    uint32_t experts, top_k;
    uint32_t groups, top_groups; /* groups 0 or 1: none */
    moe_group_score group_score;
    bool normalise; /* weights of the chosen sum to one */
    float scale;    /* times the weights, afterwards */
} moe_router_rule;

typedef enum moe_activation {
    MOE_ACTIVATION_SILU,          /* silu(gate) * up */
    MOE_ACTIVATION_CLAMPED_SWIGLU /* gpt-oss: gate <= limit, |up| <= limit,
                                     (up + 1) * gate * sigmoid(alpha * gate) */
} moe_activation;

/* Rotary embedding: the angle of pair i at position p is p * inverse[i]; cos and sin are times
 * `magnitude`. */
typedef struct moe_rope {
    uint32_t dim;     /* rotated elements of each head: 2 * pairs */
    bool interleaved; /* pairs are (2i, 2i + 1) instead of (i, i + dim/2) */
    float magnitude;
    const double *inverse; /* [dim / 2] */
} moe_rope;

#define MOE_ARCH_MAX_ENDS 16
typedef struct moe_arch {
    const moe_model *model;
    const char *family; /* model_type of the config */
    float norm_eps;
    float latent_norm_eps; /* of MLA's norms of its latents, which do not follow the config */
    float qkv_clip;        /* OLMoE's clip_qkv; 0: none */
    float score_scale;     /* of queries times keys */
    moe_rope rope;
    moe_router_rule router;
    moe_activation activation;
    float swiglu_alpha, swiglu_limit;
    uint32_t max_context; /* max_position_embeddings */
    uint32_t n_ends;
    uint32_t ends[MOE_ARCH_MAX_ENDS]; /* eos_token_id: tokens that end a text */
} moe_arch;

typedef struct moe_arch_set moe_arch_set; /* owns an arch, its model and arrays */

/* Reads FOLDER/config.json. Unreadable: `error`; wrong, or of a family that the execution core does
 * not know (the message lists those it does): messages in `diag`. */
moe_arch_set *moe_arch_load(const char *config_path, moe_diag *diag, GError **error);
/* The same from text; `name` stands for the path. */
moe_arch_set *moe_arch_parse(const char *name, const char *text, size_t length, moe_diag *diag);
void moe_arch_free(moe_arch_set *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_arch_set, moe_arch_free)
const moe_arch *moe_arch_get(const moe_arch_set *set);

#endif
