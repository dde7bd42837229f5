#include "profiler/measure_experts.h"

#include "sim/base/error.h"

#include <stdlib.h>
#include <string.h>

#define VOCAB 16u
#define HEAD 64u /* elements of the one head of the attention, which is not computed */
enum { MOST_EXPERTS = MOE_BENCH_EXPERTS };

typedef struct bench {
    const moe_experts_bench *what;
    void *block; /* of weights, which all matrices are parts of */
    moe_mlp experts[MOST_EXPERTS];
    moe_layer layer;
    moe_stack stack;
    moe_model model;
    moe_arch arch;
    moe_layer_weights layer_weights;
    moe_weights weights;
    void *state;
    uint32_t *token, *slot, *position, *row; /* row [experts * tokens] */
    float *weight;                           /* likewise */
    uint16_t expert[MOST_EXPERTS];
    uint32_t member[MOST_EXPERTS], first[MOST_EXPERTS + 1];
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
        .data = (const uint8_t *)b->block + at * bytes_of(b->what->type),
        .type = b->what->type,
        .rows = rows,
        .cols = cols,
        .stride = cols,
        .step = 1,
    };
}

/* One layer, whose router chooses all experts. */
static void
lay_out(bench *b)
{
    const moe_experts_bench *w = b->what;
    size_t params = 3 * (size_t)w->hidden * w->width;
    static const double inverse[HEAD / 2] = {1};
    b->layer = (moe_layer){
        .attention = {.kind = MOE_ATTENTION_HEADS, .heads = 1, .kv_heads = 1, .head_dim = HEAD},
        .ffn = {.kind = MOE_FFN_MOE,
                .matrices = 3,
                .width = (int)w->width,
                .experts = (int)w->experts,
                .top_k = (int)w->experts},
    };
    b->stack = (moe_stack){MOE_STACK_DECODER, 1, 1, &b->layer};
    b->model = (moe_model){.name = "probe",
                           .hidden = (int)w->hidden,
                           .vocab = VOCAB,
                           .n_stacks = 1,
                           .stacks = &b->stack};
    b->arch = (moe_arch){.model = &b->model,
                         .norm_eps = 1e-6f,
                         .score_scale = 1,
                         .router = {.experts = w->experts, .top_k = w->experts, .scale = 1},
                         .rope = {.dim = HEAD, .magnitude = 1, .inverse = inverse}};
    b->layer_weights = (moe_layer_weights){.attention_norm = matrix(b, 0, w->hidden, 1),
                                           .attention = {.q = matrix(b, 0, HEAD, w->hidden),
                                                         .k = matrix(b, 0, HEAD, w->hidden),
                                                         .v = matrix(b, 0, HEAD, w->hidden),
                                                         .o = matrix(b, 0, w->hidden, HEAD)},
                                           .ffn_norm = matrix(b, 0, w->hidden, 1),
                                           .router = matrix(b, 0, w->experts, w->hidden),
                                           .experts = b->experts};
    b->weights = (moe_weights){.arch = &b->arch,
                               .embedding = matrix(b, 0, VOCAB, w->hidden),
                               .final_norm = matrix(b, 0, w->hidden, 1),
                               .unembedding = matrix(b, 0, VOCAB, w->hidden),
                               .layers = &b->layer_weights};
    for (uint32_t e = 0; e < w->experts; e++)
        b->experts[e] =
            (moe_mlp){.gate = matrix(b, e * params, w->width, w->hidden),
                      .up = matrix(b, e * params + params / 3, w->width, w->hidden),
                      .down = matrix(b, e * params + 2 * params / 3, w->hidden, w->width)};
}

/* As many rows, each of which all experts compute. */
static void
spread_rows(bench *b, uint32_t tokens)
{
    uint32_t n = b->what->experts;
    for (uint32_t i = 0; i < tokens; i++) {
        b->token[i] = i % VOCAB;
        b->position[i] = i;
    }
    for (uint32_t e = 0; e < n; e++) {
        b->expert[e] = (uint16_t)e;
        b->member[e] = e;
        b->first[e + 1] = (e + 1) * tokens;
        for (uint32_t i = 0; i < tokens; i++) {
            b->row[e * tokens + i] = i;
            b->weight[e * tokens + i] = 1.0f / (float)(e + 1);
        }
    }
    b->batch = (moe_batch){tokens, b->token, b->slot, b->position, MOE_BATCH_PREFILL};
    b->dispatch = (moe_dispatch){n, b->expert, b->first, b->row, b->weight};
}

/* ---- points ---- */

