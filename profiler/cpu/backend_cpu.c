#include "profiler/cpu/state.h"

#include "sim/base/elementary.h"

/* Rows continue what their slot holds, or start it anew. */
static void
join_slots(moe_cpu *cpu, const moe_batch *batch)
{
    for (uint32_t i = 0; i < batch->n; i++) {
        uint32_t slot = batch->slot[i], position = batch->position[i];
        moe_assert(slot < cpu->config.max_sequences, "slot %u of %u", slot,
                   cpu->config.max_sequences);
        moe_assert(position < cpu->config.max_context, "position %u of %u", position,
                   cpu->config.max_context);
        moe_assert(!position || position == cpu->length[slot], "position %u, slot %u holds %u",
                   position, slot, cpu->length[slot]);
        cpu->length[slot] = position + 1;
    }
}

static void
turn_rows(moe_cpu *cpu, const moe_batch *batch)
{
    const moe_rope *rope = &cpu->arch->rope;
    uint32_t pairs = cpu->shape.pairs;
    for (uint32_t i = 0; i < batch->n; i++) {
        for (uint32_t p = 0; p < pairs; p++) {
            double sine, cosine;
            moe_sincos(batch->position[i] * rope->inverse[p], &sine, &cosine);
            cpu->sine[(size_t)i * pairs + p] = (float)sine * rope->magnitude;
            cpu->cosine[(size_t)i * pairs + p] = (float)cosine * rope->magnitude;
        }
    }
}

static bool
embed(void *state, const moe_batch *batch, GError **error)
{
    moe_cpu *cpu = state;
    moe_assert(batch->n && batch->n <= cpu->config.max_rows, "%u rows of %u", batch->n,
               cpu->config.max_rows);
    cpu->batch = batch;
    join_slots(cpu, batch);
    turn_rows(cpu, batch);
    for (uint32_t i = 0; i < batch->n; i++) {
        moe_assert(batch->token[i] < cpu->shape.vocab, "token %u of %u", batch->token[i],
                   cpu->shape.vocab);
        cpu->kernels->widen(&cpu->weights->embedding, batch->token[i],
                            cpu->hidden + (size_t)i * cpu->shape.hidden);
    }
    return true;
}

static const float *
router(void *state, const moe_batch *batch, uint32_t layer, uint32_t gate, GError **error)
{
    moe_cpu *cpu = state;
    const moe_layer_weights *w = &cpu->weights->layers[gate];
    float *input = layer == gate ? cpu->input : cpu->other;
    moe_rows in = {input, cpu->shape.hidden, NULL, batch->n};

    cpu->batch = batch;
    moe_cpu_norm(cpu, &w->ffn_norm, NULL, batch->n, input);
    cpu->products[0] =
        (moe_cpu_product){&w->router, &w->router_bias, in, cpu->router_logits, w->router.rows, 0};
    moe_cpu_multiply(cpu, 1);
    return cpu->router_logits;
}

static const float *
unembed(void *state, const moe_batch *batch, const uint32_t *rows, uint32_t n_rows, GError **error)
{
    moe_cpu *cpu = state;
    moe_rows in = {cpu->other, cpu->shape.hidden, NULL, n_rows};

    moe_assert(n_rows <= cpu->config.max_logits && n_rows <= cpu->config.max_rows,
               "logits of %u rows, %u are the most", n_rows, cpu->config.max_logits);
    cpu->batch = batch;
    moe_cpu_norm(cpu, &cpu->weights->final_norm, rows, n_rows, cpu->other);
    cpu->products[0] =
        (moe_cpu_product){&cpu->weights->unembedding, NULL, in, cpu->logits, cpu->shape.vocab, 0};
    moe_cpu_multiply(cpu, 1);
    return cpu->logits;
}

static const float *
hidden(void *state, const moe_batch *batch, GError **error)
{
    return ((const moe_cpu *)state)->hidden;
}

const moe_backend_ops moe_backend_cpu = {
    .name = "cpu",
    .open = moe_cpu_open,
    .close = moe_cpu_close,
    .memory = moe_cpu_memory,
    .embed = embed,
    .attention = moe_cpu_attention,
    .dense = moe_cpu_dense,
    .router = router,
    .dispatch = moe_cpu_dispatch,
    .experts = moe_cpu_experts,
    .combine = moe_cpu_combine,
    .unembed = unembed,
    .hidden = hidden,
};
