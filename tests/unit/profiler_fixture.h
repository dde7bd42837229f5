/* A model of random weights made in memory: a dense layer, then experts with a shared one, grouped
 * queries, normalised queries and keys, a window in one layer. */
#ifndef MOE_TESTS_UNIT_PROFILER_FIXTURE_H
#define MOE_TESTS_UNIT_PROFILER_FIXTURE_H

#include "profiler/weights.h"
#include "sim/base/random.h"

#include <glib.h>

enum {
    HIDDEN = 40,
    VOCAB = 50,
    LAYERS = 4,
    HEADS = 4,
    KV = 2,
    DIM = 16,
    WIDTH = 24,
    EXPERTS = 8,
    TOP_K = 3,
    WINDOW = 5,
    LENGTH = 48
};

typedef struct fixture {
    moe_layer layers[LAYERS];
    moe_stack stack;
    moe_model model;
    double inverse[DIM / 2];
    moe_arch arch;
    moe_layer_weights layer_weights[LAYERS];
    moe_weights weights;
    GPtrArray *owned;
    moe_stream stream;
} fixture;

static moe_matrix
random_matrix(fixture *f, uint32_t rows, uint32_t cols, double mean, double spread)
{
    float *data = g_new(float, (size_t)rows *cols);
    for (size_t i = 0; i < (size_t)rows * cols; i++)
        data[i] = (float)(mean + spread * (2 * moe_stream_unit(&f->stream) - 1));
    g_ptr_array_add(f->owned, data);
    return (moe_matrix){data, NULL, MOE_WEIGHT_F32, rows, cols, cols, 1};
}

static moe_mlp
random_mlp(fixture *f, uint32_t width)
{
    return (moe_mlp){.gate = random_matrix(f, width, HIDDEN, 0, 0.4),
                     .up = random_matrix(f, width, HIDDEN, 0, 0.4),
                     .down = random_matrix(f, HIDDEN, width, 0, 0.4)};
}

static void
make_layer(fixture *f, int l)
{
    moe_layer_weights *w = &f->layer_weights[l];
    f->layers[l] = (moe_layer){
        .attention = {.kind = MOE_ATTENTION_HEADS,
                      .heads = HEADS,
                      .kv_heads = KV,
                      .head_dim = DIM,
                      .window = l == 2 ? WINDOW : 0,
                      .qk_norm = MOE_QK_NORM_HEAD},
        .ffn = {.kind = l ? MOE_FFN_MOE : MOE_FFN_DENSE,
                .matrices = 3,
                .width = l ? WIDTH : 2 * WIDTH,
                .experts = l ? EXPERTS : 0,
                .top_k = l ? TOP_K : 0,
                .shared_width = l ? WIDTH : 0,
                .shared_gate = l > 0},
        .moe_index = l - 1,
    };
    w->attention_norm = random_matrix(f, HIDDEN, 1, 1, 0.3);
    w->ffn_norm = random_matrix(f, HIDDEN, 1, 1, 0.3);
    w->attention = (moe_attention_weights){.q = random_matrix(f, HEADS * DIM, HIDDEN, 0, 0.5),
                                           .k = random_matrix(f, KV * DIM, HIDDEN, 0, 0.5),
                                           .v = random_matrix(f, KV * DIM, HIDDEN, 0, 0.5),
                                           .o = random_matrix(f, HIDDEN, HEADS * DIM, 0, 0.3),
                                           .q_norm = random_matrix(f, DIM, 1, 1, 0.3),
                                           .k_norm = random_matrix(f, DIM, 1, 1, 0.3)};
    if (!l) {
        w->dense = random_mlp(f, 2 * WIDTH);
        return;
    }
    w->router = random_matrix(f, EXPERTS, HIDDEN, 0, 0.5);
    w->shared = random_mlp(f, WIDTH);
    w->shared_gate = random_matrix(f, 1, HIDDEN, 0, 0.5);
    w->experts = g_new(moe_mlp, EXPERTS);
    g_ptr_array_add(f->owned, w->experts);
    for (int e = 0; e < EXPERTS; e++)
        w->experts[e] = random_mlp(f, WIDTH);
}

static inline fixture *
fixture_new(void)
{
    fixture *f = g_new0(fixture, 1);
    f->owned = g_ptr_array_new_with_free_func(g_free);
    f->stream = moe_stream_new(1, "decoder", 0);
    for (int l = 0; l < LAYERS; l++)
        make_layer(f, l);
    f->stack = (moe_stack){MOE_STACK_DECODER, LAYERS, LAYERS - 1, f->layers};
    f->model = (moe_model){
        .name = "fixture", .hidden = HIDDEN, .vocab = VOCAB, .n_stacks = 1, .stacks = &f->stack};
    for (int i = 0; i < DIM / 2; i++)
        f->inverse[i] = 1.0 / (1 << i);
    f->arch = (moe_arch){
        .model = &f->model,
        .norm_eps = 1e-5f,
        .score_scale = 0.25f,
        .rope = {.dim = DIM, .magnitude = 1, .inverse = f->inverse},
        .router = {.experts = EXPERTS, .top_k = TOP_K, .normalise = true, .scale = 1},
        .max_context = 1000,
    };
    f->weights = (moe_weights){.arch = &f->arch,
                               .embedding = random_matrix(f, VOCAB, HIDDEN, 0, 1),
                               .final_norm = random_matrix(f, HIDDEN, 1, 1, 0.3),
                               .unembedding = random_matrix(f, VOCAB, HIDDEN, 0, 0.5),
                               .layers = f->layer_weights};
    return f;
}

static inline void
fixture_free(fixture *f)
{
    g_ptr_array_unref(f->owned);
    g_free(f);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fixture, fixture_free)

#endif
