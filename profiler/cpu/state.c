#include "profiler/cpu/state.h"

#include "profiler/cpu/blas.h"
#include "profiler/memory.h"
#include "sim/base/units.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

/* Parts of one block of memory, handed out one behind another; without a base they are counted. */
typedef struct arena {
    uint8_t *base;
    uint64_t used; /* saturates */
} arena;

static void *
take(arena *a, uint64_t count, uint64_t size)
{
    uint64_t bytes, at = a->used;
    if (__builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(bytes, ALIGNMENT - 1, &bytes) ||
        __builtin_add_overflow(at, bytes / ALIGNMENT * ALIGNMENT, &a->used))
        a->used = UINT64_MAX - ALIGNMENT;
    return a->base ? a->base + at : NULL;
}

static float *
take_floats(arena *a, uint64_t rows, uint64_t cols)
{
    return take(a, rows, cols * sizeof(float));
}

static void
most(uint32_t *largest, int64_t value)
{
    if (value > *largest)
        *largest = (uint32_t)value;
}

static void
measure_attention(moe_cpu_shape *shape, const moe_attention *a)
{
    bool latent = a->kind == MOE_ATTENTION_MLA;
    int64_t head = latent ? (int64_t)a->nope_dim + a->rope_dim : a->head_dim;
    most(&shape->heads, a->heads);
    most(&shape->query, a->heads * head);
    most(&shape->attended, (int64_t)a->heads * (latent ? a->value_dim : a->head_dim));
    if (latent) {
        most(&shape->q_lora, a->q_lora);
        most(&shape->key, (int64_t)a->kv_lora + a->rope_dim);
        most(&shape->latent, (int64_t)a->heads * (a->kv_lora + a->rope_dim));
    } else {
        most(&shape->key, (int64_t)a->kv_heads * a->head_dim);
        most(&shape->value, (int64_t)a->kv_heads * a->head_dim);
    }
}

static moe_cpu_shape
measure(const moe_arch *arch)
{
    const moe_stack *stack = moe_model_decoder(arch->model);
    moe_cpu_shape shape = {
        .layers = (uint32_t)stack->n_layers,
        .hidden = (uint32_t)arch->model->hidden,
        .vocab = (uint32_t)arch->model->vocab,
        .pairs = arch->rope.dim / 2,
    };
    for (int l = 0; l < stack->n_layers; l++) {
        const moe_ffn *ffn = &stack->layers[l].ffn;
        measure_attention(&shape, &stack->layers[l].attention);
        if (ffn->kind == MOE_FFN_DENSE)
            most(&shape.dense, ffn->width);
        if (ffn->kind != MOE_FFN_MOE)
            continue;
        most(&shape.width, ffn->width);
        most(&shape.shared, ffn->shared_width);
        most(&shape.experts, ffn->experts);
        most(&shape.top_k, ffn->top_k);
    }
    const uint32_t cols[] = {shape.hidden, shape.attended, shape.q_lora, shape.key,
                             shape.dense,  shape.width,    shape.shared};
    for (size_t i = 0; i < MOE_COUNT(cols); i++)
        most(&shape.cols, cols[i]);
    return shape;
}

static void
carve_caches(moe_cpu *cpu, arena *a)
{
    const moe_backend_config *config = &cpu->config;
    cpu->cache = take(a, cpu->shape.layers, sizeof *cpu->cache);
    cpu->length = take(a, config->max_sequences, sizeof *cpu->length);
    for (uint32_t l = 0; l < cpu->shape.layers; l++) {
        const moe_attention *attention = &cpu->layers[l].attention;
        bool latent = attention->kind == MOE_ATTENTION_MLA;
        uint64_t ring = config->max_context;
        if (attention->window && (uint64_t)attention->window + config->max_rows < ring)
            ring = (uint64_t)attention->window + config->max_rows;
        moe_cpu_cache cache = {
            .heads = latent ? 1 : (uint32_t)attention->kv_heads,
            .ring = (uint32_t)ring,
            .key_dim =
                (uint32_t)(latent ? attention->kv_lora + attention->rope_dim : attention->head_dim),
            .value_dim = latent ? 0 : (uint32_t)attention->head_dim,
        };
        uint64_t places = ring * cache.heads;
        cache.keys = take_floats(a, config->max_sequences, places * cache.key_dim);
        cache.values = take_floats(a, config->max_sequences, places * cache.value_dim);
        if (a->base)
            cpu->cache[l] = cache;
    }
}

