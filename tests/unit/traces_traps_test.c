/* The traps of captured routing, each made on purpose. */
#include "tests/test.h"

#include "sim/base/random.h"
#include "traces/import/traps.h"

#include <math.h>

enum { LAYERS = 10, K = 2, EXPERTS = 8, TOKENS = 300 };

/* Tokens of one sequence that keep an expert from token to token; tests spoil them. */
typedef struct made {
    int32_t ids[TOKENS][LAYERS][K];
    float weights[TOKENS][LAYERS][K];
    bool weighted;
    uint32_t alternate; /* rows of so many sequences alternate */
} made;

static void
make(made *m)
{
    moe_stream stream = moe_stream_new(7, "traps", 0);
    memset(m, 0, sizeof *m);
    for (int i = 0; i < TOKENS; i++) {
        for (int l = 0; l < LAYERS; l++) {
            bool stay = i && moe_stream_below(&stream, 2);
            int32_t a = stay ? m->ids[i - 1][l][0] : (int32_t)moe_stream_below(&stream, EXPERTS);
            int32_t b = (a + 1 + (int32_t)moe_stream_below(&stream, EXPERTS - 1)) % EXPERTS;
            m->ids[i][l][0] = a;
            m->ids[i][l][1] = b;
            m->weights[i][l][0] = 0.75f;
            m->weights[i][l][1] = 0.25f;
        }
    }
}

/* Row i of tokens that alternate: each sequence goes on by itself. */
static uint32_t
source(const made *m, uint32_t i)
{
    return m->alternate ? i % m->alternate * (TOKENS / m->alternate) + i / m->alternate : i;
}

typedef struct outcome {
    moe_routing_file *file;
    char *messages, *report;
} outcome;

static outcome
taken(const made *m, const moe_traps_shape *shape, const char *model)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_model_set) set =
        model ? moe_model_load(model, NULL, (moe_loc){0}, diag, NULL) : NULL;
    GString *report = g_string_new(NULL);
    moe_import_options options = {.model = set ? moe_model_get(set) : NULL};
    moe_import_job job = {.paths = (const char *const[]){"x"},
                          .n_paths = 1,
                          .options = &options,
                          .diag = diag,
                          .report = report};
    moe_traps *traps = moe_traps_new(&job, shape);
    moe_routing_builder *builder = NULL;
    for (uint32_t i = 0; traps && i < TOKENS; i++) {
        uint32_t from = source(m, i);
        if (!moe_traps_add(traps, 0, i, MOE_DECODE, &m->ids[from][0][0],
                           m->weighted ? &m->weights[from][0][0] : NULL))
            break;
    }
    if (traps)
        builder = moe_traps_finish(traps);
    outcome o = {.report = g_string_free(report, FALSE)};
    if (builder) {
        CU_ASSERT_TRUE(moe_routing_builder_check(builder, "x", diag));
        o.file = moe_routing_builder_finish(builder, "x");
    }
    CU_ASSERT_EQUAL(o.file == NULL, moe_diag_errors(diag) > 0);
    o.messages = moe_diag_render(diag);
    return o;
}

static void
outcome_clear(outcome *o)
{
    moe_routing_close(o->file);
    g_free(o->messages);
    g_free(o->report);
}

/* ---- spoiling ---- */

static void
nothing(made *m)
{
}

static void
warm_up(made *m)
{
    for (int i = 0; i < 3; i++)
        for (int l = 0; l < LAYERS; l++)
            for (int j = 0; j < K; j++)
                m->ids[i][l][j] = j;
}

static void
fill(made *m, int from, int to, int first_layer, int last_layer, int32_t id)
{
    for (int i = from; i < to; i++)
        for (int l = first_layer; l <= last_layer; l++)
            for (int j = 0; j < K; j++)
                m->ids[i][l][j] = id;
}

static void
padding(made *m)
{
    fill(m, 290, 300, 0, LAYERS - 1, 0);
}

