/* Multi-head latent attention (DeepSeek-V2), in the absorbed form: the cache holds each position's
 * latent and one rotated key part for all heads; a query is brought into the latent's space, and
 * what a head attends to is brought out of it, so that nothing of the cache is expanded. */
#include "profiler/cpu/state.h"

#include <string.h>

struct dims {
    uint32_t heads, nope, rope, value, latent, key; /* key: latent + rope */
};

static struct dims
dims_of(const moe_cpu *cpu)
{
    const moe_attention *a = &cpu->layers[cpu->layer].attention;
    return (struct dims){
        .heads = (uint32_t)a->heads,
        .nope = (uint32_t)a->nope_dim,
        .rope = (uint32_t)a->rope_dim,
        .value = (uint32_t)a->value_dim,
        .latent = (uint32_t)a->kv_lora,
        .key = (uint32_t)(a->kv_lora + a->rope_dim),
    };
}

/* The latent, normalised, and the rotated part of the key join the cache; queries are rotated. */
static void
finish_row(void *context, uint32_t row, uint32_t thread)
{
    moe_cpu *cpu = context;
    struct dims d = dims_of(cpu);
    const float *in = cpu->key + (size_t)row * d.key;
    float *cached = moe_cpu_key(cpu, row, 0);
    float *q = cpu->query + (size_t)row * d.heads * (d.nope + d.rope);

    cpu->kernels->norm(cached, in, cpu->vector, d.latent, cpu->arch->latent_norm_eps);
    memcpy(cached + d.latent, in + d.latent, d.rope * sizeof *in);
    moe_cpu_rotate(cpu, row, cached + d.latent);
    for (uint32_t h = 0; h < d.heads; h++)
        moe_cpu_rotate(cpu, row, q + h * (d.nope + d.rope) + d.nope);
}

/* Queries of a head times the part of kv_b that makes its keys, so that they meet the latent. */
static void
absorb_head(void *context, uint32_t head, uint32_t thread)
{
    moe_cpu *cpu = context;
    struct dims d = dims_of(cpu);
    const moe_matrix *kv_b = &cpu->weights->layers[cpu->layer].attention.kv_b;
    float *wide = cpu->scratch + thread * cpu->scratch_size;
    const float *q = cpu->query + head * (d.nope + d.rope);
    float *out = cpu->latent + head * d.key;
    size_t q_stride = d.heads * (d.nope + d.rope), stride = d.heads * d.key;

    for (uint32_t i = 0; i < cpu->batch->n; i++) {
        memset(out + i * stride, 0, d.latent * sizeof *out);
        memcpy(out + i * stride + d.latent, q + i * q_stride + d.nope, d.rope * sizeof *out);
    }
    for (uint32_t r = 0; r < d.nope; r++) {
        cpu->kernels->widen(kv_b, head * (d.nope + d.value) + r, wide);
        for (uint32_t i = 0; i < cpu->batch->n; i++)
            cpu->kernels->add_scaled(out + i * stride, q[i * q_stride + r], wide, d.latent);
    }
}

static void
attend_head(void *context, uint32_t task, uint32_t thread)
{
    moe_cpu *cpu = context;
    struct dims d = dims_of(cpu);
    moe_attend attend;

    moe_cpu_view(cpu, task / d.heads, 0, thread, &attend);
    attend.query = attend.out = cpu->latent + (size_t)task * d.key;
    attend.values = attend.keys;
    attend.value_stride = attend.key_stride;
    attend.value_dim = d.latent;
    cpu->kernels->attend(&attend);
}

/* Queries and the joint keys' latents of all rows. */
static void
project(moe_cpu *cpu, const struct dims *d)
{
    const moe_attention_weights *w = &cpu->weights->layers[cpu->layer].attention;
    uint32_t query = d->heads * (d->nope + d->rope), low = w->q_a.rows, n = cpu->batch->n;
    moe_rows in = {cpu->input, cpu->shape.hidden, NULL, n};

    cpu->products[0] = (moe_cpu_product){&w->kv_a, NULL, in, cpu->key, d->key, 0};
    if (!w->q_a.data) {
        cpu->products[1] = (moe_cpu_product){&w->q, &w->q_bias, in, cpu->query, query, 0};
        moe_cpu_multiply(cpu, 2);
        return;
    }
    cpu->products[1] = (moe_cpu_product){&w->q_a, NULL, in, cpu->q_low, low, 0};
    moe_cpu_multiply(cpu, 2);
    moe_cpu_vector(cpu, &w->q_a_norm, cpu->vector);
    for (uint32_t i = 0; i < n; i++) {
        float *row = cpu->q_low + (size_t)i * low;
        cpu->kernels->norm(row, row, cpu->vector, low, cpu->arch->latent_norm_eps);
    }
    in = (moe_rows){cpu->q_low, low, NULL, n};
    cpu->products[0] = (moe_cpu_product){&w->q, &w->q_bias, in, cpu->query, query, 0};
    moe_cpu_multiply(cpu, 1);
}

void
moe_cpu_latent_attention(moe_cpu *cpu)
{
    const moe_attention_weights *w = &cpu->weights->layers[cpu->layer].attention;
    struct dims d = dims_of(cpu);
    uint32_t n = cpu->batch->n;

    project(cpu, &d);
    moe_cpu_vector(cpu, &w->kv_a_norm, cpu->vector);
    moe_cpu_run(cpu, finish_row, n, n * 8.0 * d.heads * d.rope);
    moe_cpu_run(cpu, absorb_head, d.heads, (double)n * d.heads * d.nope * d.latent);
    moe_cpu_run(cpu, attend_head, n * d.heads, moe_cpu_attend_work(cpu, 2.0 * d.heads * d.key));
    for (uint32_t h = 0; h < d.heads; h++) {
        cpu->parts[h] = moe_cpu_part(&w->kv_b, h * (d.nope + d.value) + d.nope, d.value);
        moe_rows in = {cpu->latent + h * d.key, d.heads * d.key, NULL, n};
        cpu->products[h] = (moe_cpu_product){
            &cpu->parts[h], NULL, in, cpu->attended + h * d.value, d.heads * d.value, 0};
    }
    moe_cpu_multiply(cpu, d.heads);
}