static void
carve_rows(moe_cpu *cpu, arena *a)
{
    const moe_cpu_shape *s = &cpu->shape;
    uint64_t rows = cpu->config.max_rows, entries = rows * s->top_k;
    uint64_t widest = entries * s->width;

    if (rows * MAX(s->dense, s->shared) > widest)
        widest = rows * MAX(s->dense, s->shared);
    cpu->hidden = take_floats(a, rows, s->hidden);
    cpu->input = take_floats(a, rows, s->hidden);
    cpu->other = take_floats(a, rows, s->hidden);
    cpu->added = take_floats(a, rows, s->hidden);
    cpu->query = take_floats(a, rows, s->query);
    cpu->key = take_floats(a, rows, s->key);
    cpu->value = take_floats(a, rows, s->value);
    cpu->attended = take_floats(a, rows, s->attended);
    cpu->q_low = take_floats(a, rows, s->q_lora);
    cpu->latent = take_floats(a, rows, s->latent);
    cpu->cosine = take_floats(a, rows, s->pairs);
    cpu->sine = take_floats(a, rows, s->pairs);
    cpu->router_logits = take_floats(a, rows, s->experts);
    cpu->logits = take_floats(a, cpu->config.max_logits, s->vocab);
    cpu->gate = take_floats(a, widest, 1);
    cpu->up = take_floats(a, widest, 1);
    cpu->outputs = take_floats(a, entries, s->hidden);
    cpu->shared_gate = take_floats(a, rows, 1);
    cpu->entry = take(a, entries, sizeof *cpu->entry);
}

static void
carve_working(moe_cpu *cpu, arena *a)
{
    const moe_cpu_shape *s = &cpu->shape;
    uint64_t threads = cpu->config.threads, products = MAX(2 * (uint64_t)s->experts, s->heads);

    cpu->scratch_size = moe_kernels_scratch(s->cols);
    if (cpu->blas)
        cpu->scratch_size = MAX(cpu->scratch_size, (size_t)MOE_CPU_BLOCK * s->cols);
    cpu->gather_size = cpu->blas ? (size_t)cpu->config.max_rows * s->hidden : 0;
    cpu->vector = take_floats(a, MAX(s->cols, s->query + (uint64_t)s->key), 1);
    cpu->parts = take(a, s->heads, sizeof *cpu->parts);
    cpu->products = take(a, MAX(products, 4), sizeof *cpu->products);
    cpu->scores = take_floats(a, threads, cpu->config.max_context);
    cpu->scratch = take_floats(a, threads, cpu->scratch_size);
    cpu->gather = take_floats(a, threads, cpu->gather_size);
}

/* All arrays over `base`; with NULL only the bytes count. */
static uint64_t
carve(moe_cpu *cpu, uint8_t *base)
{
    arena a = {.base = base};
    carve_caches(cpu, &a);
    carve_rows(cpu, &a);
    carve_working(cpu, &a);
    return a.used;
}

static void
prepare(moe_cpu *cpu, const moe_weights *weights, const moe_backend_config *config)
{
    *cpu = (moe_cpu){
        .weights = weights,
        .arch = weights->arch,
        .layers = moe_model_decoder(weights->arch->model)->layers,
        .config = *config,
        .shape = measure(weights->arch),
        .blas = !config->exact && moe_blas_name(),
    };
    moe_assert(config->max_rows && config->max_sequences && config->max_context,
               "%u rows, %u sequences, context %u", config->max_rows, config->max_sequences,
               config->max_context);
    if (!config->threads)
        cpu->config.threads = g_get_num_processors();
    if (!config->max_logits)
        cpu->config.max_logits = config->max_rows;
}

uint64_t
moe_cpu_memory(const moe_weights *weights, const moe_backend_config *config)
{
    moe_cpu cpu;
    prepare(&cpu, weights, config);
    return sizeof cpu + carve(&cpu, NULL);
}

static void *
allocate(const moe_backend_config *config, uint64_t bytes, GError **error)
{
    uint64_t there = moe_memory_available();
    void *memory = bytes <= there && bytes <= INT64_MAX ? aligned_alloc(ALIGNMENT, bytes) : NULL;
    if (memory)
        return memory;
    g_autofree char *want = moe_format_bytes((int64_t)MIN(bytes, INT64_MAX));
    g_autofree char *have = moe_format_bytes((int64_t)MIN(there, INT64_MAX));
    g_set_error(error, MOE_ERROR, MOE_ERROR_MEMORY,
                "not enough memory: %u sequences of %u positions and batches of %u rows want %s "
                "besides the weights, %s are available",
                config->max_sequences, config->max_context, config->max_rows, want,
                there == UINT64_MAX ? "fewer" : have);
    return NULL;
}

void *
moe_cpu_open(const moe_weights *weights, const moe_backend_config *config, GError **error)
{
    moe_cpu *cpu = g_new0(moe_cpu, 1);

    prepare(cpu, weights, config);
    cpu->memory = allocate(config, carve(cpu, NULL), error);
    if (cpu->memory)
        cpu->threads = moe_threads_new(cpu->config.threads, error);
    if (!cpu->threads) {
        moe_cpu_close(cpu);
        return NULL;
    }
    carve(cpu, cpu->memory);
    memset(cpu->length, 0, config->max_sequences * sizeof *cpu->length);
    cpu->kernels = moe_kernels_best();
    return cpu;
}

void
moe_cpu_close(void *state)
{
    moe_cpu *cpu = state;
    if (!cpu)
        return;
    moe_threads_free(cpu->threads);
    free(cpu->memory);
    g_free(cpu);
}
