#include "analysis/expect.h"
#include "tests/test.h"

#include <glib/gstdio.h>

static const char *const metrics[] = {"speed", "delay"}, *const units[] = {"tokens/s", "s"};
static const char *const keys[] = {"evict", "batch", "label"};

/* speed: lru 10, 20; lfu 15, 24. delay (s): a tenth of that. */
static const struct {
    const char *identity, *values[3];
    double speed;
} runs[] = {
    {"a", {"lru", "1", "L"}, 10},
    {"b", {"lru", "2", "L"}, 20},
    {"c", {"lfu", "1", "F"}, 15},
    {"d", {"lfu", "2", "F"}, 24},
};

static char *path;

static void
fill(moe_store *store)
{
    for (size_t i = 0; i < MOE_COUNT(runs); i++) {
        moe_result *result = moe_result_new();
        for (size_t m = 0; m < MOE_COUNT(metrics); m++) {
            moe_cell cells[] = {moe_text(metrics[m]), moe_real(runs[i].speed / (m ? 10 : 1)),
                                moe_text(units[m]),   moe_null(),
                                moe_null(),           moe_null()};
            moe_result_add(result, "metric", cells, MOE_COUNT(cells));
        }
        moe_store_run run = {.identity = runs[i].identity,
                             .scenario = "s",
                             .path = "p",
                             .version = "1",
                             .source = "x",
                             .host = "h",
                             .n_swept = 3,
                             .keys = keys,
                             .values = runs[i].values};
        CU_ASSERT(moe_store_add(store, &run, result, NULL));
        moe_result_free(result);
    }
}

static moe_store *
open_store(void)
{
    if (path)
        return moe_store_open(path, MOE_STORE_WRITE, NULL);
    g_autofree char *folder = g_dir_make_tmp("moe-expect-XXXXXX", NULL);
    path = g_build_filename(folder, "e.db", NULL);
    moe_store *store = moe_store_open(path, MOE_STORE_WRITE, NULL);
    fill(store);
    return store;
}

static moe_frame *
frame_of_runs(void)
{
    moe_frame *frame = moe_frame_new();
    for (size_t i = 0; i < MOE_COUNT(runs); i++)
        moe_frame_add(frame, runs[i].identity, keys, runs[i].values, 3);
    return frame;
}

static bool
as_written(void *context, const char *key, const moe_yaml *value, moe_loc at,
           const char **canonical_key, char **canonical_value, moe_diag *diag)
{
    *canonical_key = key;
    *canonical_value = g_strdup(value->text);
    return true;
}

typedef struct outcome {
    char *messages, *report;
    unsigned missed;
} outcome;

static outcome
evaluate(const char *yaml, bool partial)
{
    outcome o = {0};
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("e.yaml", yaml, strlen(yaml), diag);
    g_autoptr(moe_frame) frame = frame_of_runs();
    moe_section_view view = {frame, metrics, units, MOE_COUNT(metrics), as_written, NULL, partial};
    g_autoptr(moe_expectations) all = moe_expect_read(doc ? moe_yaml_root(doc) : NULL, &view, diag);
    o.messages = moe_diag_render(diag);
    GString *report = g_string_new(NULL);
    if (!*o.messages) {
        g_autoptr(moe_store) store = open_store();
        CU_ASSERT(moe_expect_evaluate(all, store, "s", NULL));
        moe_expect_report(all, report);
        o.missed = moe_expect_missed(all);
    }
    o.report = g_string_free(report, FALSE);
    return o;
}

static void
outcome_clear(outcome *o)
{
    g_free(o->messages);
    g_free(o->report);
}

#define BASIS ", basis: predicted, source: here}"

