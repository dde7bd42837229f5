/* A checkpoint's weights as libmoesim_cuda.so wants them, and their numbers as the device takes
 * them. */
#include "profiler/cpu/kernels.h"
#include "profiler/gpu_state.h"
#include "sim/base/error.h"

#include <string.h>

/* ---- numbers ---- */

/* To the nearest, ties to even; NaN stays one. */
static uint16_t
to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void
moe_gpu_fill(void *context, const void *source, uint32_t first, uint32_t n, moe_cuda_type type,
             void *out)
{
    const moe_matrix *m = source;
    const moe_kernels *kernels = moe_kernels_best();
    uint32_t cols = m->cols;
    g_autofree float *wide = type == MOE_CUDA_BF16 ? g_new(float, cols) : NULL;
    for (uint32_t i = 0; i < n; i++) {
        if (type == MOE_CUDA_F32) {
            kernels->widen(m, first + i, (float *)out + (size_t)i * cols);
            continue;
        }
        uint16_t *to = (uint16_t *)out + (size_t)i * cols;
        if (m->type == MOE_WEIGHT_BF16 && m->step == 1) {
            memcpy(to, (const char *)m->data + 2 * (first + i) * m->stride, 2 * (size_t)cols);
            continue;
        }
        kernels->widen(m, first + i, wide);
        for (uint32_t c = 0; c < cols; c++)
            to[c] = to_bf16(wide[c]);
    }
}

/* ---- shapes ---- */

static moe_cuda_matrix
matrix(const moe_matrix *m)
{
    return m->data ? (moe_cuda_matrix){m, m->rows, m->cols} : (moe_cuda_matrix){0};
}

moe_cuda_block
moe_gpu_block(const moe_mlp *mlp)
{
    return (moe_cuda_block){matrix(&mlp->gate),    matrix(&mlp->up),
                            matrix(&mlp->down),    matrix(&mlp->gate_bias),
                            matrix(&mlp->up_bias), matrix(&mlp->down_bias)};
}

static moe_cuda_head_norm
head_norm(moe_qk_norm norm)
{
    switch (norm) {
    case MOE_QK_NORM_HEAD:
        return MOE_CUDA_HEAD_NORM_HEAD;
    case MOE_QK_NORM_FULL:
        return MOE_CUDA_HEAD_NORM_FULL;
    case MOE_QK_NORM_NONE:
        break;
    }
    return MOE_CUDA_HEAD_NORM_NONE;
}

static moe_cuda_attention
attention_shape(const moe_arch *arch, const moe_attention *a)
{
    bool latent = a->kind == MOE_ATTENTION_MLA;
    return (moe_cuda_attention){
        .latent = latent,
        .heads = (uint32_t)a->heads,
        .kv_heads = (uint32_t)a->kv_heads,
        .head_dim = (uint32_t)a->head_dim,
        .kv_lora = (uint32_t)a->kv_lora,
        .nope_dim = (uint32_t)a->nope_dim,
        .rope_dim = (uint32_t)a->rope_dim,
        .value_dim = (uint32_t)a->value_dim,
        .rotated = arch->rope.dim,
        .interleaved = arch->rope.interleaved,
        .window = (uint32_t)a->window,
        .norm = head_norm(a->qk_norm),
        .eps = latent ? arch->latent_norm_eps : arch->norm_eps,
        .clip = arch->qkv_clip,
        .scale = arch->score_scale,
    };
}