static void
cached(made *m)
{
    fill(m, 10, 30, 0, LAYERS - 1, -1);
}

static void
dense_first(made *m)
{
    fill(m, 0, TOKENS, 0, 1, 0);
}

static void
failed_middle(made *m)
{
    fill(m, 0, TOKENS, 4, 4, 0);
}

static void
failed_partly(made *m)
{
    fill(m, 7, 9, 4, 4, 0);
}

static void
all_zeros(made *m)
{
    fill(m, 0, TOKENS, 0, LAYERS - 1, 0);
}

static void
all_dummies(made *m)
{
    for (int i = 0; i < TOKENS; i++)
        for (int l = 0; l < LAYERS; l++)
            for (int j = 0; j < K; j++)
                m->ids[i][l][j] = j;
}

static void
twice(made *m)
{
    for (int i = 0; i < TOKENS; i++)
        memcpy(m->ids[i][6], m->ids[i][5], sizeof m->ids[i][5]);
}

static void
repeated(made *m)
{
    m->ids[12][3][0] = m->ids[12][3][1] = 5;
}

static void
hole(made *m)
{
    m->ids[12][3][0] = -1;
}

static void
negative(made *m)
{
    m->ids[12][3][1] = -7;
}

static void
large(made *m)
{
    m->ids[12][3][1] = 70000;
}

static void
beyond(made *m)
{
    m->ids[12][3][1] = 9;
}

static void
short_rows(made *m)
{
    m->ids[12][3][1] = -1;
    m->ids[13][3][0] = m->ids[13][3][1] = -1;
    m->ids[14][3][0] = m->ids[14][3][1] = -2;
}

static void
weighted(made *m)
{
    m->weighted = true;
}

static void
not_a_number(made *m)
{
    m->weighted = true;
    m->weights[12][3][1] = NAN;
}

static void
unsorted(made *m)
{
    m->weighted = true;
    m->weights[12][3][0] = 0.25f;
    m->weights[12][3][1] = 0.75f;
}

static void
few_sums(made *m)
{
    m->weighted = true;
    for (int i = 0; i < 5; i++)
        m->weights[i][0][0] = 0.85f;
}

static void
logits(made *m)
{
    m->weighted = true;
    for (int i = 0; i < TOKENS; i++)
        m->weights[i][2][1] = -3;
}

static void
alternate(made *m)
{
    m->alternate = 6;
}

#define SHAPE                                                                                      \
    {                                                                                              \
        .n_layers = LAYERS, .k = K                                                                 \
    }

