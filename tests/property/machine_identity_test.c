/* A run's identity: the same for every spelling, another for every key that can change a result.
 * And runs that do not see each other. */
#include "tests/unit/machine_fixture.h"

#define ROUTING "routing: {synthetic: {sequences: 3, prompt: 2, output: 5, lookahead: 1}}\n"
#define MIXTRAL                                                                                    \
    "model: mixtral-8x7b\n"                                                                        \
    "hardware: desktop-rtx4090\n"                                                                  \
    "precision: {experts: int4}\n" ROUTING
#define IN_DRAM MIXTRAL "experts: {home: dram}\n"
#define MASKED                                                                                     \
    "model: mixtral-8x7b\n"                                                                        \
    "hardware: desktop-rtx4090\n"                                                                  \
    "precision: {experts: int4}\n"                                                                 \
    "routing: {synthetic: {sequences: 3, prompt: 2, output: 5},\n"                                 \
    "          transform: [{kind: mask, keep: 4}]}\n"                                              \
    "experts: {home: dram}\n"
#define NULLS                                                                                      \
    "model: mixtral-8x7b\n"                                                                        \
    "hardware: desktop-rtx4090\n"                                                                  \
    "precision: {experts: int4}\n"                                                                 \
    "routing: {synthetic: {sequences: 3, prompt: 2, output: 5, experts: 9, logits: 1},\n"          \
    "          transform: [{kind: null-experts, real: 8}]}\n"                                      \
    "experts: {home: dram}\n"
#define SWITCH                                                                                     \
    "model: switch-base-8\n"                                                                       \
    "hardware: desktop-rtx4090\n" ROUTING "workload: {encoder: 1ms}\n"

/* The identity of the scenario's first run, with one key set as on the command line; yours. */
static char *
identity_of(const char *text, const char *key, const char *value)
{
    moe_override override = {key, value};
    g_autofree char *messages = NULL;
    g_autoptr(moe_scenario) scenario = fixture_scenario(text, &override, key ? 1 : 0, &messages);
    MOE_CHECK(scenario, "%s%s=%s\n%s", text, key ? key : "", value ? value : "", messages);
    return g_strdup(scenario ? moe_scenario_run(scenario, 0)->identity : "");
}

static void
spellings(void)
{
    static const char *const pairs[][2] = {
        {MIXTRAL "experts: {home: dram, cache: {capacity: 25%}}\n",
         MIXTRAL "experts: {home: dram, cache: {capacity: 0.25}}\n"},
        {MIXTRAL "experts: {home: dram, cache: {capacity: 30%}}\n",
         MIXTRAL "experts: {cache: {capacity: 0.3}, home: dram}\n"},
        {MIXTRAL "experts: {home: dram, cache: {evict: fifo}}\n",
         MIXTRAL "experts:\n  home: \"dram\" # quoted\n  cache:\n    evict: {kind: fifo}\n"},
        {IN_DRAM "overhead: {layer: 1ms}\n", IN_DRAM "overhead: {layer: 1000us, step: 0}\n"},
        {IN_DRAM, "routing: {synthetic: {output: 5, lookahead: 1, prompt: 2, sequences: 3}}\n"
                  "experts: {home: dram}\n"
                  "precision: {experts: int4}\n"
                  "hardware: desktop-rtx4090\n"
                  "model: mixtral-8x7b\n"},
        /* written, but as by default */
        {IN_DRAM, IN_DRAM "workload: {batch: 1, prompt: recorded}\nseed: 1\n"},
        {IN_DRAM,
         MIXTRAL "experts: {home: dram, prefetch: {kind: none}, predict: {kind: oracle}}\n"},
        /* no part of a run */
        {IN_DRAM, IN_DRAM "name: another\nstore: all\ninfeasible: skip\n"},
        {IN_DRAM, IN_DRAM "expect: []\nplot: []\n"},
        /* a sweep's run is the run that its values make */
        {IN_DRAM "workload: {batch: 2}\n", IN_DRAM "sweep: {workload.batch: [2, 3]}\n"},
        {IN_DRAM "workload: {batch: 2}\nseed: 3\n",
         IN_DRAM "zip: {seed: [3, 4], workload.batch: [2, 1]}\n"},
    };
    for (size_t i = 0; i < MOE_COUNT(pairs); i++) {
        g_autofree char *a = identity_of(pairs[i][0], NULL, NULL);
        g_autofree char *b = identity_of(pairs[i][1], NULL, NULL);
        MOE_CHECK(strlen(a) == 64 && !strcmp(a, b), "%zu: %s\n%snot the same as\n%s", i, a,
                  pairs[i][0], pairs[i][1]);
    }
}

