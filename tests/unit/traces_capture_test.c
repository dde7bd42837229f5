/* What only a capture knows: weights of look-aheads, stage times, similarity of layers. They come
 * through files, shards, snapshots and transforms, or are dropped with a line; damage is said. */
#include "tests/unit/transform_fixture.h"

#include "traces/routing_file.h"
#include "traces/shards.h"
#include "traces/stats/measure.h"
#include "traces/transform/join.h"

#include <glib/gstdio.h>
#include <math.h>

enum { LAYERS = 3, EXPERTS = 8, K = 2, MODEL_LAYERS = 5, STAGES = 2 };

static const uint32_t layer_ids[LAYERS] = {1, 2, 4};
static const char *const stages[STAGES] = {"attention", "experts"};
static const float similarity[LAYERS * 2] = {NAN, NAN, 0.5f, NAN, 0.25f, -0.5f};

static float
time_of(uint32_t step, uint32_t layer, uint32_t stage)
{
    return 1000.0f * (float)(step + 1) + 100.0f * (float)layer + (float)stage;
}

static void
add_token(moe_routing_builder *b, uint32_t i)
{
    uint16_t ids[LAYERS * K], ahead[LAYERS * K];
    float weights[LAYERS * K], ahead_weights[LAYERS * K];
    for (uint32_t l = 0; l < LAYERS; l++) {
        for (uint32_t j = 0; j < K; j++) {
            ids[l * K + j] = (uint16_t)((i + l + j) % EXPERTS);
            weights[l * K + j] = 0.75f - 0.5f * (float)j;
            ahead[l * K + j] = l ? (uint16_t)((i + l + 2 * j) % EXPERTS) : MOE_ROUTING_NO_EXPERT;
            ahead_weights[l * K + j] = l ? 1.0f / (float)(i + l + j + 1) : 0;
        }
    }
    moe_routing_builder_add(b, i % 2, i / 2, i < 4 ? MOE_PREFILL : MOE_DECODE, ids, weights);
    moe_routing_builder_predicted(b, 0, ahead);
    moe_routing_builder_predicted_weights(b, 0, ahead_weights);
    moe_routing_builder_step(b, i / 2);
}

/* A step of two tokens and its times. */
static void
add_step(moe_routing_builder *b, uint32_t step)
{
    float times[MODEL_LAYERS * STAGES];
    add_token(b, 2 * step);
    add_token(b, 2 * step + 1);
    for (uint32_t i = 0; i < MODEL_LAYERS * STAGES; i++)
        times[i] = time_of(step, i / STAGES, i % STAGES);
    moe_routing_builder_times(b, times);
}

static moe_routing_builder *
begun(uint64_t memory)
{
    moe_routing_builder *b = moe_routing_builder_new(LAYERS, EXPERTS, K);
    moe_routing_builder_layers(b, layer_ids);
    if (memory)
        moe_routing_builder_spill(b, NULL, memory);
    moe_routing_builder_lookahead(b, 1, K);
    moe_routing_builder_lookahead_weights(b, 0);
    moe_routing_builder_stages(b, MODEL_LAYERS, stages, STAGES);
    return b;
}

static moe_routing_builder *
made(uint32_t steps)
{
    moe_routing_builder *b = begun(0);
    for (uint32_t i = 0; i < steps; i++)
        add_step(b, i);
    moe_routing_builder_similarity(b, 2, similarity);
    return b;
}

static char *
folder_new(void)
{
    g_autofree char *name = g_build_filename(g_get_tmp_dir(), "moesim-capture-XXXXXX", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(g_mkdtemp(name));
    return g_steal_pointer(&name);
}

static void
folder_free(char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_free(folder);
}

static moe_routing_file *
opened(const char *path)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_routing_file *file = moe_routing_open(path, diag, NULL);
    g_autofree char *text = moe_diag_render(diag);
    MOE_CHECK(file != NULL, "%s", text);
    return file;
}

