/* Decoding and prefill of a checkpoint on the CPU backend, beside what the machine could do at
 * most, measured in the same run: reading the active weights from memory, multiplying matrices.
 *
 *     bench_decode MODEL-FOLDER [THREADS [CONTEXT]]
 *
 * Each figure is the best of many short stretches, and of one thread the time is that of the
 * processor, so that other work on the machine matters little. */
#include "profiler/cpu/blas.h"
#include "profiler/cpu/kernels.h"
#include "profiler/cpu/threads.h"
#include "profiler/decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STRETCH 4 /* tokens */
#define BUFFER (1u << 30)
#define CHUNK (16u << 20)
#define PREFILL 256u

static clockid_t bench_clock = CLOCK_MONOTONIC;

static double
seconds(void)
{
    struct timespec t;
    clock_gettime(bench_clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what the machine can do ---- */

typedef struct reading {
    const uint8_t *from;
    uint32_t threads;
    uint64_t sums[64];
} reading;

typedef uint64_t words __attribute__((vector_size(64)));

static void
read_part(void *context, uint32_t task, uint32_t thread)
{
    reading *r = context;
    size_t bytes = CHUNK / r->threads / 256 * 256;
    const uint8_t *from = r->from + task * bytes;
    words sums[4] = {{0}}, w;
    for (size_t i = 0; i < bytes; i += sizeof sums)
        for (size_t j = 0; j < 4; j++) {
            memcpy(&w, from + i + j * sizeof w, sizeof w);
            sums[j] += w;
        }
    sums[0] += sums[1] + sums[2] + sums[3];
    r->sums[task] += sums[0][0] ^ sums[0][5];
}

/* Bytes per second of a plain read of a buffer larger than caches. */
static double
bandwidth(moe_threads *threads, uint32_t n)
{
    uint8_t *buffer = malloc(BUFFER);
    reading r = {.threads = n};
    double best = 0;
    memset(buffer, 1, BUFFER);
    for (int round = 0; round < 2; round++) {
        for (size_t at = 0; at + CHUNK <= BUFFER; at += CHUNK) {
            double before = seconds();
            r.from = buffer + at;
            moe_threads_run(threads, read_part, &r, n);
            double rate = (double)(CHUNK / n / 256 * 256 * n) / (seconds() - before);
            best = MAX(best, rate);
        }
    }
    free(buffer);
    return r.sums[0] == 1 ? 0 : best; /* the sums are looked at, so they are computed */
}

/* FLOP per second of single precision products of 256 x 256 x 256, by thread; kernels NULL: the
 * BLAS. */
static double
multiplying(const moe_kernels *kernels)
{
    enum { N = 256 };
    float *a = malloc(3 * N * N * sizeof *a), *b = a + N * N, *c = b + N * N;
    float *scratch = malloc(moe_kernels_scratch(N) * sizeof *scratch);
    moe_matrix w = {b, NULL, MOE_WEIGHT_F32, N, N, N, 1};
    moe_rows rows = {a, N, NULL, N};
    double best = 0;
    for (int i = 0; i < 3 * N * N; i++)
        a[i] = 1;
    for (int i = 0; i < 40; i++) {
        double before = seconds();
        if (kernels)
            kernels->multiply(&w, 0, N, &rows, c, N, scratch);
        else
            moe_blas_multiply(a, N, N, b, N, N, c, N);
        best = MAX(best, 2.0 * N * N * N / (seconds() - before));
    }
    free(scratch);
    free(a);
    return best;
}

/* ---- what a token reads and computes ---- */

static uint64_t
bytes_of(const moe_matrix *m)
{
    static const double bits[] = {[MOE_WEIGHT_F32] = 32,
                                  [MOE_WEIGHT_F16] = 16,
                                  [MOE_WEIGHT_BF16] = 16,
                                  [MOE_WEIGHT_MXFP4] = 4.25};
    return m->data ? (uint64_t)((double)m->rows * m->cols * bits[m->type] / 8) : 0;
}

static uint64_t
bytes_of_mlp(const moe_mlp *mlp)
{
    return bytes_of(&mlp->gate) + bytes_of(&mlp->up) + bytes_of(&mlp->down) +
           bytes_of(&mlp->gate_bias) + bytes_of(&mlp->up_bias) + bytes_of(&mlp->down_bias);
}

/* Every weight that one token's decoding reads, one row of the embedding included. */
static uint64_t
active_bytes(const moe_weights *weights)
{
    const moe_stack *stack = moe_model_decoder(weights->arch->model);
    uint64_t sum = bytes_of(&weights->final_norm) + bytes_of(&weights->unembedding) +
                   bytes_of(&weights->embedding) / weights->embedding.rows;
    for (int l = 0; l < stack->n_layers; l++) {
        const moe_layer_weights *w = &weights->layers[l];
        const moe_attention_weights *a = &w->attention;
        const moe_matrix *all[] = {
            &w->attention_norm, &w->ffn_norm, &w->router, &w->router_bias, &w->correction,
            &w->shared_gate,    &a->q,        &a->k,      &a->v,           &a->o,
            &a->q_bias,         &a->k_bias,   &a->v_bias, &a->o_bias,      &a->q_norm,
            &a->k_norm,         &a->sinks,    &a->q_a,    &a->q_a_norm,    &a->kv_a,
            &a->kv_a_norm,      &a->kv_b};
        for (size_t i = 0; i < MOE_COUNT(all); i++)
            sum += bytes_of(all[i]);
        sum += bytes_of_mlp(&w->shared);
        if (stack->layers[l].ffn.kind == MOE_FFN_MOE)
            sum += (uint64_t)stack->layers[l].ffn.top_k * bytes_of_mlp(&w->experts[0]);
        else
            sum += bytes_of_mlp(&w->dense);
    }
    return sum;
}

/* ---- runs ---- */

typedef struct run {
    moe_decoder *decoder;
    uint32_t vocab, context;
    uint32_t token[PREFILL], slot[PREFILL], position[PREFILL];
} run;

/* n rows from `position` on; logits of the last. */
static uint32_t
step(run *r, uint32_t n, uint32_t position)
{
    moe_batch batch = {n, r->token, r->slot, r->position};
    const float *logits;
    uint32_t last = n - 1;
    GError *error = NULL;
    for (uint32_t i = 0; i < n; i++)
        r->position[i] = position + i;
    if (!moe_decoder_step(r->decoder, &batch, &last, 1, &logits, &error)) {
        fprintf(stderr, "%s\n", error->message);
        exit(1);
    }
    return moe_sample(logits, r->vocab, 0, 0);
}

static double
prefill_rate(run *r)
{
    double best = 0;
    for (int i = 0; i < 20; i++) {
        double before = seconds();
        for (uint32_t j = 0; j < PREFILL; j++)
            r->token[j] = (j * 2654435761u + 12345u) % r->vocab;
        step(r, PREFILL, 0);
        best = MAX(best, PREFILL / (seconds() - before));
    }
    return best;
}

/* Tokens per second at positions about the context. */
static double
decode_rate(run *r)
{
    double best = 0;
    for (int round = 0; round < 20; round++) {
        uint32_t position = r->context;
        for (uint32_t j = 0; j < position; j++)
            r->token[j] = (j * 2654435761u + 12345u) % r->vocab;
        uint32_t token = step(r, position, 0);
        for (int i = 0; i < 10; i++) {
            double before = seconds();
            for (int j = 0; j < STRETCH; j++) {
                r->token[0] = token;
                token = step(r, 1, position++);
            }
            best = MAX(best, STRETCH / (seconds() - before));
        }
    }
    return best;
}

static void
bench(const moe_weights *weights, uint32_t threads, uint32_t context, bool exact, double memory,
      double flops)
{
    const moe_model *model = weights->arch->model;
    moe_decoder_config config = {.backend = {.max_rows = PREFILL,
                                             .max_logits = 1,
                                             .max_sequences = 1,
                                             .max_context = MAX(PREFILL, context + 10 * STRETCH),
                                             .threads = threads,
                                             .exact = exact}};
    GError *error = NULL;
    g_autoptr(moe_decoder) decoder = moe_decoder_new(weights, &moe_backend_cpu, &config, &error);
    if (!decoder) {
        fprintf(stderr, "%s\n", error->message);
        exit(1);
    }
    run r = {.decoder = decoder, .vocab = (uint32_t)model->vocab, .context = context};
    double active = (double)active_bytes(weights), decode = decode_rate(&r);
    double prefill = prefill_rate(&r);
    /* The unembedding is of one row. */
    double work = 2.0 * (double)(moe_model_active(model, "none"));
    printf(
        "%-6s decode   %8.0f tokens/s at %u positions: %5.2f GB/s of weights, %3.0f %% of a read\n",
        exact ? "exact" : "fast", decode, context, decode * active / 1e9,
        100 * decode * active / memory);
    printf("%-6s prefill  %8.0f tokens/s in batches of %u: %5.1f GFLOP/s, %3.0f %% of the faster "
           "product\n",
           exact ? "exact" : "fast", prefill, PREFILL, prefill * work / 1e9,
           100 * prefill * work / flops);
}

int
main(int argc, char **argv)
{
    uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    uint32_t context = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 128;
    GError *error = NULL;
    moe_diag *diag = moe_diag_new();
    moe_weights_set *set = argc > 1 && n && n <= 64 && context && context <= PREFILL
                               ? moe_weights_open(argv[1], diag, &error)
                               : NULL;
    moe_threads *threads = moe_threads_new(MAX(n, 1), NULL);
    if (!set || !threads) {
        fprintf(stderr, "usage: bench_decode MODEL-FOLDER [THREADS [CONTEXT]]%s%s\n",
                error ? ": " : "", error ? error->message : "");
        return 2;
    }
    const moe_weights *weights = moe_weights_get(set);
    if (n == 1)
        bench_clock = CLOCK_THREAD_CPUTIME_ID;
    double memory = bandwidth(threads, n), exact = multiplying(moe_kernels_best()) * n;
    double flops = moe_blas_name() ? multiplying(NULL) * n : exact;
    for (const moe_kernels *const *k = moe_kernels_all; *k; k++)
        if ((*k)->usable())
            printf("%s: products %.0f GFLOP/s by thread\n", (*k)->name, multiplying(*k) / 1e9);
    printf("kernels %s, %u threads; reading %.1f GB/s; products %.0f GFLOP/s, BLAS (%s) %.0f\n",
           moe_kernels_best()->name, n, memory / 1e9, exact / 1e9,
           moe_blas_name() ? moe_blas_name() : "none", flops / 1e9);
    printf("%s: %.2f MB active of %.2f MB\n", weights->arch->model->name,
           (double)active_bytes(weights) / 1e6, (double)weights->bytes / 1e6);
    flops = MAX(flops, exact);
    bench(weights, n, context, true, memory, flops);
    bench(weights, n, context, false, memory, flops);
    moe_threads_free(threads);
    moe_weights_close(set);
    moe_diag_free(diag);
    return 0;
}