static void
judges(void)
{
    static const struct {
        const char *yaml;
        unsigned missed;
        const char *report;
    } cases[] = {
        {"- {metric: speed, of: {evict: lfu, batch: 1}, value: 15, within: 0%" BASIS, 0,
         "1 of 1 met"},
        {"- {metric: speed, of: {evict: lfu, batch: 1}, value: 16, within: 5%" BASIS, 1,
         "got 15 (-6.2%)"},
        {"- {metric: delay, of: {evict: lfu, batch: 1}, value: 1500ms, within: 1%" BASIS, 0,
         "1 of 1"},
        /* ratios: 1.5 at batch 1, 1.2 at batch 2 */
        {"- {metric: speed, of: {evict: lfu}, over: {evict: lru}, agg: mean, value: 1.35, within: "
         "0.1%" BASIS,
         0, "1 of 1"},
        {"- {metric: speed, of: {evict: lfu}, over: {evict: lru}, agg: max, value: 1.5, within: "
         "0.1%" BASIS,
         0, "1 of 1"},
        {"- {metric: speed, of: {evict: lfu}, over: {evict: lru}, agg: min, value: 1.2, within: "
         "0.1%" BASIS,
         0, "1 of 1"},
        {"- {metric: speed, of: {evict: lfu}, over: {evict: lru}, agg: each, value: 1.35, within: "
         "12%" BASIS,
         0, "1 of 1"},
        {"- {metric: speed, of: {evict: lfu}, over: {evict: lru}, agg: each, value: 1.3, within: "
         "12%" BASIS,
         1, "got 1.5"},
        /* zipped keys go together */
        {"- {metric: speed, of: {label: F, batch: 2}, over: {label: L, batch: 2}, value: 1.2, "
         "within: 1%" BASIS,
         0, "1 of 1"},
        {"- {metric: speed, of: {evict: lfu, batch: 2}, over: {evict: lru, batch: 1}, value: 2.4, "
         "within: 1%" BASIS,
         0, "1 of 1"},
        /* batch is given on one side: both runs have it */
        {"- {metric: speed, of: {evict: lfu, batch: 2}, over: {evict: lru}, value: 1.2, "
         "within: 1%" BASIS,
         0, "1 of 1"},
        {"- {metric: speed, of: {evict: lfu}, over: {evict: lru, batch: 1}, value: 1.5, "
         "within: 1%" BASIS,
         0, "1 of 1"},
        {"- {metric: speed, of: {evict: lfu, batch: [1, 2]}, over: {evict: lru}, agg: max, "
         "value: 1.5, within: 1%" BASIS,
         0, "1 of 1"},
        {"- {metric: speed, of: {evict: [lru, lfu], batch: 2}, over: {batch: 1}, agg: min, "
         "value: 1.6, within: 1%" BASIS,
         0, "1 of 1"},
        {"- {metric: speed, of: {evict: lfu}, over: {batch: 1}, agg: max, value: 2.4, "
         "within: 1%" BASIS,
         0, "1 of 1"},
        /* one-sided */
        {"- {metric: speed, of: {evict: lfu}, agg: min, value: 14, bound: at_least" BASIS, 0,
         "1 of 1"},
        {"- {metric: speed, of: {evict: lfu}, agg: min, value: 16, bound: at_least" BASIS, 1,
         "at least 16"},
        {"- {metric: speed, of: {evict: lfu}, agg: max, value: 25, bound: at_most" BASIS, 0,
         "1 of 1"},
        {"- {metric: speed, of: {evict: lfu}, agg: max, value: 23, bound: at_most" BASIS, 1,
         "at most"},
        {"- {metric: speed, of: {evict: lfu}, agg: max, value: 23, bound: at_most, within: "
         "5%" BASIS,
         0, "1 of 1"},
        {"- {metric: speed, agg: max, value: 1, within: 1%, known_miss: no reason" BASIS, 0,
         "0 of 1 met, 1 known miss"},
        {"- {metric: speed, agg: max, value: 24, within: 1%, known_miss: gone" BASIS, 0,
         "met now, so known_miss can go: gone"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        outcome o = evaluate(cases[i].yaml, false);
        MOE_CHECK(!*o.messages, "case %zu: %s", i, o.messages);
        MOE_CHECK(o.missed == cases[i].missed, "case %zu: %u missed: %s", i, o.missed, o.report);
        MOE_CHECK(strstr(o.report, cases[i].report), "case %zu: '%s' in '%s'", i, cases[i].report,
                  o.report);
        outcome_clear(&o);
    }
}

static void
complains(void)
{
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"- {metric: sped, value: 1, within: 1%" BASIS,
         "e.yaml:1:12: error: unknown metric 'sped'; did "
         "you mean 'speed'?"},
        {"- {metric: speed, valu: 1, within: 1%" BASIS, "did you mean 'value'"},
        {"- {metric: speed, value: fast, agg: max, within: 1%" BASIS, "e.yaml:1:26"},
        {"- {metric: speed, value: 1, agg: max" BASIS, "needs `within`"},
        {"- {metric: speed, value: 1, agg: max, within: 1%}", "basis"},
        {"- {metric: speed, value: 1, within: 1%" BASIS, "4 runs fit ('evict' varies)"},
        {"- {metric: speed, of: {evict: lfu}, over: {evict: lru}, value: 1, within: 1%" BASIS,
         "2 pairs of runs fit ('batch' varies)"},
        {"- {metric: speed, of: {evict: lfo}, agg: max, value: 1, within: 1%" BASIS,
         "no run has evict: lfo; did you mean 'lfu'?"},
        {"- {metric: speed, of: {seed: 3}, agg: max, value: 1, within: 1%" BASIS,
         "'seed' is not swept"},
        {"- {value: 1, within: 1%" BASIS, "e.yaml:1:3: error: needs `metric`"},
        {"- {metric: speed, of: [evict], agg: max, value: 1, within: 1%" BASIS, "wants a map"},
        {"- speed", "a map"},
        {"metric: speed", "wants a list"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        outcome o = evaluate(cases[i].yaml, false);
        MOE_CHECK(strstr(o.messages, cases[i].says), "case %zu: '%s' in '%s'", i, cases[i].says,
                  o.messages);
        outcome_clear(&o);
    }
}