/* Whether `r` is what made(steps) says. */
static void
check_made(const moe_routing *r, uint32_t steps)
{
    CU_ASSERT_EQUAL_FATAL(r->n_tokens, 2 * steps);
    CU_ASSERT_EQUAL(r->n_time_steps, steps);
    CU_ASSERT_EQUAL(r->n_time_layers, MODEL_LAYERS);
    CU_ASSERT_EQUAL_FATAL(r->n_stages, STAGES);
    CU_ASSERT_STRING_EQUAL(r->stage_names[1], "experts");
    CU_ASSERT_EQUAL_FATAL(r->n_similarity, 2);
    CU_ASSERT_EQUAL(memcmp(r->similarity, similarity, sizeof similarity), 0);
    unsigned wrong = 0;
    for (uint32_t i = 0; i < steps * MODEL_LAYERS * STAGES; i++)
        wrong += r->times[i] !=
                 time_of(i / (MODEL_LAYERS * STAGES), i / STAGES % MODEL_LAYERS, i % STAGES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->lookahead[0].weights);
    for (uint32_t i = 0; i < 2 * steps * LAYERS * K; i++) {
        uint32_t token = i / (LAYERS * K), l = i / K % LAYERS, j = i % K;
        wrong += r->lookahead[0].weights[i] != (l ? 1.0f / (float)(token + l + j + 1) : 0);
    }
    MOE_CHECK(wrong == 0, "%u values", wrong);
}

static void
comes_back(void)
{
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    g_autofree char *index = g_strconcat(path, MOE_SHARDS_SUFFIX, NULL);
    static const uint64_t sizes[] = {UINT64_MAX, 200, 1000};
    g_autoptr(moe_routing_file) built = moe_routing_builder_finish(made(10), "built");
    check_made(moe_routing_get(built), 10);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        uint32_t n;
        CU_ASSERT_TRUE(moe_routing_builder_write_shards(made(10), path, sizes[i], &n, NULL));
        CU_ASSERT_EQUAL(n > 1, i > 0);
        g_autoptr(moe_routing_file) file = opened(n ? index : path);
        if (file)
            check_made(moe_routing_get(file), 10);
    }
    folder_free(folder);
}

/* A snapshot is a trace of what is there; the builder goes on, in memory and in files. */
static void
snapshots(void)
{
    static const uint64_t memories[] = {0, 1, 700};
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    for (size_t m = 0; m < G_N_ELEMENTS(memories); m++) {
        moe_routing_builder *b = begun(memories[m]);
        for (uint32_t step = 0; step < 40; step++) {
            add_step(b, step);
            if (step % 7 != 0 && step != 39)
                continue;
            moe_routing_builder_similarity(b, 2, similarity);
            moe_routing_builder_meta(b, "unfinished", step < 39 ? "yes" : NULL);
            CU_ASSERT_TRUE_FATAL(moe_routing_builder_snapshot(b, path, NULL));
            g_autoptr(moe_routing_file) file = opened(path);
            if (file) {
                check_made(moe_routing_get(file), step + 1);
                CU_ASSERT_EQUAL(moe_routing_meta(file, "unfinished") != NULL, step < 39);
            }
        }
        g_autofree char *snapshot = NULL, *whole = NULL;
        gsize n_snapshot, n_whole;
        CU_ASSERT_TRUE(g_file_get_contents(path, &snapshot, &n_snapshot, NULL));
        CU_ASSERT_TRUE(moe_routing_builder_write(b, path, NULL));
        CU_ASSERT_TRUE(g_file_get_contents(path, &whole, &n_whole, NULL));
        MOE_CHECK(n_snapshot == n_whole && memcmp(snapshot, whole, n_whole) == 0,
                  "%zu bytes, %zu bytes", (size_t)n_snapshot, (size_t)n_whole);
    }
    folder_free(folder);
}

/* Where the snapshot cannot be written, that is said, and the builder still holds everything. */
static void
snapshot_fails(void)
{
    g_autoptr(GError) error = NULL;
    moe_routing_builder *b = made(3);
    CU_ASSERT_FALSE(moe_routing_builder_snapshot(b, "/nonexistent/x.safetensors", &error));
    MOE_CHECK(error && g_str_has_prefix(error->message, "/nonexistent/x.safetensors: "), "%s",
              error ? error->message : "no error");
    add_step(b, 3);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(b, "built");
    check_made(moe_routing_get(file), 4);
}

