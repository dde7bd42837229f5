/* What each stage asks of the device, on the state's stream. */
#include "profiler/cuda/state.h"

#include <cstring>

/* ---- products ---- */

static moe_cuda_product
product(const moe_cuda_state *s, const void *x, moe_cuda_type x_type, const moe_bf16 *w,
        const float *bias, uint32_t rows, uint32_t cols, float *y)
{
    moe_cuda_product p = {};
    p.n = s->n;
    p.rows = rows;
    p.cols = cols;
    p.x_type = x_type;
    p.w_type = MOE_CUDA_BF16;
    p.y_type = MOE_CUDA_F32;
    p.x = x;
    p.w = w;
    p.bias = bias;
    p.y = y;
    return p;
}

/* y = w x + bias of what the last norm left, in the type of activations. */
static int
project(moe_cuda_state *s, const moe_bf16 *w, const float *bias, uint32_t rows, float *y)
{
    moe_cuda_product p = product(s, s->x, s->config.type, w, bias, rows, s->hidden, y);
    return moe_cuda_multiply(s->stream, &p);
}

/* residual += w x + bias. */
static int
join(moe_cuda_state *s, const void *x, uint32_t cols, const moe_bf16 *w, const float *bias)
{
    moe_cuda_product p = product(s, x, s->config.type, w, bias, s->hidden, cols, s->residual);
    p.add = true;
    return moe_cuda_multiply(s->stream, &p);
}

/* Rows of the residual stream, normalised, as the products of the layer take them; `both`: as
 * floats too. */
static int
norm(moe_cuda_state *s, const float *weight, const uint32_t *pick, uint32_t n, bool both)
{
    return moe_cuda_norm(s->stream, s->residual, pick, n, s->hidden, weight, s->norm_eps,
                         !s->bf16 || both ? s->x32 : nullptr, s->x16);
}

/* ---- rows ---- */

int
moe_cuda_rows_begin(moe_cuda_state *s, const moe_cuda_batch *batch, const uint32_t *rows,
                    uint32_t n_rows, moe_cuda_failure *failure)
{
    uint32_t n = batch->n, *to = s->host_words;
    MOE_TRY(cudaStreamSynchronize(s->stream)); /* the words of the step before are there */
    s->n = n;
    memcpy(to, batch->token, n * sizeof *to);
    memcpy(to + n, batch->slot, n * sizeof *to);
    memcpy(to + 2 * n, batch->position, n * sizeof *to);
    s->rows.plan = moe_cuda_attention_plan(n, batch->slot, to + 3 * n);
    if (n_rows)
        memcpy(to + 4 * n, rows, n_rows * sizeof *to);
    MOE_TRY(cudaMemcpyAsync(s->words, to, (4 * n + n_rows) * sizeof *to, cudaMemcpyHostToDevice,
                            s->stream));
    s->rows.plan.host = to + 3 * n;
    s->rows.plan.device = s->words + 3 * n;
    s->rows.slot = s->words + n;
    s->rows.position = s->words + 2 * n;
    s->rows.cosine = s->cosine;
    s->rows.sine = s->sine;
    return MOE_CUDA_OK;
}

int
moe_cuda_run_embed(moe_cuda_state *s, moe_cuda_failure *failure)
{
    MOE_TRY(moe_cuda_embed(s->stream, s->embedding, s->hidden, s->words, s->n, s->residual));
    MOE_TRY(moe_cuda_angles(s->stream, s->n, s->rows.position, s->inverse, s->pairs, s->magnitude,
                            s->cosine, s->sine));
    return MOE_CUDA_OK;
}

/* ---- attention ---- */

static int
project_heads(moe_cuda_state *s, const moe_cuda_layer_state *l, moe_cuda_attention_in *in,
              moe_cuda_failure *failure)
{
    uint32_t fused = l->q_rows + 2 * l->kv_rows;
    MOE_TRY(project(s, l->qkv, l->qkv_bias, fused, s->query_rows));
    in->q = s->query_rows;
    in->k = s->query_rows + l->q_rows;
    in->v = in->k + l->kv_rows;
    in->q_row = in->k_row = in->v_row = fused;
    in->q_norm = l->q_norm;
    in->k_norm = l->k_norm;
    in->sinks = l->sinks;
    return MOE_CUDA_OK;
}

static int
project_latent(moe_cuda_state *s, const moe_cuda_layer_state *l, moe_cuda_attention_in *in,
               moe_cuda_failure *failure)
{
    in->q = s->query_rows;
    in->kv_a = s->kv_a_rows;
    in->kv_a_norm = l->kv_a_norm;
    in->kv_b = l->kv_b;
    MOE_TRY(project(s, l->kv_a, nullptr, l->kv_a_rows, s->kv_a_rows));
    if (!l->q_a_rows) {
        MOE_TRY(project(s, l->qkv, l->qkv_bias, l->q_rows, s->query_rows));
        return MOE_CUDA_OK;
    }
    MOE_TRY(project(s, l->q_a, nullptr, l->q_a_rows, s->q_a_rows));
    MOE_TRY(moe_cuda_norm(s->stream, s->q_a_rows, nullptr, s->n, l->q_a_rows, l->q_a_norm,
                          s->latent_norm_eps, s->bf16 ? nullptr : s->q_a_rows, s->q_a16));
    moe_cuda_product p = product(s, s->bf16 ? (void *)s->q_a16 : s->q_a_rows, s->config.type,
                                 l->qkv, l->qkv_bias, l->q_rows, l->q_a_rows, s->query_rows);
    MOE_TRY(moe_cuda_multiply(s->stream, &p));
    return MOE_CUDA_OK;
}