/* For each key that is part of a run's identity, a value other than its default. */
static const struct {
    const char *key, *value, *text;
} others[] = {
    {"label", "a", IN_DRAM},
    {"seed", "2", IN_DRAM},
    {"precision.weights", "fp8", IN_DRAM},
    {"precision.experts", "int3", IN_DRAM},
    {"precision.kv", "fp8", IN_DRAM},
    {"precision.activations", "fp8", IN_DRAM},
    {"routing.synthetic.sequences", "4", IN_DRAM},
    {"routing.synthetic.prompt", "3", IN_DRAM},
    {"routing.synthetic.output", "6", IN_DRAM},
    {"routing.synthetic.experts", "10", NULLS},
    {"routing.synthetic.top_k", "3", NULLS},
    {"routing.synthetic.domains", "2", IN_DRAM},
    {"routing.synthetic.modalities", "2", IN_DRAM},
    {"routing.synthetic.logits", "0.5", IN_DRAM},
    {"routing.synthetic.taste", "5%", NULLS},
    {"routing.synthetic.drift", "5%", NULLS},
    {"routing.synthetic.skew", "0.5", IN_DRAM},
    {"routing.synthetic.stickiness", "5%", IN_DRAM},
    {"routing.synthetic.affinity", "5%", IN_DRAM},
    {"routing.synthetic.lookahead", "2", IN_DRAM},
    {"routing.synthetic.recall", "99%", IN_DRAM},
    {"routing.transform", "[{kind: mask, keep: 7}]", IN_DRAM},
    {"routing.transform.0.kind", "slice", MASKED},
    {"routing.transform.0.keep", "5", MASKED},
    {"routing.transform.0.profile", "40%", MASKED},
    {"routing.profile", "11%", IN_DRAM},
    {"workload.requests", "2", IN_DRAM},
    {"workload.prompt", "2", IN_DRAM},
    {"workload.output", "5", IN_DRAM},
    {"workload.batch", "2", IN_DRAM},
    {"workload.warmup", "1", IN_DRAM},
    {"workload.prefill", "from-decode", IN_DRAM},
    {"workload.encoder", "2ms", SWITCH},
    {"overhead.layer", "1ns", IN_DRAM},
    {"overhead.step", "1ns", IN_DRAM},
    {"overhead.experts", "1ns", IN_DRAM},
    {"overhead.gate", "1ns", IN_DRAM},
    {"overhead.prefetch", "1ns", IN_DRAM},
    {"overhead.pageable", "true", IN_DRAM},
    {"overhead.graphs", "true", IN_DRAM},
    {"experts.home", "flash", IN_DRAM},
    {"experts.cache.place", "hbm", IN_DRAM},
    {"experts.cache.capacity", "26%", IN_DRAM},
    {"experts.cache.scope", "layer", IN_DRAM},
    {"experts.cache.evict", "fifo", IN_DRAM},
    {"experts.cache.pin", "[{layer: 1, expert: 2}]", IN_DRAM},
    {"experts.cache.pin.0.layer", "2",
     MIXTRAL "experts: {home: dram, cache: {pin: [{layer: 1, expert: 2}]}}\n"},
    {"experts.cache.pin.0.expert", "3",
     MIXTRAL "experts: {home: dram, cache: {pin: [{layer: 1, expert: 2}]}}\n"},
    {"experts.staging", "[{place: dram}]", MIXTRAL "experts: {home: flash}\n"},
    {"experts.staging.0.capacity", "49%",
     MIXTRAL "experts: {home: flash, staging: [{place: dram}]}\n"},
    {"experts.staging.0.scope", "layer",
     MIXTRAL "experts: {home: flash, staging: [{place: dram}]}\n"},
    {"experts.staging.0.evict", "fifo",
     MIXTRAL "experts: {home: flash, staging: [{place: dram}]}\n"},
    {"experts.retention", "none", IN_DRAM},
    {"experts.granularity", "expert", IN_DRAM},
    {"experts.join", "wanted", IN_DRAM},
    {"experts.predict.kind", "recorded", IN_DRAM},
    {"experts.prefetch.kind", "next-layer", IN_DRAM},
    {"experts.prefetch.budget", "1",
     MIXTRAL "experts: {home: dram, prefetch: {kind: next-layer}}\n"},
    {"experts.cache.evict.small", "11%", MIXTRAL "experts: {home: dram, cache: {evict: s3fifo}}\n"},
    {"experts.serve.kind", "host", IN_DRAM},
    {"model", "phi-3.5-moe",
     "model: mixtral-8x7b\nhardware: server-h100\nprecision: {experts: int2}\n"
     "routing: {synthetic: {sequences: 1, prompt: 2, output: 5}}\nexperts: {home: dram}\n"},
    {"hardware", "desktop-rtx3090", IN_DRAM},
    {"kernels", "trtllm-1.3", IN_DRAM},
    {"kernels", "own",
     "model: mixtral-8x7b\nhardware: server-h100\nprecision: {experts: int2}\n"
     "routing: {synthetic: {sequences: 1, prompt: 2, output: 5}}\nexperts: {home: dram}\n"},
    {"energy.mode", "board", IN_DRAM},
    {"price.per_hour", "2", IN_DRAM},
    {"price.energy_per_kwh", "0.3", IN_DRAM "energy: {mode: device}\n"},
    {"price.currency", "EUR", IN_DRAM},
};