/* ---- damage ---- */

/* What a file is made of, to be spoilt. */
typedef struct parts {
    moe_tensor tensors[16];
    size_t n;
    moe_meta meta[16];
    size_t n_meta;
} parts;

static moe_tensor *
part(parts *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->tensors[i].name, name) == 0)
            return &p->tensors[i];
    CU_FAIL_FATAL("no such tensor");
    return NULL;
}

static void
stage_names(parts *p, const char *value)
{
    for (size_t i = 0; i < p->n_meta; i++)
        if (strcmp(p->meta[i].key, "stages") == 0)
            p->meta[i].value = value;
}

static void
nan_weight(parts *p)
{
    static float weights[4 * LAYERS * K] = {[9] = NAN};
    part(p, "lookahead.1.weights")->data = weights;
}

static void
other_k(parts *p)
{
    part(p, "lookahead.1.weights")->shape[2] = 1;
}

static void
no_ids(parts *p)
{
    part(p, "lookahead.1.weights")->name = "lookahead.2.weights";
}

static void
few_layers(parts *p)
{
    part(p, "time.stages")->shape[1] = 4;
}

static void
few_steps(parts *p)
{
    part(p, "time.stages")->shape[0] = 1;
}

static void
negative(parts *p)
{
    static float times[2 * MODEL_LAYERS * STAGES] = {[11] = -1};
    part(p, "time.stages")->data = times;
}

static void
no_step(parts *p)
{
    part(p, "step")->name = "other";
}

static void
one_name(parts *p)
{
    stage_names(p, "[\"attention\"]");
}

static void
odd_name(parts *p)
{
    stage_names(p, "[\"attention\",\"Experts\"]");
}

static void
no_names(parts *p)
{
    for (size_t i = 0; i < p->n_meta; i++)
        if (strcmp(p->meta[i].key, "stages") == 0)
            p->meta[i].key = "other";
}

static void
more_than_one(parts *p)
{
    static const float values[LAYERS * 2] = {NAN, NAN, 1.5f, NAN, 0, 0};
    part(p, "similarity")->data = values;
}

static void
no_such_layer(parts *p)
{
    static const float values[LAYERS * 2] = {0, NAN, 0, NAN, 0, NAN};
    part(p, "similarity")->data = values;
}

static void
other_layers(parts *p)
{
    part(p, "similarity")->shape[0] = 2;
}

static void
refuses(void)
{
    static const struct {
        void (*spoil)(parts *p);
        const char *message;
    } cases[] = {
        {nan_weight, "tensor lookahead.1.weights, token 1, layer 1: slot 1 is not finite\n"},
        {other_k, "tensor lookahead.1.weights: is F32 [4, 3, 1], wants F16 or F32 [4, 3, 2] as "
                  "lookahead.1\n"},
        {no_ids, "tensor lookahead.2.weights: the tensor of its ids is absent\n"},
        {few_layers, "tensor time.stages: is F32 [2, 4, 2], wants F32 [steps, layers, stages] with "
                     "layers 5 .. 4096, those of the model, and stages 1 .. 64\n"},
        {few_steps, "tensor step, token 2: 1, but time.stages has 1 steps\n"},
        {negative, "tensor time.stages, step 1, layer 0: stage 1 is no time\n"},
        {no_step, "tensor time.stages: of steps, but tensor step is absent\n"},
        {one_name, "metadata 'stages' names 1 stages, but time.stages has 2\n"},
        {odd_name, "metadata 'stages': stage 1 is no word of at most 16 letters a-z, digits, '_' "
                   "or '-'\n"},
        {no_names, "metadata 'stages' is absent\n"},
        {more_than_one, "tensor similarity, layer 1, distance 1: wants a cosine, -1 .. 1\n"},
        {no_such_layer, "tensor similarity, layer 0, distance 1: wants NaN, as there is no such "
                        "layer\n"
                        "x.safetensors: error: tensor similarity, layer 2, distance 2: wants a "
                        "cosine, -1 .. 1\n"},
        {other_layers, "tensor similarity: is F32 [2, 2], wants F32 [3, 1 .. 4096] (layers, "
                       "distances)\n"},
    };
    char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.safetensors", NULL);
    CU_ASSERT_TRUE_FATAL(moe_routing_builder_write(made(2), path, NULL));
    g_autoptr(moe_diag) none = moe_diag_new();
    g_autoptr(moe_safetensors) good = moe_safetensors_open(path, none, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(good);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        parts p = {.n = moe_safetensors_count(good), .n_meta = moe_safetensors_meta_count(good)};
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autofree char *bad = g_build_filename(folder, "bad.safetensors", NULL), *bytes = NULL;
        gsize n_bytes;
        for (size_t t = 0; t < p.n; t++)
            p.tensors[t] = *moe_safetensors_at(good, t);
        for (size_t m = 0; m < p.n_meta; m++)
            p.meta[m].key = moe_safetensors_meta_at(good, m, &p.meta[m].value);
        cases[i].spoil(&p);
        CU_ASSERT_TRUE(moe_safetensors_write(bad, p.tensors, p.n, p.meta, p.n_meta, NULL));
        CU_ASSERT_TRUE_FATAL(g_file_get_contents(bad, &bytes, &n_bytes, NULL));
        CU_ASSERT_PTR_NULL(moe_routing_open_memory("x.safetensors", bytes, n_bytes, diag));
        g_autofree char *text = moe_diag_render(diag);
        g_autofree char *wanted = g_strconcat("x.safetensors: error: ", cases[i].message, NULL);
        MOE_CHECK(strcmp(text, wanted) == 0, "case %zu: '%s' instead of '%s'", i, text, wanted);
    }
    folder_free(folder);
}

