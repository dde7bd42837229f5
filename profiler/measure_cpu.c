/* The expert stage of the CPU backend, as a decoder asks for it, over made-up weights. */
#include "profiler/measure.h"

#include "profiler/backend.h"
#include "profiler/cpu/blas.h"
#include "profiler/cpu/kernels.h"
#include "profiler/cpu/threads.h"
#include "sim/base/error.h"

#include <stdlib.h>
#include <string.h>

#define HIDDEN 2048u
#define WIDTH 1024u
#define PARAMS (3 * (size_t)HIDDEN * WIDTH)
#define VOCAB 16u
#define MOST_TOKENS 256u
/* Experts together are so many times the largest cache, or as many as memory allows. */
#define TIMES_CACHE 2
/* A repetition computes GROUP of them, one group after the other, so that there are many. */
enum { GROUP = 4, LEAST_EXPERTS = GROUP, MOST_EXPERTS = 64 };

static const uint32_t tokens_of[MOE_CPU_POINTS - 1] = {1, 2, 4, 8, 16, 64, MOST_TOKENS};

typedef struct bench {
    void *block; /* of weights, which all matrices are parts of */
    moe_weight_type type;
    uint32_t n_experts, tokens;
    moe_mlp experts[MOST_EXPERTS];
    moe_layer layer;
    moe_stack stack;
    moe_model model;
    moe_arch arch;
    moe_layer_weights layer_weights;
    moe_weights weights;
    moe_backend_config config;
    void *state;
    uint32_t token[MOST_TOKENS], slot[MOST_TOKENS], position[MOST_TOKENS];
    uint16_t expert[MOST_EXPERTS];
    uint32_t member[MOST_EXPERTS], first[MOST_EXPERTS + 1], row[MOST_EXPERTS * MOST_TOKENS];
    float weight[MOST_EXPERTS * MOST_TOKENS];
    moe_batch batch;
    moe_dispatch dispatch;
    uint32_t next; /* the first expert of the group that comes next */
    GError *error;
} bench;

/* ---- what is computed ---- */

static size_t
bytes_of(moe_weight_type type)
{
    return type == MOE_WEIGHT_F32 ? 4 : 2;
}

static moe_matrix
matrix(const bench *b, size_t at, uint32_t rows, uint32_t cols)
{
    return (moe_matrix){
        .data = (const uint8_t *)b->block + at * bytes_of(b->type),
        .type = b->type,
        .rows = rows,
        .cols = cols,
        .stride = cols,
        .step = 1,
    };
}

static void
lay_out(bench *b)
{
    static const double inverse[1] = {1};
    b->layer = (moe_layer){
        .attention = {.kind = MOE_ATTENTION_HEADS, .heads = 1, .kv_heads = 1, .head_dim = 2},
        .ffn = {.kind = MOE_FFN_MOE,
                .matrices = 3,
                .width = WIDTH,
                .experts = (int)b->n_experts,
                .top_k = (int)b->n_experts},
    };
    b->stack = (moe_stack){MOE_STACK_DECODER, 1, 1, &b->layer};
    b->model = (moe_model){
        .name = "probe", .hidden = HIDDEN, .vocab = VOCAB, .n_stacks = 1, .stacks = &b->stack};
    b->arch = (moe_arch){.model = &b->model,
                         .norm_eps = 1e-6f,
                         .rope = {.dim = 2, .magnitude = 1, .inverse = inverse}};
    b->layer_weights = (moe_layer_weights){.ffn_norm = matrix(b, 0, HIDDEN, 1),
                                           .router = matrix(b, 0, b->n_experts, HIDDEN),
                                           .experts = b->experts};
    b->weights = (moe_weights){.arch = &b->arch,
                               .embedding = matrix(b, 0, VOCAB, HIDDEN),
                               .final_norm = matrix(b, 0, HIDDEN, 1),
                               .unembedding = matrix(b, 0, VOCAB, HIDDEN),
                               .layers = &b->layer_weights};
    for (uint32_t e = 0; e < b->n_experts; e++)
        b->experts[e] = (moe_mlp){.gate = matrix(b, e * PARAMS, WIDTH, HIDDEN),
                                  .up = matrix(b, e * PARAMS + PARAMS / 3, WIDTH, HIDDEN),
                                  .down = matrix(b, e * PARAMS + 2 * PARAMS / 3, HIDDEN, WIDTH)};
}