static void
each_key_counts(void)
{
    g_autoptr(GHashTable) met = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < MOE_COUNT(others); i++) {
        g_autofree char *before = identity_of(others[i].text, NULL, NULL);
        char *after = identity_of(others[i].text, others[i].key, others[i].value);
        MOE_CHECK(strcmp(before, after) != 0, "%s: %s changes nothing", others[i].key,
                  others[i].value);
        MOE_CHECK(strcmp(others[i].text, IN_DRAM) != 0 || g_hash_table_add(met, g_strdup(after)),
                  "%s: %s gives an identity that another key gave", others[i].key, others[i].value);
        g_free(after);
    }
}

/* Every row that says it is part of the identity is among them. */
static void
all_keys_are_tried(void)
{
    for (size_t r = 0; r < moe_config_table.n_rows; r++) {
        const moe_param *row = &moe_config_table.rows[r];
        bool one_value = row->type == MOE_PARAM_ENUM && !strchr(row->choices, '|');
        bool apart = !strcmp(row->key, "experts.staging.*.place") ||
                     !strcmp(row->key, "batching"); /* see batching_counts */
        bool found = !(row->flags & MOE_PARAM_IDENTITY) || one_value || apart;
        g_auto(GStrv) parts = g_strsplit(row->key, "*", 0);
        g_autofree char *key = g_strjoinv("0", parts);
        for (size_t i = 0; i < MOE_COUNT(others); i++)
            found |= !strcmp(others[i].key, key);
        MOE_CHECK(found, "no test changes '%s'", row->key);
    }
}

/* ---- what is read from files counts by what it holds ---- */

static void
write_trace(const char *path, uint64_t seed)
{
    moe_routing_builder *builder = moe_routing_builder_new(32, 8, 2);
    moe_stream stream = moe_stream_new(seed, "identity", 0);
    fixture_trace shape = {32, 8, 2, "", 0, 0};
    uint16_t ids[64];
    for (uint32_t t = 0; t < 6; t++) {
        fixture_ids(&shape, &stream, ids);
        moe_routing_builder_add(builder, t / 3, t % 3, MOE_DECODE, ids, NULL);
        moe_routing_builder_step(builder, t);
    }
    g_autoptr(GError) error = NULL;
    MOE_CHECK(moe_routing_builder_write(builder, path, &error), "%s", error->message);
}