/* ---- transforms ---- */

/* The report of a transform; *file its result. */
static char *
transformed(const char *written, moe_routing_file **file)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_routing_file) in = moe_routing_builder_finish(made(4), "made");
    GString *report = g_string_new(NULL);
    made_steps steps = made_order(written, NULL, diag);
    steps.order.steps = steps.steps;
    moe_routing_builder *b = moe_transform_apply(in, &steps.order, report, NULL, diag);
    made_steps_clear(&steps);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    *file = moe_routing_builder_finish(b, "transformed");
    return g_string_free(report, FALSE);
}

static void
transforms(void)
{
    static const struct {
        const char *written;
        bool kept;
    } cases[] = {
        {"[]", true},
        {"[{kind: anonymise}]", true},
        {"[{kind: top-k, k: 1}]", false},
        {"[{kind: slice, sequences: 1}]", false},
        {"[{kind: slice, layer: 1}]", false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        moe_routing_file *file;
        g_autofree char *report = transformed(cases[i].written, &file);
        const moe_routing *r = moe_routing_get(file);
        MOE_CHECK((r->times != NULL) == cases[i].kept && (r->similarity != NULL) == cases[i].kept,
                  "case %zu: %s", i, report);
        CU_ASSERT_EQUAL(strstr(report, "stage times and similarity dropped") == NULL,
                        cases[i].kept);
        CU_ASSERT_EQUAL(moe_routing_meta(file, "stages") != NULL, cases[i].kept);
        CU_ASSERT_PTR_NOT_NULL(r->lookahead[0].weights);
        if (cases[i].kept)
            check_made(r, 4);
        moe_routing_close(file);
    }
}

/* Weights of a look-ahead go where its ids go. */
static void
weights_follow(void)
{
    moe_routing_file *file;
    g_autofree char *report =
        transformed("[{kind: null-experts, real: 4, renormalise: false}]", &file);
    g_autoptr(moe_routing_file) in = moe_routing_builder_finish(made(4), "made");
    const moe_routing *r = moe_routing_get(file), *from = moe_routing_get(in);
    unsigned wrong = 0, kept = 0;
    for (uint64_t row = 0; row < r->n_tokens * LAYERS; row++) {
        const uint8_t *is = (const uint8_t *)r->lookahead[0].ids + row * K;
        const uint8_t *was = (const uint8_t *)from->lookahead[0].ids + row * K;
        for (uint32_t j = 0; j < K; j++) {
            float weight = r->lookahead[0].weights[row * K + j], before = 0;
            for (uint32_t i = 0; i < K && is[j] != 0xFF; i++)
                before = was[i] == is[j] ? from->lookahead[0].weights[row * K + i] : before;
            kept += is[j] != 0xFF;
            wrong += is[j] == 0xFF ? weight != 0 : weight != before;
        }
    }
    MOE_CHECK(wrong == 0 && kept > 0, "%u of %u wrong", wrong, kept);
    moe_routing_close(file);
}

static void
joins(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) report = g_string_new(NULL);
    g_autoptr(moe_routing_file) a = moe_routing_builder_finish(made(2), "a");
    g_autoptr(moe_routing_file) b = moe_routing_builder_finish(made(3), "b");
    const moe_routing_file *const files[] = {a, b};
    moe_routing_builder *joined = moe_transform_join(files, 2, report, diag);
    CU_ASSERT_PTR_NOT_NULL_FATAL(joined);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(joined, "joined");
    const moe_routing *r = moe_routing_get(file);
    CU_ASSERT_PTR_NULL(r->times);
    CU_ASSERT_STRING_EQUAL(report->str, "stage times and similarity dropped: of each capture\n");
    const float *weights = r->lookahead[0].weights;
    CU_ASSERT_PTR_NOT_NULL_FATAL(weights);
    CU_ASSERT_EQUAL(memcmp(weights + 4 * LAYERS * K, moe_routing_get(b)->lookahead[0].weights,
                           sizeof(float) * 6 * LAYERS * K),
                    0);
}