static const struct {
    const char *name;
    void (*spoil)(made *m);
    moe_traps_shape shape;
    uint32_t n_tokens, n_layers;  /* 0: refused */
    const char *report, *message; /* a part of each; NULL: none at all */
} spoiled[] = {
    {"nothing", nothing, SHAPE, TOKENS, LAYERS, "8 experts, as the largest id is 7\n", NULL},
    {"known experts",
     nothing,
     {.n_layers = LAYERS, .k = K, .n_experts = 300},
     TOKENS,
     LAYERS,
     NULL,
     NULL},
    {"warm-up", warm_up, SHAPE, 297, LAYERS,
     "3 of 300 tokens dropped: experts 0 .. k-1 in every layer, in front of all: warm-up", NULL},
    {"padding", padding, SHAPE, 290, LAYERS, "10 of 300 tokens dropped: zeros in all layers", NULL},
    {"cached", cached, SHAPE, 280, LAYERS, "20 of 300 tokens dropped: no routing in any layer",
     NULL},
    {"cached, with sentinels",
     cached,
     {.n_layers = LAYERS, .k = K, .sentinels = true},
     TOKENS,
     LAYERS,
     "8 experts",
     NULL},
    {"dense first", dense_first, SHAPE, TOKENS, LAYERS - 2,
     "layers 0, 1 dropped: without routing, taken as dense", NULL},
    {"failed middle", failed_middle, SHAPE, 0, 0, NULL,
     "x: error: layer 4 holds no routing in any of 300 tokens: a dense layer (then --model knows "
     "it), or the capture failed there\n"},
    {"failed partly", failed_partly, SHAPE, TOKENS, LAYERS,
     "layer 4: 2 of 300 tokens hold only zeros: taken as not run", NULL},
    {"all zeros", all_zeros, SHAPE, 0, 0, "300 of 300 tokens dropped: zeros in all layers",
     "x: error: no token is left: all their ids are 0, so the capture failed"},
    {"all dummies", all_dummies, SHAPE, 0, 0, NULL,
     "x: error: all 300 tokens name experts 0 .. 1 in every layer: the capture failed"},
    {"twice", twice, SHAPE, TOKENS, LAYERS - 1,
     "layer 6 dropped: equal to layer 5 in all 300 tokens, so it was recorded twice", NULL},
    {"repeated", repeated, SHAPE, 0, 0, NULL,
     "x: error: token 12, layer 3: expert 5 twice in one row; where rows differ in length, unused "
     "slots must say so (-1)"},
    {"hole", hole, SHAPE, 0, 0, NULL,
     "x: error: token 12, layer 3: slot 1 follows an unused one; unused slots come last"},
    {"negative", negative, SHAPE, 0, 0, NULL,
     "x: error: token 12, layer 3: expert -7 is negative, and no sentinel"},
    {"large", large, SHAPE, 0, 0, NULL,
     "x: error: token 12, layer 3: expert 70000 is too large (at most 65533)"},
    {"beyond",
     beyond,
     {.n_layers = LAYERS, .k = K, .n_experts = 8},
     0,
     0,
     NULL,
     "x: error: token 12, layer 3: expert 9, but there are 8 experts"},
    {"short rows", short_rows, SHAPE, TOKENS, LAYERS, "8 experts", NULL},
    {"weighted", weighted, SHAPE, TOKENS, LAYERS, "8 experts, as the largest id is 7\n", NULL},
    {"not a number", not_a_number, SHAPE, 0, 0, NULL,
     "x: error: token 12, layer 3: weight 1 is not a number"},
    {"unsorted", unsorted, SHAPE, TOKENS, LAYERS,
     "ids are not by falling weight in 1 of 3000 rows: order \"file\"", NULL},
    {"few sums", few_sums, SHAPE, TOKENS, LAYERS,
     "weights sum to 1 in 2995 of 3000 rows, in all to 1 .. 1.1: those that do not are suspect",
     NULL},
    {"logits", logits, SHAPE, TOKENS, LAYERS, "weights are negative in 300 of 3000 rows", NULL},
    {"alternate", alternate, SHAPE, TOKENS, LAYERS, "8 experts",
     "earlier: rows of 6 sequences seem to alternate (sequence-first order)"},
    {"no layers", nothing, {.k = K}, 0, 0, NULL, "x: error: 0 layers; 1 .. 4096 can be read"},
    {"no slots", nothing, {.n_layers = LAYERS}, 0, 0, NULL, "0 experts per token and layer; 1 .."},
};

static void
traps(void)
{
    made *m = g_new(made, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(spoiled); i++) {
        make(m);
        spoiled[i].spoil(m);
        outcome o = taken(m, &spoiled[i].shape, NULL);
        const moe_routing *r = o.file ? moe_routing_get(o.file) : NULL;
        MOE_CHECK((r ? r->n_tokens : 0) == spoiled[i].n_tokens, "%s: %s", spoiled[i].name,
                  o.messages);
        MOE_CHECK((r ? r->n_layers : 0) == spoiled[i].n_layers, "%s: %s", spoiled[i].name,
                  o.report);
        MOE_CHECK(spoiled[i].report ? strstr(o.report, spoiled[i].report) != NULL
                                    : *o.report == '\0',
                  "%s: report '%s'", spoiled[i].name, o.report);
        MOE_CHECK(spoiled[i].message ? strstr(o.messages, spoiled[i].message) != NULL
                                     : *o.messages == '\0',
                  "%s: messages '%s'", spoiled[i].name, o.messages);
        outcome_clear(&o);
    }
    g_free(m);
}