static void
traces_by_content(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    static const char *const names[] = {"a.safetensors", "b.safetensors", "c.safetensors"};
    static const uint64_t seeds[] = {1, 1, 2};
    char *identities[3];
    for (size_t i = 0; i < 3; i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        g_autofree char *text = g_strdup_printf("model: mixtral-8x7b\n"
                                                "hardware: desktop-rtx4090\n"
                                                "precision: {experts: int4}\n"
                                                "routing: {trace: %s}\n"
                                                "experts: {home: dram}\n",
                                                path);
        write_trace(path, seeds[i]);
        identities[i] = identity_of(text, NULL, NULL);
        g_unlink(path);
    }
    MOE_CHECK(!strcmp(identities[0], identities[1]), "a copy of a trace is another trace");
    MOE_CHECK(strcmp(identities[0], identities[2]) != 0, "other routing is the same");
    for (size_t i = 0; i < 3; i++)
        g_free(identities[i]);
    g_rmdir(folder);
}

/* Steps as the trace has them are another run, even where they come out the same. */
static void
batching_counts(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "a.safetensors", NULL);
    g_autofree char *text = g_strdup_printf("model: mixtral-8x7b\n"
                                            "hardware: desktop-rtx4090\n"
                                            "precision: {experts: int4}\n"
                                            "routing: {trace: %s}\n"
                                            "experts: {home: dram}\n",
                                            path);
    write_trace(path, 1);
    g_autofree char *slots = identity_of(text, NULL, NULL);
    g_autofree char *captured = identity_of(text, "batching", "as-captured");
    MOE_CHECK(strlen(captured) == 64 && strcmp(slots, captured) != 0, "%s, %s", slots, captured);
    g_unlink(path);
    g_rmdir(folder);
}

static void
machines_by_content(void)
{
    static const char *const changes[][2] = {
        {"", ""},
        {"name: desktop-rtx4090", "name: desktop-rtx4090 "},
        {"# GDDR6X", "# memory"},
        {"capacity: {value: 128GiB", "capacity: {value: 256GiB"},
        {"latency: {value: 11.4us, basis: derived", "latency: {value: 11.5us, basis: derived"},
        {"value: 26.51GB/s, basis: derived", "value: 26.52GB/s, basis: derived"},
    };
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL), *preset = NULL;
    g_autofree char *path = g_build_filename(folder, "box.yaml", NULL);
    g_file_get_contents(MOE_SOURCE_DIR "/hw/presets/desktop-rtx4090.yaml", &preset, NULL, NULL);
    g_autofree char *text =
        g_strdup_printf("model: mixtral-8x7b\n"
                        "hardware: %s\n"
                        "precision: {experts: int4}\n" ROUTING "experts: {home: dram}\n",
                        path);
    g_autofree char *original = identity_of(IN_DRAM, NULL, NULL);
    for (size_t i = 0; i < MOE_COUNT(changes); i++) {
        g_auto(GStrv) parts = g_strsplit(preset, *changes[i][0] ? changes[i][0] : "\f", 2);
        g_autofree char *changed = g_strjoinv(changes[i][1], parts);
        MOE_CHECK(i == 0 || parts[1], "the preset has no '%s'", changes[i][0]);
        g_file_set_contents(path, changed, -1, NULL);
        g_autofree char *identity = identity_of(text, NULL, NULL);
        bool same = !strcmp(identity, original);
        MOE_CHECK(same == (i < 3), "%s is %s", changes[i][1], same ? "the same" : "another");
    }
    g_unlink(path);
    g_rmdir(folder);
}

