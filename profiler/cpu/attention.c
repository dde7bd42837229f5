#include "profiler/cpu/state.h"

#include <string.h>

void
moe_cpu_rotate(const moe_cpu *cpu, uint32_t row, float *x)
{
    uint32_t pairs = cpu->shape.pairs;
    const float *cosine = cpu->cosine + (size_t)row * pairs;
    const float *sine = cpu->sine + (size_t)row * pairs;
    bool interleaved = cpu->arch->rope.interleaved;
    for (uint32_t i = 0; i < pairs; i++) {
        float *a = interleaved ? x + 2 * i : x + i;
        float *b = interleaved ? a + 1 : a + pairs;
        float first = *a, second = *b;
        *a = first * cosine[i] - second * sine[i];
        *b = second * cosine[i] + first * sine[i];
    }
}

static size_t
place(const moe_cpu_cache *cache, uint32_t slot, uint32_t head, uint32_t position)
{
    return ((size_t)slot * cache->heads + head) * cache->ring + position % cache->ring;
}

float *
moe_cpu_key(const moe_cpu *cpu, uint32_t row, uint32_t head)
{
    const moe_cpu_cache *cache = &cpu->cache[cpu->layer];
    const moe_batch *batch = cpu->batch;
    return cache->keys +
           place(cache, batch->slot[row], head, batch->position[row]) * cache->key_dim;
}

static float *
cached_value(const moe_cpu *cpu, uint32_t row, uint32_t head)
{
    const moe_cpu_cache *cache = &cpu->cache[cpu->layer];
    const moe_batch *batch = cpu->batch;
    return cache->values +
           place(cache, batch->slot[row], head, batch->position[row]) * cache->value_dim;
}

void
moe_cpu_view(const moe_cpu *cpu, uint32_t row, uint32_t head, uint32_t thread, moe_attend *out)
{
    const moe_cpu_cache *cache = &cpu->cache[cpu->layer];
    uint32_t position = cpu->batch->position[row], slot = cpu->batch->slot[row];
    uint32_t window = (uint32_t)cpu->layers[cpu->layer].attention.window;
    uint32_t n = window && position + 1 > window ? window : position + 1;

    *out = (moe_attend){
        .keys = cache->keys + place(cache, slot, head, 0) * cache->key_dim,
        .key_stride = cache->key_dim,
        .key_dim = cache->key_dim,
        .values = cache->values + place(cache, slot, head, 0) * cache->value_dim,
        .value_stride = cache->value_dim,
        .value_dim = cache->value_dim,
        .ring = cache->ring,
        .first = position + 1 - n,
        .n = n,
        .scale = cpu->arch->score_scale,
        .scores = cpu->scores + (size_t)thread * cpu->config.max_context,
    };
}

/* ---- heads: MHA, GQA, MQA ---- */

/* Normalisation of one row's queries or keys, over each head or over all. */
static void
norm_heads(const moe_cpu *cpu, float *x, uint32_t heads, uint32_t dim, const float *weight)
{
    float eps = cpu->arch->norm_eps;
    switch (cpu->layers[cpu->layer].attention.qk_norm) {
    case MOE_QK_NORM_NONE:
        break;
    case MOE_QK_NORM_FULL:
        cpu->kernels->norm(x, x, weight, heads * dim, eps);
        break;
    case MOE_QK_NORM_HEAD:
        for (uint32_t h = 0; h < heads; h++)
            cpu->kernels->norm(x + h * dim, x + h * dim, weight, dim, eps);
        break;
    }
}

static void
clip(const moe_cpu *cpu, float *x, uint32_t n)
{
    float limit = cpu->arch->qkv_clip;
    for (uint32_t i = 0; limit > 0 && i < n; i++)
        x[i] = x[i] < -limit ? -limit : x[i] > limit ? limit : x[i];
}