/* What stays of a trace that had everything: ids, weights and numbers of layers in their places. */
static void
what_stays(void)
{
    made *m = g_new(made, 1);
    make(m);
    m->weighted = true;
    dense_first(m);
    twice(m);
    padding(m);
    for (int l = 0; l < LAYERS; l++)
        m->weights[50][l][0] = 0.5f + (float)l / 64;
    m->ids[50][9][1] = 290; /* late, and two bytes */
    outcome o = taken(m, &(moe_traps_shape)SHAPE, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o.file);
    const moe_routing *r = moe_routing_get(o.file);
    CU_ASSERT_EQUAL(r->n_experts, 291);
    CU_ASSERT_EQUAL_FATAL(r->n_layers, 7);
    unsigned wrong = 0;
    for (uint32_t layer = 0; layer < 7; layer++) {
        uint32_t from = r->layer_ids[layer];
        wrong += from < 2 || from == 6;
        for (uint32_t i = 0; i < r->n_tokens; i++)
            for (uint32_t j = 0; j < K; j++)
                wrong += moe_routing_id(r, i, layer, j) != (uint32_t)m->ids[i][from][j] ||
                         r->weights[(i * 7 + layer) * K + j] != m->weights[i][from][j];
    }
    MOE_CHECK(wrong == 0, "%u wrong", wrong);
    outcome_clear(&o);
    g_free(m);
}

/* A longer row in the middle: what came before is filled up. */
static void
widened(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) report = g_string_new(NULL);
    moe_import_options options = {.scratch_above = 8};
    moe_import_job job = {.paths = (const char *const[]){"x"},
                          .n_paths = 1,
                          .options = &options,
                          .diag = diag,
                          .report = report};
    moe_traps *traps = moe_traps_new(&job, &(moe_traps_shape){.n_layers = 2, .k = 1});
    for (uint32_t i = 0; i < 100; i++)
        moe_traps_add(traps, 0, i, MOE_DECODE, (const int32_t[]){7, i % 2 ? 9 : -2},
                      (const float[]){1, 2});
    moe_traps_widen(traps, 3);
    moe_traps_add(traps, 0, 100, MOE_DECODE, (const int32_t[]){1, 2, 3, 4, 5, -1},
                  (const float[]){1, 2, 3, 4, 5, 6});
    moe_routing_builder *builder = moe_traps_finish(traps);
    CU_ASSERT_PTR_NOT_NULL_FATAL(builder);
    CU_ASSERT_TRUE_FATAL(moe_routing_builder_check(builder, "x", diag));
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(builder, "x");
    const moe_routing *r = moe_routing_get(file);
    uint16_t ids[3];
    CU_ASSERT_EQUAL(r->k, 3);
    CU_ASSERT_EQUAL(moe_routing_row(r, 40, 0, ids), 1);
    CU_ASSERT_EQUAL(ids[0], 7);
    CU_ASSERT_EQUAL(moe_routing_id(r, 40, 1, 2), MOE_ROUTING_NOT_RUN);
    CU_ASSERT_EQUAL(moe_routing_row(r, 100, 1, ids), 2);
    CU_ASSERT_EQUAL(r->weights[40 * 6 + 3], 0); /* not run: no weight */
    CU_ASSERT_EQUAL(r->weights[41 * 6 + 3], 2);
    CU_ASSERT_EQUAL(r->weights[100 * 6 + 2], 3);
}

/* deepseek-v2-lite: 27 layers, the first dense; 64 experts, top-6. Arrays of all layers or of those
 * with experts get the model's numbers; a layer that the model has experts in, but the file none,
 * is a failed capture. */
