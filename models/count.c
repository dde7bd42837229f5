/* Parameters and FLOPs of a model's parts; attention's are in models/attention.c. */
#include "models/model.h"

#include <string.h>

int64_t
moe_router_params(const moe_model *model, const moe_ffn *ffn)
{
    int64_t experts = ffn->experts;
    return experts * model->hidden + (ffn->router_bias ? experts : 0);
}

/* One feed-forward block of a given width: `matrices` of them, one leads back to hidden. */
static int64_t
block_params(const moe_model *model, const moe_ffn *ffn, int64_t width, bool bias)
{
    int64_t n = ffn->matrices * width * model->hidden;
    return bias ? n + (ffn->matrices - 1) * width + model->hidden : n;
}

int64_t
moe_expert_params(const moe_model *model, const moe_ffn *ffn)
{
    return ffn->kind == MOE_FFN_MOE ? block_params(model, ffn, ffn->width, ffn->bias) : 0;
}

int64_t
moe_shared_params(const moe_model *model, const moe_ffn *ffn)
{
    if (!ffn->shared_width)
        return 0;
    return block_params(model, ffn, ffn->shared_width, false) +
           (ffn->shared_gate ? model->hidden : 0);
}

int64_t
moe_dense_params(const moe_model *model, const moe_ffn *ffn)
{
    return ffn->kind == MOE_FFN_DENSE ? block_params(model, ffn, ffn->width, ffn->bias) : 0;
}

static int64_t
one_norm(const moe_model *model)
{
    return model->norm_bias ? 2 * (int64_t)model->hidden : model->hidden;
}

int64_t
moe_norm_params(const moe_model *model, const moe_layer *layer)
{
    if (layer->ffn.again)
        return 0;
    int norms = (layer->attention.kind != MOE_ATTENTION_NONE) +
                (layer->cross.kind != MOE_ATTENTION_NONE) + (layer->ffn.kind != MOE_FFN_NONE);
    return norms * one_norm(model);
}

/* The layer with `experts` of its routed experts counted. */
static int64_t
layer_params(const moe_model *model, const moe_layer *layer, int64_t experts)
{
    const moe_ffn *ffn = &layer->ffn;
    int64_t n = moe_attention_params(model, &layer->attention) +
                moe_attention_params(model, &layer->cross) + moe_norm_params(model, layer) +
                moe_dense_params(model, ffn);

    if (ffn->kind == MOE_FFN_MOE)
        n += moe_router_params(model, ffn) + moe_shared_params(model, ffn) +
             experts * moe_expert_params(model, ffn);
    return n;
}

int64_t
moe_layer_params(const moe_model *model, const moe_layer *layer)
{
    return layer_params(model, layer, layer->ffn.again ? 0 : layer->ffn.experts);
}

static int64_t
output_params(const moe_model *model)
{
    return (int64_t)model->vocab * model->hidden + (model->head_bias ? model->vocab : 0);
}

int64_t
moe_embedding_params(const moe_model *model)
{
    return output_params(model) + (model->tied ? 0 : (int64_t)model->vocab * model->hidden);
}

static int64_t
stacks_params(const moe_model *model, bool active)
{
    int64_t n = 0;

    for (int s = 0; s < model->n_stacks; s++) {
        const moe_stack *stack = &model->stacks[s];
        for (int l = 0; l < stack->n_layers; l++) {
            const moe_layer *layer = &stack->layers[l];
            n += active ? layer_params(model, layer, layer->ffn.top_k)
                        : moe_layer_params(model, layer);
        }
        n += one_norm(model); /* behind the last layer */
    }
    return n;
}

int64_t
moe_model_total(const moe_model *model)
{
    return stacks_params(model, false) + moe_embedding_params(model);
}

int64_t
moe_model_active(const moe_model *model, const char *counting)
{
    int64_t n = stacks_params(model, true);

    if (!strcmp(counting, "all"))
        return n + moe_embedding_params(model);
    if (!strcmp(counting, "output"))
        return n + output_params(model);
    moe_assert(!strcmp(counting, "none"), "counting '%s'", counting);
    return n;
}

/* FLOPs of a feed-forward block of `width` for one token. */
static double
block_flops(const moe_model *model, const moe_ffn *ffn, int width)
{
    return 2.0 * ffn->matrices * (double)width * model->hidden;
}

double
moe_expert_flops(const moe_model *model, const moe_ffn *ffn)
{
    return ffn->kind == MOE_FFN_MOE ? block_flops(model, ffn, ffn->width) : 0;
}

double
moe_shared_flops(const moe_model *model, const moe_ffn *ffn)
{
    return block_flops(model, ffn, ffn->shared_width) +
           (ffn->shared_gate ? 2.0 * model->hidden : 0);
}

double
moe_dense_flops(const moe_model *model, const moe_ffn *ffn)
{
    return ffn->kind == MOE_FFN_DENSE ? block_flops(model, ffn, ffn->width) : 0;
}

double
moe_router_flops(const moe_model *model, const moe_ffn *ffn)
{
    return 2.0 * ffn->experts * (double)model->hidden;
}