/* `tokens` rows, each of which all experts compute. */
static void
spread_rows(bench *b, uint32_t tokens)
{
    b->tokens = tokens;
    for (uint32_t i = 0; i < tokens; i++) {
        b->token[i] = i % VOCAB;
        b->position[i] = i;
    }
    for (uint32_t e = 0; e < b->n_experts; e++) {
        b->expert[e] = (uint16_t)e;
        b->member[e] = e;
        b->first[e + 1] = (e + 1) * tokens;
        for (uint32_t i = 0; i < tokens; i++) {
            b->row[e * tokens + i] = i;
            b->weight[e * tokens + i] = 1.0f / (float)(e + 1);
        }
    }
    b->batch = (moe_batch){tokens, b->token, b->slot, b->position, MOE_BATCH_PREFILL};
    b->dispatch = (moe_dispatch){b->n_experts, b->expert, b->first, b->row, b->weight};
}

static bool
open_backend(bench *b, uint32_t threads, GError **error)
{
    lay_out(b);
    b->config = (moe_backend_config){.max_rows = MOST_TOKENS,
                                     .max_sequences = 1,
                                     .max_context = MOST_TOKENS,
                                     .threads = threads};
    b->state = moe_backend_cpu.open(&b->weights, &b->config, error);
    return b->state != NULL;
}

/* Fixes the experts' input. */
static bool
prepare(bench *b, GError **error)
{
    const moe_backend_ops *ops = &moe_backend_cpu;
    return ops->embed(b->state, &b->batch, error) &&
           ops->router(b->state, &b->batch, 0, 0, error) &&
           ops->dispatch(b->state, &b->batch, 0, &b->dispatch, error);
}

static double
experts_once(void *context)
{
    bench *b = context;
    double began = moe_measure_now();
    moe_backend_cpu.experts(b->state, 0, b->member + b->next, NULL, GROUP,
                            b->error ? NULL : &b->error);
    b->next = (b->next + GROUP) % b->n_experts;
    return moe_measure_now() - began;
}

/* ---- points ---- */

static bool
measure_point(const moe_measure *how, bench *b, uint32_t tokens, uint32_t left, moe_cpu_point *out,
              GError **error)
{
    bool good = open_backend(b, moe_measure_threads(how), error);
    if (good) {
        spread_rows(b, tokens);
        good = prepare(b, error);
    }
    if (good)
        *out = (moe_cpu_point){tokens, GROUP,
                               moe_measure_repeat(experts_once, b, moe_measure_time(how, left))};
    moe_backend_cpu.close(b->state);
    b->state = NULL;
    if (b->error)
        g_propagate_error(error, g_steal_pointer(&b->error));
    return good && !*error;
}

/* Whether a point with so many tokens is likely to take longer than there is time for all. */
static bool
is_too_slow(const moe_measure *how, const moe_cpu_point *last, uint32_t tokens)
{
    const double times = 4; /* the least, with the one for nothing */
    return last->seconds.median * tokens / last->tokens * times > moe_measure_time(how, 1);
}

/* The points of one type, fewer where the machine is slow; but always the first two. */
static bool
measure_type(const moe_measure *how, bench *b, moe_weight_type type, uint32_t experts,
             moe_cpu_point points[MOE_CPU_POINTS], GError **error)
{
    uint32_t n = MOE_COUNT(tokens_of), before = type == MOE_WEIGHT_F32 ? n : 0;
    b->type = type;
    b->n_experts = experts / GROUP * GROUP;
    b->next = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t tokens = tokens_of[i], left = 2 * n - before - i;
        if (i > 1 && is_too_slow(how, &points[i - 1], tokens))
            break;
        g_autofree char *what = g_strdup_printf("processor, experts with %u token%s each", tokens,
                                                tokens == 1 ? "" : "s");
        moe_measure_say(how, what, (double)(before + i) / (2 * n));
        if (!measure_point(how, b, tokens, left, &points[i], error))
            return false;
    }
    return true;
}

