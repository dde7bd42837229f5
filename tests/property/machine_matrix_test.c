/* Every policy against every other, on a small trace: what must hold for any run. */
#include "sim/policy/policy.h"
#include "tests/unit/machine_fixture.h"

#include <math.h>

/* A cell of a row found by its first cell; NULL cells are NAN. */
static double
number(const moe_cell *cell)
{
    return cell->kind == MOE_CELL_INT    ? (double)cell->integer
           : cell->kind == MOE_CELL_REAL ? cell->real
                                         : NAN;
}

static const moe_cell *
metric_row(const moe_result *result, const char *name)
{
    for (size_t t = 0; t < moe_result_tables(result); t++) {
        if (strcmp(moe_result_table(result, t), "metric"))
            continue;
        for (size_t r = 0; r < moe_result_rows(result, t); r++) {
            size_t n;
            const moe_cell *row = moe_result_row(result, t, r, &n);
            if (!strcmp(row[0].text, name))
                return row;
        }
    }
    return NULL;
}

static int64_t
sum_column(const moe_result *result, const char *table, size_t column)
{
    int64_t sum = 0;
    for (size_t t = 0; t < moe_result_tables(result); t++) {
        if (strcmp(moe_result_table(result, t), table))
            continue;
        for (size_t r = 0; r < moe_result_rows(result, t); r++) {
            size_t n;
            sum += moe_result_row(result, t, r, &n)[column].integer;
        }
    }
    return sum;
}

static char *
names(moe_policy_kind kind)
{
    size_t n;
    const moe_variant *const *all = moe_policy_list(kind, &n);
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(out, "%s%s", i ? ", " : "", all[i]->name);
    return g_string_free(out, false);
}

static const char base[] =
    "model: mixtral-8x7b\n"
    "hardware: desktop-rtx4090\n"
    "precision: {experts: int4}\n"
    "routing: {synthetic: {sequences: 3, prompt: 5, output: 6, skew: 0.6, stickiness: 30%,"
    " affinity: 30%, lookahead: 1, recall: 80%}}\n"
    "workload: {requests: 6, prompt: 5, output: 6}\n";

static void
check_run(const moe_scenario *scenario, size_t i)
{
    moe_result *result = moe_scenario_simulate(scenario, i, NULL, NULL, NULL);
    const moe_run *run = moe_scenario_run(scenario, i);
    GString *which = g_string_new(NULL);
    for (size_t k = 0; k < run->n_swept; k++)
        g_string_append_printf(which, "%s=%s ", run->keys[k], run->values[k]);
    const moe_cell *wall = metric_row(result, "wall_s");
    double took = number(&wall[1]);
    for (size_t b = 3; b < 6; b++) {
        double bound = number(&wall[b]);
        MOE_CHECK(isnan(bound) || bound <= took * (1 + 1e-9),
                  "%s: bound %zu of %.12g s, took %.12g s", which->str, b - 3, bound, took);
    }
    int64_t blamed = sum_column(result, "blame", 3), device = sum_column(result, "device", 2);
    MOE_CHECK(blamed == device && device > 0, "%s: blame of %lld ps over a wall of %lld ps",
              which->str, (long long)blamed, (long long)device);
    MOE_CHECK(moe_result_metric(result, "hit_rate") <= 1, "%s: hit rate %g", which->str,
              moe_result_metric(result, "hit_rate"));
    g_string_free(which, true);
    moe_result_free(result);
}

static void
check_scenario(const char *more)
{
    g_autofree char *text = g_strconcat(base, more, NULL);
    g_autoptr(moe_scenario) scenario = fixture_load(text);
    MOE_CHECK(scenario != NULL, "%s", more);
    for (size_t i = 0; scenario && i < moe_scenario_runs(scenario); i++)
        check_run(scenario, i);
}

static void
every_policy(void)
{
    g_autofree char *evict = names(MOE_POLICY_EVICT), *predict = names(MOE_POLICY_PREDICT);
    g_autofree char *prefetch = names(MOE_POLICY_PREFETCH), *serve = names(MOE_POLICY_SERVE);
    g_autofree char *more = g_strdup_printf("experts: {home: dram}\n"
                                            "sweep:\n"
                                            "  experts.cache.evict: [%s]\n"
                                            "  experts.predict.kind: [%s]\n"
                                            "  experts.prefetch.kind: [%s]\n"
                                            "  experts.serve.kind: [%s]\n"
                                            "  experts.cache.capacity: [12.5%%, 50%%]\n",
                                            evict, predict, prefetch, serve);
    check_scenario(more);
}

static void
every_knob(void)
{
    check_scenario("experts: {home: dram}\n"
                   "sweep:\n"
                   "  experts.prefetch.kind: [none, next-layer, whole-next-layer]\n"
                   "  experts.serve.kind: [load, host]\n"
                   "  experts.cache.scope: [model, layer]\n"
                   "  experts.cache.capacity: [1 slots, 3 slots, 75%]\n"
                   "  experts.retention: [cache, none]\n"
                   "  experts.granularity: [layer, expert]\n"
                   "  experts.join: [demanded, wanted]\n"
                   "  workload.batch: [1, 3]\n"
                   "  workload.warmup: [0, 1]\n"
                   "  overhead.gate: [0, 200us]\n"
                   "  overhead.prefetch: [0, 300us]\n");
}

static void
three_tiers(void)
{
    check_scenario("experts: {home: flash, staging: [{place: dram, capacity: 50%}]}\n"
                   "sweep:\n"
                   "  experts.prefetch.kind: [none, next-layer, whole-next-layer]\n"
                   "  experts.cache.capacity: [2 slots, 25%]\n"
                   "  experts.staging.0.capacity: [3 slots, 50%]\n"
                   "  experts.staging.0.evict: [lru, arc]\n"
                   "  experts.granularity: [layer, expert]\n"
                   "  workload.batch: [1, 3]\n");
}

