#include "sim/machine/stages.h"

typedef struct stage {
    const moe_stages *stages;
    double rows;
    moe_cost cost;
} stage;

static void
add(stage *s, moe_cost cost)
{
    s->cost = s->cost.kernels ? moe_cost_add(s->cost, cost) : cost;
}

/* rows x k times k x n. */
static void
product(stage *s, double n, double k)
{
    const moe_stages *stages = s->stages;
    moe_gemm_shape shape = {
        .m = s->rows,
        .n = n,
        .k = k,
        .weight_bits = stages->weight_bits,
        .activation_bits = stages->activation_bits,
        .dtype = stages->dtype,
    };
    add(s, moe_cost_product(stages->hw, stages->device, &shape));
}

/* A small kernel that reads and writes so many activations of each row. */
static void
pass(stage *s, double elements)
{
    const moe_stages *stages = s->stages;
    double bits = stages->activation_bits < 16 ? 16 : stages->activation_bits;
    add(s, moe_cost_pass(stages->hw, stages->device, s->rows * elements * bits / 8));
}

/* The sum so far and what the last block adds to it are read, the new sum and its norm written. */
static void
norm(stage *s)
{
    pass(s, 4 * (double)s->stages->model->hidden);
}

static void
heads(stage *s, const moe_attention *a)
{
    double hidden = s->stages->model->hidden, dim = a->head_dim;
    double q = a->heads * dim, kv = a->kv_heads * dim;

    product(s, (a->output_gate ? 2 * q : q) + 2 * kv, hidden);
    if (a->qk_norm != MOE_QK_NORM_NONE)
        pass(s, 2 * (q + kv));
    pass(s, 2 * (q + kv)); /* rope */
    if (a->output_gate)
        pass(s, 3 * q);
    product(s, hidden, q);
}

static void
latent(stage *s, const moe_attention *a)
{
    double hidden = s->stages->model->hidden, n = a->heads;
    double query = n * (a->nope_dim + a->rope_dim), down = a->kv_lora + a->rope_dim;

    if (a->q_lora) { /* one product for both latents */
        product(s, a->q_lora + down, hidden);
        pass(s, 2 * (a->q_lora + down));
        product(s, query, a->q_lora);
    } else {
        product(s, query, hidden);
        product(s, down, hidden);
        pass(s, 2 * down);
    }
    pass(s, 2 * (n * a->rope_dim + a->rope_dim)); /* rope */
    product(s, n * a->kv_lora, a->nope_dim);      /* queries into the latents' space */
    product(s, n * a->value_dim, a->kv_lora);     /* and what was attended out of it */
    product(s, hidden, n * a->value_dim);
}

/* Queries and key of a sparse attention's indexer, and the weights of its heads. */
static void
indexer(stage *s, const moe_attention *a)
{
    double hidden = s->stages->model->hidden, queries = (double)a->index_heads * a->index_dim;

    product(s, queries, a->q_lora ? a->q_lora : hidden);
    product(s, a->index_heads, hidden);
    product(s, a->index_dim, hidden);
    pass(s, 2 * (queries + a->index_dim)); /* norm, rope, 8 bits */
}

/* Around the state: convolution, what a selective scan makes of it, gate and norm of the output. */
static void
linear(stage *s, const moe_attention *a)
{
    double hidden = s->stages->model->hidden, values = (double)a->heads * a->value_dim;

    product(s, (double)moe_attention_linear_columns(a), hidden);
    if (a->conv)
        pass(s, 2 * (double)moe_attention_conv_channels(a));
    if (a->linear == MOE_LINEAR_MAMBA) {
        product(s, 2 * (double)a->key_heads * a->key_dim + a->rank, values);
        product(s, values, a->rank);
    }
    pass(s, 3 * values);
    product(s, hidden, values);
}

/* Gate and up, the gate's function, down. */
static void
feed_forward(stage *s, const moe_ffn *ffn, double width)
{
    double hidden = s->stages->model->hidden;

    product(s, (ffn->matrices - 1) * width, hidden);
    pass(s, ffn->matrices * width);
    product(s, hidden, width);
}

moe_cost
moe_stage_projection(const moe_stages *stages, const moe_attention *attention, double rows)
{
    stage s = {.stages = stages, .rows = rows};
    norm(&s);
    if (attention->kind == MOE_ATTENTION_LINEAR)
        linear(&s, attention);
    else if (attention->kind == MOE_ATTENTION_MLA)
        latent(&s, attention);
    else
        heads(&s, attention);
    if (attention->index_top_k)
        indexer(&s, attention);
    norm(&s);
    return s.cost;
}

moe_cost
moe_stage_cross(const moe_stages *stages, const moe_attention *attention, double rows)
{
    stage s = {.stages = stages, .rows = rows};
    double hidden = stages->model->hidden, q = (double)attention->heads * attention->head_dim;
    norm(&s);
    product(&s, q, hidden);
    product(&s, hidden, q);
    return s.cost;
}

moe_cost
moe_stage_dense(const moe_stages *stages, const moe_ffn *ffn, double rows)
{
    stage s = {.stages = stages, .rows = rows};
    feed_forward(&s, ffn, ffn->width);
    return s.cost;
}

moe_cost
moe_stage_router(const moe_stages *stages, const moe_ffn *ffn, double rows)
{
    stage s = {.stages = stages, .rows = rows};
    product(&s, ffn->experts, stages->model->hidden);
    pass(&s, ffn->experts);
    return s.cost;
}

moe_cost
moe_stage_shared(const moe_stages *stages, const moe_ffn *ffn, double rows)
{
    stage s = {.stages = stages, .rows = rows};
    feed_forward(&s, ffn, ffn->shared_width);
    if (ffn->shared_gate)
        product(&s, 1, stages->model->hidden);
    return s.cost;
}

moe_cost
moe_stage_head(const moe_stages *stages, double rows, double tokens)
{
    stage s = {.stages = stages, .rows = tokens};
    pass(&s, 2 * (double)stages->model->hidden); /* embedding */
    s.rows = rows;
    norm(&s);
    product(&s, stages->model->vocab, stages->model->hidden);
    pass(&s, stages->model->vocab); /* sampling */
    return s.cost;
}