/* Queries and keys get their norm, clip and rotation; keys and values join the cache. */
static void
finish_row(void *context, uint32_t row, uint32_t thread)
{
    moe_cpu *cpu = context;
    const moe_attention *a = &cpu->layers[cpu->layer].attention;
    uint32_t dim = (uint32_t)a->head_dim, heads = (uint32_t)a->heads, kv = (uint32_t)a->kv_heads;
    float *q = cpu->query + (size_t)row * heads * dim;
    float *k = cpu->key + (size_t)row * kv * dim, *v = cpu->value + (size_t)row * kv * dim;

    norm_heads(cpu, q, heads, dim, cpu->vector);
    norm_heads(cpu, k, kv, dim, cpu->vector + cpu->shape.query);
    clip(cpu, q, heads * dim);
    clip(cpu, k, kv * dim);
    clip(cpu, v, kv * dim);
    for (uint32_t h = 0; h < heads; h++)
        moe_cpu_rotate(cpu, row, q + h * dim);
    for (uint32_t h = 0; h < kv; h++) {
        moe_cpu_rotate(cpu, row, k + h * dim);
        memcpy(moe_cpu_key(cpu, row, h), k + h * dim, dim * sizeof *k);
        memcpy(cached_value(cpu, row, h), v + h * dim, dim * sizeof *v);
    }
}

static void
attend_head(void *context, uint32_t task, uint32_t thread)
{
    moe_cpu *cpu = context;
    const moe_attention *a = &cpu->layers[cpu->layer].attention;
    const moe_matrix *sinks = &cpu->weights->layers[cpu->layer].attention.sinks;
    uint32_t heads = (uint32_t)a->heads, row = task / heads, head = task % heads;
    float sink;
    moe_attend attend;

    moe_cpu_view(cpu, row, head / (heads / (uint32_t)a->kv_heads), thread, &attend);
    attend.query = cpu->query + (size_t)task * attend.key_dim;
    attend.out = cpu->attended + (size_t)task * attend.value_dim;
    if (sinks->data) {
        sink = moe_matrix_at(sinks, head, 0);
        attend.sink = &sink;
    }
    cpu->kernels->attend(&attend);
}

double
moe_cpu_attend_work(const moe_cpu *cpu, double per_position)
{
    double work = 0;
    for (uint32_t i = 0; i < cpu->batch->n; i++)
        work += per_position * (cpu->batch->position[i] + 1);
    return work;
}

static void
heads_attention(moe_cpu *cpu)
{
    const moe_attention *a = &cpu->layers[cpu->layer].attention;
    const moe_attention_weights *w = &cpu->weights->layers[cpu->layer].attention;
    uint32_t n = cpu->batch->n, heads = (uint32_t)(a->heads * a->head_dim);
    uint32_t kv = (uint32_t)(a->kv_heads * a->head_dim);
    moe_rows in = {cpu->input, cpu->shape.hidden, NULL, n};

    cpu->products[0] = (moe_cpu_product){&w->q, &w->q_bias, in, cpu->query, heads, 0};
    cpu->products[1] = (moe_cpu_product){&w->k, &w->k_bias, in, cpu->key, kv, 0};
    cpu->products[2] = (moe_cpu_product){&w->v, &w->v_bias, in, cpu->value, kv, 0};
    moe_cpu_multiply(cpu, 3);
    if (a->qk_norm != MOE_QK_NORM_NONE) {
        moe_cpu_vector(cpu, &w->q_norm, cpu->vector);
        moe_cpu_vector(cpu, &w->k_norm, cpu->vector + cpu->shape.query);
    }
    moe_cpu_run(cpu, finish_row, n, n * 8.0 * (heads + 2 * kv));
    moe_cpu_run(cpu, attend_head, n * (uint32_t)a->heads, moe_cpu_attend_work(cpu, 2.0 * heads));
}

bool
moe_cpu_attention(void *state, const moe_batch *batch, uint32_t layer, GError **error)
{
    moe_cpu *cpu = state;
    const moe_layer_weights *w = &cpu->weights->layers[layer];
    cpu->batch = batch;
    cpu->layer = layer;

    moe_cpu_norm(cpu, &w->attention_norm, NULL, batch->n, cpu->input);
    if (cpu->layers[layer].attention.kind == MOE_ATTENTION_MLA)
        moe_cpu_latent_attention(cpu);
    else
        heads_attention(cpu);
    moe_rows in = {cpu->attended, w->attention.o.cols, NULL, batch->n};
    cpu->products[0] = (moe_cpu_product){&w->attention.o, &w->attention.o_bias, in,
                                         cpu->added,      cpu->shape.hidden,    0};
    moe_cpu_multiply(cpu, 1);
    moe_cpu_add(cpu, cpu->added);
    return true;
}