/* Opens the backend, and fixes the experts' input. */
static bool
prepare(bench *b, uint32_t tokens, GError **error)
{
    const moe_backend_ops *ops = b->what->ops;
    const moe_backend_config config = {
        .max_rows = tokens,
        .max_sequences = 1,
        .max_context = tokens,
        .threads = b->what->threads,
        .device = b->what->device,
    };
    spread_rows(b, tokens);
    b->state = ops->open(&b->weights, &config, error);
    return b->state && ops->embed(b->state, &b->batch, error) &&
           ops->router(b->state, &b->batch, 0, 0, error) &&
           ops->dispatch(b->state, &b->batch, 0, &b->dispatch, error);
}

/* The first problem is kept; without it all further calls go on. */
static double
compute_group(void *context)
{
    bench *b = context;
    const moe_experts_bench *w = b->what;
    g_autoptr(GError) error = NULL;
    double began = moe_measure_now();
    bool good = w->ops->experts(b->state, 0, b->member + b->next, NULL, w->group, &error) &&
                (!w->ops->wait || w->ops->wait(b->state, &error));
    double seconds = moe_measure_now() - began;
    b->next = (b->next + w->group) % w->experts;
    if (!good && !b->error)
        b->error = g_steal_pointer(&error);
    return seconds;
}

static bool
measure_point(const moe_measure *how, bench *b, uint32_t tokens, uint32_t left,
              moe_expert_point *out, GError **error)
{
    bool good = prepare(b, tokens, error);
    if (good)
        *out =
            (moe_expert_point){tokens, b->what->group,
                               moe_measure_repeat(compute_group, b, moe_measure_time(how, left))};
    b->what->ops->close(b->state);
    b->state = NULL;
    if (!b->error)
        return good;
    g_propagate_error(error, g_steal_pointer(&b->error));
    return false;
}

/* Whether a point with so many tokens is likely to take longer than the time for all that are left
 * of its type. */
static bool
is_too_slow(const moe_expert_point *last, uint32_t tokens, double seconds)
{
    const double times = 4; /* the least, with the one for nothing */
    return last->seconds.median * tokens / last->tokens * times > seconds;
}

static bool
measure_points(const moe_measure *how, bench *b, moe_measured_experts *out, GError **error)
{
    const moe_experts_bench *w = b->what;
    for (uint32_t i = 0; i < w->n_tokens; i++) {
        uint32_t tokens = w->tokens[i], left = w->n_tokens - i;
        double done = w->from + w->share * i / w->n_tokens;
        /* what comes behind this type wants its time, too */
        uint32_t ahead = (uint32_t)((1 - done) / w->share * w->n_tokens + 0.5);
        if (i > 1 && is_too_slow(&out->points[i - 1], tokens, left * moe_measure_time(how, ahead)))
            break;
        g_autofree char *what = g_strdup_printf("%s, experts with %u token%s each", w->name, tokens,
                                                tokens == 1 ? "" : "s");
        moe_measure_say(how, what, done);
        if (!measure_point(how, b, tokens, ahead, &out->points[i], error))
            return false;
    }
    return true;
}

/* ---- the whole ---- */

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
moe_measure_experts(const moe_measure *how, const moe_experts_bench *what,
                    moe_measured_experts *out, GError **error)
{
    size_t most = what->tokens[what->n_tokens - 1], choices = most * what->experts;
    size_t params = 3 * (size_t)what->hidden * what->width;
    bench *b = g_new0(bench, 1);
    moe_assert(what->n_tokens < MOE_EXPERT_POINTS && what->experts <= MOST_EXPERTS &&
                   what->experts % what->group == 0,
               "%u points, %u experts by %u", what->n_tokens, what->experts, what->group);
    *out = (moe_measured_experts){.hidden = what->hidden,
                                  .width = what->width,
                                  .weight_bits = (uint32_t)(8 * bytes_of(what->type)),
                                  .params = (double)params};
    b->what = what;
    b->token = g_new0(uint32_t, most);
    b->slot = g_new0(uint32_t, most);
    b->position = g_new0(uint32_t, most);
    b->row = g_new0(uint32_t, choices);
    b->weight = g_new0(float, choices);
    b->block = make_weights(what->experts * params * bytes_of(what->type), error);
    if (b->block)
        lay_out(b);
    bool good = b->block && measure_points(how, b, out, error);
    void *blocks[] = {b->token, b->slot, b->position, b->row, b->weight};
    for (size_t i = 0; i < MOE_COUNT(blocks); i++)
        g_free(blocks[i]);
    free(b->block);
    g_free(b);
    if (good)
        moe_measured_experts_fit(out);
    return good;
}