static moe_cuda_layer
layer_of(const moe_arch *arch, const moe_layer *layer, const moe_layer_weights *w)
{
    const moe_attention_weights *a = &w->attention;
    return (moe_cuda_layer){
        .attention = attention_shape(arch, &layer->attention),
        .attention_norm = matrix(&w->attention_norm),
        .ffn_norm = matrix(&w->ffn_norm),
        .q = matrix(&a->q),
        .k = matrix(&a->k),
        .v = matrix(&a->v),
        .o = matrix(&a->o),
        .q_bias = matrix(&a->q_bias),
        .k_bias = matrix(&a->k_bias),
        .v_bias = matrix(&a->v_bias),
        .o_bias = matrix(&a->o_bias),
        .q_norm = matrix(&a->q_norm),
        .k_norm = matrix(&a->k_norm),
        .sinks = matrix(&a->sinks),
        .q_a = matrix(&a->q_a),
        .q_a_norm = matrix(&a->q_a_norm),
        .kv_a = matrix(&a->kv_a),
        .kv_a_norm = matrix(&a->kv_a_norm),
        .kv_b = matrix(&a->kv_b),
        .moe = layer->ffn.kind == MOE_FFN_MOE ? layer->moe_index : -1,
        .dense = moe_gpu_block(&w->dense),
        .router = matrix(&w->router),
        .router_bias = matrix(&w->router_bias),
        .correction = matrix(&w->correction),
        .shared_gate = matrix(&w->shared_gate),
        .shared = moe_gpu_block(&w->shared),
    };
}

static moe_cuda_router
router_of(const moe_router_rule *rule)
{
    static const moe_cuda_score scores[] = {
        [MOE_SCORE_SOFTMAX] = MOE_CUDA_SCORE_SOFTMAX,
        [MOE_SCORE_SIGMOID] = MOE_CUDA_SCORE_SIGMOID,
        [MOE_SCORE_TOPK_SOFTMAX] = MOE_CUDA_SCORE_TOPK_SOFTMAX,
    };
    return (moe_cuda_router){
        .score = scores[rule->score],
        .experts = rule->experts,
        .top_k = rule->top_k,
        .groups = rule->groups,
        .top_groups = rule->top_groups,
        .group_top_two = rule->group_score == MOE_GROUP_TOP_TWO,
        .normalise = rule->normalise,
        .scale = rule->scale,
    };
}

void
moe_gpu_model_init(moe_gpu_model *out, const moe_weights *weights)
{
    const moe_arch *arch = weights->arch;
    const moe_stack *stack = moe_model_decoder(arch->model);
    out->layers = g_new0(moe_cuda_layer, (gsize)stack->n_layers);
    out->experts = g_ptr_array_new_with_free_func(g_free);
    for (int l = 0; l < stack->n_layers; l++) {
        const moe_layer_weights *w = &weights->layers[l];
        out->layers[l] = layer_of(arch, &stack->layers[l], w);
        if (stack->layers[l].ffn.kind != MOE_FFN_MOE)
            continue;
        moe_cuda_block *experts = g_new0(moe_cuda_block, arch->router.experts);
        for (uint32_t e = 0; e < arch->router.experts; e++)
            experts[e] = moe_gpu_block(&w->experts[e]);
        g_ptr_array_add(out->experts, experts);
        out->layers[l].experts = experts;
    }
    out->model = (moe_cuda_model){
        .n_layers = (uint32_t)stack->n_layers,
        .n_moe = (uint32_t)stack->n_moe,
        .hidden = (uint32_t)arch->model->hidden,
        .vocab = (uint32_t)arch->model->vocab,
        .layers = out->layers,
        .embedding = matrix(&weights->embedding),
        .final_norm = matrix(&weights->final_norm),
        .unembedding =
            matrix(weights->unembedding.data == weights->embedding.data ? &weights->embedding
                                                                        : &weights->unembedding),
        .norm_eps = arch->norm_eps,
        .latent_norm_eps = arch->latent_norm_eps,
        .pairs = arch->rope.dim / 2,
        .inverse = arch->rope.inverse,
        .magnitude = arch->rope.magnitude,
        .router = router_of(&arch->router),
        .activation =
            arch->activation == MOE_ACTIVATION_SILU ? MOE_CUDA_SILU : MOE_CUDA_CLAMPED_SWIGLU,
        .alpha = arch->swiglu_alpha,
        .limit = arch->swiglu_limit,
    };
}

void
moe_gpu_model_clear(moe_gpu_model *model)
{
    g_free(model->layers);
    g_ptr_array_unref(model->experts);
}