/* With overrides on the command line, what is not there is left out, not complained about. */
static void
skips_what_overrides_took(void)
{
    outcome o =
        evaluate("- {metric: speed, of: {seed: 3}, agg: max, value: 1, within: 1%" BASIS, true);
    MOE_CHECK(strstr(o.report, "1 skipped") && !o.missed, "%s %s", o.messages, o.report);
    outcome_clear(&o);
}

static void
misses_without_value(void)
{
    g_autoptr(moe_store) store = open_store();
    moe_result *result = moe_result_new();
    moe_store_run run = {
        .identity = "e", .scenario = "s", .path = "p", .version = "1", .source = "x", .host = "h"};
    CU_ASSERT(moe_store_add(store, &run, result, NULL));
    moe_result_free(result);
    g_autoptr(moe_frame) frame = moe_frame_new();
    moe_frame_add(frame, "e", NULL, NULL, 0);
    g_autoptr(moe_diag) diag = moe_diag_new();
    static const char yaml[] = "- {metric: speed, value: 0, within: 100%" BASIS;
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("e.yaml", yaml, strlen(yaml), diag);
    moe_section_view view = {frame, metrics, units, MOE_COUNT(metrics), as_written, NULL, false};
    g_autoptr(moe_expectations) all = moe_expect_read(moe_yaml_root(doc), &view, diag);
    CU_ASSERT(moe_expect_evaluate(all, store, "s", NULL));
    CU_ASSERT_EQUAL(moe_expect_missed(all), 1);
    g_autoptr(GString) report = g_string_new(NULL);
    moe_expect_report(all, report);
    MOE_CHECK(strstr(report->str, "got no value"), "%s", report->str);
}

static void
removes_store(void)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_unlink(path);
    CU_ASSERT_EQUAL(g_rmdir(folder), 0);
    g_free(path);
}

MOE_TESTS({"judges", judges}, {"complains", complains},
          {"skips what overrides took", skips_what_overrides_took},
          {"misses without a value", misses_without_value}, {"clean up", removes_store})