static void
layers_of_a_model(void)
{
    static const struct {
        uint32_t n_layers, first, zeros; /* zeros: a layer; MOE_NONE: none */
        const char *message;
    } cases[] = {
        {27, 1, 0, NULL},
        {26, 1, MOE_NONE, NULL},
        {27, 1, 5, "layer 0 of deepseek-v2-lite has no experts, but rows here"},
        {26, 1, 0, "layer 1 holds no routing in any of 60 tokens: the capture failed there"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GString) report = g_string_new(NULL);
        g_autoptr(moe_model_set) set =
            moe_model_load("deepseek-v2-lite", NULL, (moe_loc){0}, diag, NULL);
        moe_import_options options = {.model = moe_model_get(set)};
        moe_import_job job = {.paths = (const char *const[]){"x"},
                              .n_paths = 1,
                              .options = &options,
                              .diag = diag,
                              .report = report};
        moe_stream stream = moe_stream_new(i, "layers", 0);
        int32_t ids[27 * 6];
        moe_traps *traps =
            moe_traps_new(&job, &(moe_traps_shape){.n_layers = cases[i].n_layers, .k = 6});
        for (uint32_t token = 0; token < 60; token++) {
            for (uint32_t j = 0; j < cases[i].n_layers * 6; j++)
                ids[j] = j / 6 == cases[i].zeros
                             ? 0
                             : (int32_t)(j % 6 * 10 + moe_stream_below(&stream, 10));
            moe_traps_add(traps, 0, token, MOE_DECODE, ids, NULL);
        }
        g_autoptr(moe_routing_builder) builder = moe_traps_finish(traps);
        g_autofree char *text = moe_diag_render(diag);
        MOE_CHECK(cases[i].message ? !builder && strstr(text, cases[i].message) : *text == '\0',
                  "case %zu: '%s'", i, text);
        if (!builder)
            continue;
        g_autoptr(moe_routing_file) file =
            moe_routing_builder_finish(g_steal_pointer(&builder), "x");
        const moe_routing *r = moe_routing_get(file);
        CU_ASSERT_EQUAL(r->n_layers, 26);
        CU_ASSERT_EQUAL(r->n_experts, 64);
        CU_ASSERT_EQUAL(r->layer_ids[0], cases[i].first);
        CU_ASSERT_EQUAL(r->layer_ids[25], 26);
    }
}

/* mixtral-8x7b: 32 layers, 8 experts, top-2. */
static void
models(void)
{
    static const uint32_t numbers[] = {0, 32};
    static const struct {
        const char *model;
        moe_traps_shape shape;
        const char *message;
    } refused[] = {
        {"mixtral-8x7b", SHAPE,
         "x: error: 10 layers, but mixtral-8x7b has 32, of them 32 with experts"},
        {"mixtral-8x7b",
         {.n_layers = 32, .k = 3},
         "3 experts per token and layer, but mixtral-8x7b "
         "routes to 2; shared experts are no part"},
        {"mixtral-8x7b",
         {.n_layers = 32, .k = 2, .n_experts = 64},
         "64 experts per layer, but mixtral-8x7b has 8"},
        {"mixtral-8x7b",
         {.n_layers = 2, .k = 2, .layer_ids = numbers},
         "layer 32, but mixtral-8x7b has 32 layers"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        made *m = g_new0(made, 1);
        outcome o = taken(m, &refused[i].shape, refused[i].model);
        MOE_CHECK(!o.file && strstr(o.messages, refused[i].message), "'%s' instead of '%s'",
                  o.messages, refused[i].message);
        outcome_clear(&o);
        g_free(m);
    }
}

MOE_TESTS({"traps", traps}, {"what stays", what_stays}, {"widened", widened}, {"models", models},
          {"layers of a model", layers_of_a_model})