int
moe_cuda_run_attention(moe_cuda_state *s, uint32_t layer, moe_cuda_failure *failure)
{
    const moe_cuda_layer_state *l = &s->layers[layer];
    moe_cuda_attention_in in = {};
    MOE_TRY(norm(s, l->attention_norm, nullptr, s->n, false));
    MOE_PASS(l->attention.latent ? project_latent(s, l, &in, failure)
                                 : project_heads(s, l, &in, failure));
    MOE_TRY(
        moe_cuda_attend(s->stream, &l->attention, &s->rows, &in, l->cache, s->work, s->attended));
    MOE_TRY(join(s, s->attended, l->columns, l->o, l->o_bias));
    return MOE_CUDA_OK;
}

/* ---- feed-forward ---- */

static moe_cuda_mlp_shape
shape_of(const moe_cuda_state *s, uint32_t width)
{
    moe_cuda_mlp_shape shape = {};
    shape.hidden = s->hidden;
    shape.width = width;
    shape.activation = s->activation;
    shape.alpha = s->alpha;
    shape.limit = s->limit;
    shape.type = s->config.type;
    return shape;
}

int
moe_cuda_run_dense(moe_cuda_state *s, uint32_t layer, moe_cuda_failure *failure)
{
    const moe_cuda_layer_state *l = &s->layers[layer];
    const moe_cuda_mlp_shape shape = shape_of(s, l->width);
    MOE_TRY(norm(s, l->ffn_norm, nullptr, s->n, false));
    MOE_TRY(moe_cuda_mlp_inner(s->stream, &shape, &l->ffn, s->n, s->x, s->inner));
    MOE_TRY(join(s, s->inner, l->width, l->ffn.down, l->ffn.down_bias));
    return MOE_CUDA_OK;
}

int
moe_cuda_run_router(moe_cuda_state *s, uint32_t layer, uint32_t gate, float *logits,
                    moe_cuda_failure *failure)
{
    const moe_cuda_layer_state *l = &s->layers[gate];
    float *x = layer == gate ? s->x32 : s->other;
    if (layer == gate)
        MOE_TRY(norm(s, l->ffn_norm, nullptr, s->n, true));
    else
        MOE_TRY(moe_cuda_norm(s->stream, s->residual, nullptr, s->n, s->hidden, l->ffn_norm,
                              s->norm_eps, s->other, nullptr));
    moe_cuda_product p =
        product(s, x, MOE_CUDA_F32, nullptr, l->router_bias, s->experts, s->hidden, logits);
    p.w = l->router;
    p.w_type = MOE_CUDA_F32;
    MOE_TRY(moe_cuda_multiply(s->stream, &p));
    return MOE_CUDA_OK;
}

int
moe_cuda_run_experts(moe_cuda_state *s, uint32_t layer, const moe_cuda_mlp *table,
                     moe_cuda_failure *failure)
{
    const moe_cuda_mlp_shape shape = shape_of(s, s->layers[layer].width);
    if (s->grouped && table == s->layers[layer].table)
        return moe_cuda_grouped_run(s, layer, failure);
    MOE_TRY(moe_cuda_experts_inner(s->stream, &shape, &s->dispatch, table, s->n, s->x, s->inner));
    MOE_TRY(
        moe_cuda_experts_outer(s->stream, &shape, &s->dispatch, table, s->n, s->inner, s->outputs));
    return MOE_CUDA_OK;
}

/* shared_out = down(act(gate x, up x)) of all rows, and the logits of its gate. */
static int
run_shared(moe_cuda_state *s, const moe_cuda_layer_state *l, moe_cuda_failure *failure)
{
    const moe_cuda_mlp_shape shape = shape_of(s, l->shared_width);
    MOE_TRY(moe_cuda_mlp_inner(s->stream, &shape, &l->shared, s->n, s->x, s->inner));
    moe_cuda_product p = product(s, s->inner, s->config.type, l->shared.down, l->shared.down_bias,
                                 s->hidden, l->shared_width, nullptr);
    p.y = s->shared_out;
    p.y_type = s->config.type;
    MOE_TRY(moe_cuda_multiply(s->stream, &p));
    if (!l->shared_gate)
        return MOE_CUDA_OK;
    p = product(s, s->x32, MOE_CUDA_F32, nullptr, nullptr, 1, s->hidden, s->shared_gate);
    p.w = l->shared_gate;
    p.w_type = MOE_CUDA_F32;
    MOE_TRY(moe_cuda_multiply(s->stream, &p));
    return MOE_CUDA_OK;
}

int
moe_cuda_run_combine(moe_cuda_state *s, uint32_t layer, const float *weights,
                     moe_cuda_failure *failure)
{
    const moe_cuda_layer_state *l = &s->layers[layer];
    moe_cuda_combine c = {};
    if (l->shared_width)
        MOE_PASS(run_shared(s, l, failure));
    c.n = s->n;
    c.hidden = s->hidden;
    c.top_k = s->top_k;
    c.type = s->config.type;
    c.outputs = s->outputs;
    c.place = s->dispatch.place;
    c.weights = weights;
    c.shared = l->shared_width ? s->shared_out : nullptr;
    c.shared_gate = l->shared_gate ? s->shared_gate : nullptr;
    c.residual = s->residual;
    MOE_TRY(moe_cuda_combine_add(s->stream, &c));
    return MOE_CUDA_OK;
}

int
moe_cuda_run_unembed(moe_cuda_state *s, uint32_t n_rows, moe_cuda_failure *failure)
{
    MOE_TRY(norm(s, s->final_norm, s->words + 4 * s->n, n_rows, false));
    moe_cuda_product p =
        product(s, s->x, s->config.type, s->unembedding, nullptr, s->vocab, s->hidden, s->logits);
    p.n = n_rows;
    MOE_TRY(moe_cuda_multiply(s->stream, &p));
    return MOE_CUDA_OK;
}