/* Pruned, merged and capped routing, and experts that never leave. */
static void
transformed(void)
{
    check_scenario(
        "experts: {home: dram, cache: {capacity: 50%}}\n"
        "sweep:\n"
        "  routing.transform: [[{kind: mask, keep: 4}], [{kind: remap, from: groups, groups: 4}],\n"
        "                      [{kind: capacity, factor: 0.5, drop: random}]]\n"
        "  experts.cache.pin: [[], [{layer: 3, expert: 1}, {layer: 9, expert: 0}]]\n"
        "  experts.cache.scope: [model, layer]\n"
        "  experts.cache.evict: [lru, belady, arc]\n"
        "  experts.prefetch.kind: [none, next-layer, whole-next-layer]\n"
        "  experts.retention: [cache, none]\n"
        "  experts.granularity: [layer, expert]\n"
        "  experts.join: [demanded, wanted]\n"
        "  workload.batch: [1, 3]\n");
}

static void
without_offloading(void)
{
    check_scenario("sweep:\n"
                   "  precision.experts: [int2, int3]\n"
                   "  workload.batch: [1, 2, 3]\n");
}

static const char *const libraries[] = {"", "  kernels: [vllm-0.24, infersim]\n"};

/* Sparse and linear attention: as they ship, with and without a library of kernels. */
static void
every_attention(void)
{
    for (size_t k = 0; k < MOE_COUNT(libraries); k++) {
        g_autofree char *more = g_strconcat(
            "experts: {home: dram, cache: {capacity: 10%, scope: model}, "
            "prefetch: {kind: next-layer}}\n"
            "sweep:\n"
            "  model: [deepseek-v3.2, qwen3-next-80b-a3b, jamba-v0.1, granite-4.0-h-small]\n"
            "  hardware: [server-h200]\n"
            "  workload.batch: [1, 3]\n",
            libraries[k], NULL);
        check_scenario(more);
    }
}

/* Models that do little else than attend, by arithmetic of other widths than the activations'. */
static void
attention_alone(void)
{
    static const char *const layers[] = {
        "attention: {heads: 1, head_dim: 16, index_heads: 64, index_dim: 128, index_top_k: 16}",
        "attention: {heads: 64, head_dim: 128}",
        "attention: {kind: mla, heads: 64, kv_lora: 512, nope_dim: 128, rope_dim: 64, "
        "value_dim: 128}",
        "attention_every: 16\n    attention_offset: 15\n"
        "    linear: {kind: lightning, heads: 64, key_dim: 128, value_dim: 128, chunk: 1024}",
    };
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "model.yaml", NULL);

    for (size_t i = 0; i < MOE_COUNT(layers) * MOE_COUNT(libraries); i++) {
        g_autofree char *model =
            g_strdup_printf("hidden: 16\nvocab: 16\nstacks:\n  - layers: 2\n    %s\n"
                            "    moe: {experts: 2, top_k: 1, width: 16}\n",
                            layers[i / MOE_COUNT(libraries)]);
        MOE_CHECK(g_file_set_contents(file, model, -1, NULL), "%s", file);
        g_autofree char *more =
            g_strdup_printf("sweep:\n"
                            "  model: [%s]\n"
                            "  hardware: [server-h200]\n"
                            "  routing: [{synthetic: {sequences: 1, prompt: 16384, output: 1}}]\n"
                            "  workload.prompt: [16384]\n"
                            "  workload.requests: [1]\n"
                            "  workload.output: [1]\n"
                            "  precision.kv: [bf16, fp8]\n"
                            "  precision.activations: [f32, bf16, fp8]\n%s",
                            file, libraries[i % MOE_COUNT(libraries)]);
        check_scenario(more);
    }
    g_remove(file);
    g_rmdir(folder);
}

/* The same run gives the same rows. */
static void
same_twice(void)
{
    g_autofree char *text =
        g_strconcat(base, "experts: {home: dram, prefetch: {kind: next-layer}}\n", NULL);
    g_autoptr(moe_scenario) scenario = fixture_load(text);
    MOE_CHECK(scenario != NULL, "the scenario loads");
    if (!scenario)
        return;
    moe_result *a = moe_scenario_simulate(scenario, 0, NULL, NULL, NULL);
    moe_result *b = moe_scenario_simulate(scenario, 0, NULL, NULL, NULL);
    for (size_t t = 0; t < moe_result_tables(a); t++) {
        MOE_CHECK(moe_result_rows(a, t) == moe_result_rows(b, t), "table %s",
                  moe_result_table(a, t));
        for (size_t r = 0; r < moe_result_rows(a, t); r++) {
            size_t n, m;
            const moe_cell *x = moe_result_row(a, t, r, &n), *y = moe_result_row(b, t, r, &m);
            for (size_t c = 0; c < n; c++)
                MOE_CHECK(x[c].kind == y[c].kind &&
                              (x[c].kind == MOE_CELL_TEXT ? !strcmp(x[c].text, y[c].text)
                                                          : x[c].integer == y[c].integer),
                          "table %s, row %zu, column %zu", moe_result_table(a, t), r, c);
        }
    }
    moe_result_free(a);
    moe_result_free(b);
}

MOE_TESTS({"every policy against every other", every_policy}, {"every knob", every_knob},
          {"three tiers", three_tiers}, {"transformed", transformed},
          {"without offloading", without_offloading}, {"every attention", every_attention},
          {"attention alone", attention_alone}, {"the same run twice", same_twice})