static void
transforms_by_content(void)
{
    static const char *const tables[] = {"layer,expert\n*,1\n*,2\n", "layer,expert\n*,1\n*,2\n",
                                         "layer,expert\n*,1\n*,3\n"};
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "keep.csv", NULL);
    g_autofree char *value = g_strdup_printf("[{kind: mask, from: file, file: %s}]", path);
    char *identities[3];
    for (size_t i = 0; i < 3; i++) {
        g_file_set_contents(path, tables[i], -1, NULL);
        identities[i] = identity_of(IN_DRAM, "routing.transform", value);
    }
    MOE_CHECK(!strcmp(identities[0], identities[1]), "the same set is another set");
    MOE_CHECK(strcmp(identities[0], identities[2]) != 0, "another set is the same");
    for (size_t i = 0; i < 3; i++)
        g_free(identities[i]);
    g_unlink(path);
    g_rmdir(folder);
}

/* ---- runs beside each other ---- */

static bool
same_rows(const moe_result *a, const moe_result *b)
{
    if (moe_result_tables(a) != moe_result_tables(b))
        return false;
    for (size_t t = 0; t < moe_result_tables(a); t++) {
        if (moe_result_rows(a, t) != moe_result_rows(b, t))
            return false;
        for (size_t r = 0; r < moe_result_rows(a, t); r++) {
            size_t n, m;
            const moe_cell *x = moe_result_row(a, t, r, &n), *y = moe_result_row(b, t, r, &m);
            for (size_t c = 0; c < n; c++)
                if (x[c].kind != y[c].kind ||
                    (x[c].kind == MOE_CELL_TEXT ? strcmp(x[c].text, y[c].text) != 0
                                                : x[c].integer != y[c].integer))
                    return false;
        }
    }
    return true;
}

typedef struct worker {
    const moe_scenario *scenario;
    moe_result **results;
    size_t first; /* takes every second run from here on */
} worker;

static void *
work(void *data)
{
    const worker *w = data;
    for (size_t i = w->first; i < moe_scenario_runs(w->scenario); i += 2)
        w->results[i] = moe_scenario_simulate(w->scenario, i, NULL, NULL, NULL);
    return NULL;
}

static const char *const shared[] = {
    MIXTRAL "store: all\n"
            "experts: {home: dram}\n"
            "sweep:\n"
            "  experts.cache.evict: [lru, belady]\n"
            "  experts.prefetch.kind: [none, next-layer]\n"
            "  experts.serve.kind: [load, host]\n"
            "  experts.cache.capacity: [3 slots, 0.25]\n"
            "  workload.batch: [1, 3]\n",
    MIXTRAL "store: all\n"
            "experts: {home: flash, staging: [{place: dram, capacity: 0.5}]}\n"
            "sweep:\n"
            "  experts.prefetch.kind: [whole-next-layer, window]\n"
            "  experts.predict.kind: [markov, popularity, recorded]\n"
            "  seed: [1, 2]\n",
};

/* Two threads, each with every second run of two scenarios, against one run after another. */
static void
threads(void)
{
    for (size_t s = 0; s < MOE_COUNT(shared); s++) {
        g_autoptr(moe_scenario) scenario = fixture_load(shared[s]);
        g_autoptr(moe_scenario) again = fixture_load(shared[s]);
        if (!scenario || !again)
            continue;
        size_t n = moe_scenario_runs(scenario);
        g_autofree moe_result **results = g_new0(moe_result *, n);
        worker even = {scenario, results, 0}, odd = {scenario, results, 1};
        GThread *first = g_thread_new("even", work, &even),
                *second = g_thread_new("odd", work, &odd);
        g_thread_join(first);
        g_thread_join(second);
        for (size_t i = n; i-- > 0;) {
            moe_result *alone = moe_scenario_simulate(again, i, NULL, NULL, NULL);
            MOE_CHECK(same_rows(results[i], alone), "scenario %zu, run %zu", s, i);
            moe_result_free(alone);
            moe_result_free(results[i]);
        }
    }
}

MOE_TESTS({"spellings", spellings}, {"each key counts", each_key_counts},
          {"all keys are tried", all_keys_are_tried}, {"traces by content", traces_by_content},
          {"batching counts", batching_counts}, {"transforms by content", transforms_by_content},
          {"machines by content", machines_by_content}, {"threads", threads})