static void
nothing(void *context, uint32_t task, uint32_t thread)
{
}

enum { HANDOVERS = 64 };
static double
hand_over(void *context)
{
    uint32_t n = *(const uint32_t *)context;
    g_autoptr(GError) error = NULL;
    moe_threads *threads = moe_threads_new(n, &error);
    if (!threads)
        return 0;
    double began = moe_measure_now();
    for (int i = 0; i < HANDOVERS; i++)
        moe_threads_run(threads, nothing, NULL, n);
    double seconds = (moe_measure_now() - began) / HANDOVERS;
    moe_threads_free(threads);
    return seconds;
}

/* ---- the whole ---- */

static char *
processor_name(void)
{
    g_autofree char *text = NULL;
    g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL);
    const char *line = text ? strstr(text, "model name") : NULL, *colon = NULL;
    if (line)
        colon = strchr(line, ':');
    if (!colon)
        return g_strdup("a processor");
    g_autofree char *name = g_strndup(colon + 1, strcspn(colon + 1, "\n"));
    g_strstrip(name);
    return g_utf8_validate(name, -1, NULL) ? g_steal_pointer(&name) : g_strdup("a processor");
}

static uint32_t
number_of_experts(const moe_measure *how, uint64_t cache)
{
    uint64_t one = PARAMS * bytes_of(MOE_WEIGHT_F32);
    uint64_t wanted = (TIMES_CACHE * cache + one - 1) / one;
    return (uint32_t)CLAMP(MIN(wanted, how->memory / one), LEAST_EXPERTS, MOST_EXPERTS);
}

/* Small numbers, of both types: two bf16 are one float of that size. */
static void *
make_weights(size_t bytes, GError **error)
{
    uint16_t *out = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!out)
        g_set_error(error, MOE_ERROR, MOE_ERROR_MEMORY, "not enough memory: %zu bytes of weights",
                    bytes);
    for (size_t i = 0; out && i < bytes / sizeof *out; i++)
        out[i] = (uint16_t)(0x3C00 + i * 7 % 0x7F);
    return out;
}

bool
moe_measure_cpu(const moe_measure *how, moe_measured_cpu *out, GError **error)
{
    uint32_t all = number_of_experts(how, moe_measure_cache()), threads = moe_measure_threads(how);
    bench *b = g_new0(bench, 1);
    GError *problem = NULL;
    *out = (moe_measured_cpu){.name = processor_name(),
                              .kernels = moe_kernels_best()->name,
                              .blas = moe_blas_name(),
                              .threads = threads,
                              .params = PARAMS,
                              .hidden = HIDDEN,
                              .width = WIDTH};
    b->block = make_weights(all * PARAMS * bytes_of(MOE_WEIGHT_F32), &problem);
    /* bf16 weights are half as large: as many bytes of them, where there is room for the experts */
    bool good =
        b->block &&
        measure_type(how, b, MOE_WEIGHT_BF16, MIN(2 * all, MOST_EXPERTS), out->bf16, &problem) &&
        measure_type(how, b, MOE_WEIGHT_F32, all, out->fp32, &problem);
    out->launch = moe_measure_repeat(hand_over, &threads, 0);
    free(b->block);
    g_free(b);
    if (good)
        moe_measured_cpu_fit(out);
    else
        g_propagate_error(error, problem);
    return good;
}

void
moe_measured_cpu_clear(moe_measured_cpu *cpu)
{
    g_free(cpu->name);
    *cpu = (moe_measured_cpu){0};
}