/* ---- what is shown ---- */

static void
shown(void)
{
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(made(4), "built");
    g_autoptr(GString) text = g_string_new(NULL);
    moe_routing_describe(file, text);
    static const char *const parts_of[] = {
        "look-ahead   1 layer ahead, 2 ids with weights, recall 0.500\n",
        "similarity   of what layers see: 0.375 1 layer apart, -0.500 2 layers apart\n",
        "stage times  4 steps, 0.000108 s: attention 50.0%, experts 50.0%\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(parts_of); i++)
        MOE_CHECK(strstr(text->str, parts_of[i]) != NULL, "no '%s' in\n%s", parts_of[i], text->str);
    CU_ASSERT_PTR_NULL(strstr(text->str, "not used"));
}

static void
measured(void)
{
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(made(4), "built");
    const uint32_t sequences[] = {0, 1};
    moe_pick pick = {.routing = moe_routing_get(file), .sequences = sequences, .n = 2};
    moe_measure_config config = {.groups = 1u << MOE_STATS_capture | 1u << MOE_STATS_lookahead};
    g_autoptr(moe_stats) stats = moe_trace_measure(&pick, &config, NULL, NULL);
    static const struct {
        moe_statistic statistic;
        uint32_t layer;
        const char *parameter;
        double value;
    } cases[] = {
        {MOE_STAT_similarity, 1, "distance=1", 0.5},
        {MOE_STAT_similarity, 2, "distance=2", -0.5},
        {MOE_STAT_similarity, MOE_NONE, "distance=1", 0.375},
        /* steps 0 and 1 are prefill, 2 and 3 decode; layer 2 of the trace is layer 4 */
        {MOE_STAT_stage_time, 2, "prefill experts", 1.901},
        {MOE_STAT_stage_time, 2, "decode attention", 3.9},
        {MOE_STAT_stage_time, MOE_NONE, "prefill attention", 5 * 1.5 + 1},
        {MOE_STAT_lookahead_recall, MOE_NONE, "distance=1", 0.5},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const moe_stat_row *row =
            moe_stats_find(stats, cases[i].statistic, cases[i].layer, cases[i].parameter);
        MOE_CHECK(row && fabs(row->value - cases[i].value) < 1e-9, "case %zu: %g", i,
                  row ? row->value : NAN);
    }
    CU_ASSERT_PTR_NULL(moe_stats_find(stats, MOE_STAT_similarity, 0, "distance=1"));
}

MOE_TESTS({"comes back", comes_back}, {"snapshots", snapshots}, {"snapshot fails", snapshot_fails},
          {"refuses", refuses}, {"transforms", transforms}, {"weights follow", weights_follow},
          {"joins", joins}, {"shown", shown}, {"measured", measured})
