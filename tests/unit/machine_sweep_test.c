/* The axes of a sweep: products, keys that move together, keys set on the command line. */
#include "tests/unit/machine_fixture.h"

/* Runs as text: "a=1 b=x | a=1 b=y". */
static char *
runs_text(const moe_sweep *sweep)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < sweep->n_runs; i++) {
        g_string_append(text, i ? " |" : "");
        for (guint a = 0; a < sweep->axes->len; a++) {
            const moe_axis *axis = &g_array_index(sweep->axes, moe_axis, a);
            size_t v = moe_sweep_index(sweep, i, a);
            for (size_t k = 0; k < axis->n_keys; k++)
                g_string_append_printf(text, "%s%s=%s", text->len ? " " : "", axis->keys[k],
                                       axis->values[k * axis->n_values + v]->text);
        }
    }
    return g_string_free(text, false);
}

typedef struct sweep_case {
    const char *yaml;
    const char *fixed[3]; /* set on the command line */
    const char *runs;     /* NULL: an error */
    const char *message;
} sweep_case;

static const sweep_case sweep_cases[] = {
    {"x: 1\n", {NULL}, "", NULL},
    {"sweep: {}\nzip: {}\n", {NULL}, "", NULL},
    {"zip: []\n", {NULL}, "", NULL},
    {"sweep: {a: [1, 2]}\n", {NULL}, "a=1 | a=2", NULL},
    {"sweep: {a: [1, 2], b: [x, y]}\n", {NULL}, "a=1 b=x | a=1 b=y | a=2 b=x | a=2 b=y", NULL},
    {"zip: {a: [1, 2], b: [x, y]}\n", {NULL}, "a=1 b=x | a=2 b=y", NULL},
    {"zip: [{a: [1, 2], b: [x, y]}, {c: [7, 8]}]\n",
     {NULL},
     "a=1 b=x c=7 | a=1 b=x c=8 | a=2 b=y c=7 | a=2 b=y c=8",
     NULL},
    /* zips vary slowest */
    {"sweep: {c: [7, 8]}\nzip: {a: [1, 2], b: [x, y]}\n",
     {NULL},
     "a=1 b=x c=7 | a=1 b=x c=8 | a=2 b=y c=7 | a=2 b=y c=8",
     NULL},
    /* the command line wins */
    {"sweep: {a: [1, 2], b: [x, y]}\n", {"a"}, "b=x | b=y", NULL},
    {"sweep: {a: [1, 2], b: [x, y]}\n", {"a", "b"}, "", NULL},
    {"zip: {a: [1, 2], b: [x, y]}\n", {"b"}, "a=1 | a=2", NULL},
    {"zip: {a: [1, 2], b: [x, y]}\n", {"b", "a"}, "", NULL},
    {"sweep: {a.kind: [1, 2], b: [x]}\n", {"a"}, "b=x", NULL},
    {"sweep: {a: [1, 2], b: [x]}\n", {"a.kind"}, "b=x", NULL},
    {"sweep: {a.b: [1, 2], ab: [x]}\n", {"a.c"}, "a.b=1 ab=x | a.b=2 ab=x", NULL},
    {"sweep: {ab: [1, 2]}\n", {"a"}, "ab=1 | ab=2", NULL},
    /* faults */
    {"sweep: 3\n",
     {NULL},
     NULL,
     "s:1:8: error: 'sweep' wants a map of keys to lists of values, got a scalar"},
    {"zip: 3\n",
     {NULL},
     NULL,
     "s:1:6: error: 'zip' wants a map of keys to lists of values, got a scalar"},
    {"zip: [{a: [1]}, [2]]\n",
     {NULL},
     NULL,
     "s:1:17: error: 'zip' wants a map of keys to lists of values, got a list"},
    {"sweep: {a: 1}\n",
     {NULL},
     NULL,
     "s:1:12: error: 'a' in 'sweep' wants a list of values, got a scalar"},
    {"sweep: {a: []}\n", {NULL}, NULL, "s:1:12: error: 'a' in 'sweep' has no values"},
    {"zip: {a: [1, 2], b: [1]}\n",
     {NULL},
     NULL,
     "s:1:21: error: 'b' has 1 values, but 'a' of the same zip has 2"},
};

static void
axes(void)
{
    for (size_t i = 0; i < MOE_COUNT(sweep_cases); i++) {
        const sweep_case *c = &sweep_cases[i];
        size_t n = 0;
        while (c->fixed[n])
            n++;
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("s", c->yaml, strlen(c->yaml), diag);
        moe_sweep *sweep = moe_sweep_read(moe_yaml_root(doc), c->fixed, n, false, diag);
        g_autofree char *messages = moe_diag_render(diag);
        if (c->runs) {
            g_autofree char *runs = runs_text(sweep);
            MOE_CHECK(!*messages && !strcmp(runs, c->runs), "%s: %s, not %s\n%s", c->yaml, runs,
                      c->runs, messages);
        } else
            MOE_CHECK(g_str_has_prefix(messages, c->message) &&
                          messages[strlen(c->message)] == '\n',
                      "%s: %s\nnot %s", c->yaml, messages, c->message);
        moe_sweep_free(sweep);
    }
}

/* `digits` keys of ten values each, and one of `last`. */
static char *
power_of_ten(int digits, int last)
{
    GString *yaml = g_string_new("sweep:\n");
    for (int d = 0; d < digits; d++)
        g_string_append_printf(yaml, "  k%d: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n", d);
    g_string_append(yaml, "  last: [0");
    for (int i = 1; i < last; i++)
        g_string_append_printf(yaml, ", %d", i);
    g_string_append(yaml, "]\n");
    return g_string_free(yaml, false);
}

static void
at_most_a_million(void)
{
    static const struct {
        int digits, last;
        bool many;
        size_t runs; /* 0: an error */
    } cases[] = {{5, 10, false, 1000000},  {5, 11, false, 0},     {6, 1, false, 1000000},
                 {6, 2, false, 0},         {6, 2, true, 2000000}, {18, 10, false, 0},
                 {9, 4, true, 4000000000}, {9, 5, true, 0},       {25, 10, true, 0}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *yaml = power_of_ten(cases[i].digits, cases[i].last);
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("s", yaml, strlen(yaml), diag);
        moe_sweep *sweep = moe_sweep_read(moe_yaml_root(doc), NULL, 0, cases[i].many, diag);
        g_autofree char *first = moe_diag_first(diag);
        MOE_CHECK(sweep->n_runs == cases[i].runs, "%zu: %zu runs", i, sweep->n_runs);
        MOE_CHECK((moe_diag_errors(diag) == 0) == (cases[i].runs > 0), "%zu: %s", i, first);
        if (!cases[i].runs && !cases[i].many)
            MOE_CHECK(!strcmp(first, "the sweep multiplies to more than 1000000 runs; make it "
                                     "smaller, or say --force-many"),
                      "%zu: %s", i, first);
        moe_sweep_free(sweep);
    }
}

/* Each run has each combination once, the first axis varying slowest. */
static void
index_is_a_number_system(void)
{
    static const char yaml[] = "sweep: {a: [0, 1], b: [0, 1, 2], c: [0], d: [0, 1, 2, 3]}\n";
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("s", yaml, strlen(yaml), diag);
    moe_sweep *sweep = moe_sweep_read(moe_yaml_root(doc), NULL, 0, false, diag);
    MOE_CHECK(sweep->n_runs == 24, "%zu runs", sweep->n_runs);
    for (size_t run = 0; run < sweep->n_runs; run++) {
        size_t back = 0;
        for (guint a = 0; a < sweep->axes->len; a++)
            back = back * g_array_index(sweep->axes, moe_axis, a).n_values +
                   moe_sweep_index(sweep, run, a);
        MOE_CHECK(back == run, "run %zu reads as %zu", run, back);
    }
    moe_sweep_free(sweep);
}

/* ---- sweeps of whole scenarios ---- */

static const char base[] = "model: mixtral-8x7b\n"
                           "hardware: desktop-rtx4090\n"
                           "precision: {experts: int4}\n"
                           "routing: {synthetic: {sequences: 2, prompt: 2, output: 2}}\n"
                           "experts: {home: dram, cache: {capacity: 25%}}\n";

/* The swept keys and values of all runs: "batch=1 evict=lru | …". */
static char *
swept_text(const moe_scenario *scenario)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < moe_scenario_runs(scenario); i++) {
        const moe_run *run = moe_scenario_run(scenario, i);
        g_string_append(text, i ? " |" : "");
        for (size_t k = 0; k < run->n_swept; k++) {
            const char *dot = strrchr(run->keys[k], '.');
            g_string_append_printf(text, "%s%s=%s", text->len ? " " : "",
                                   dot ? dot + 1 : run->keys[k], run->values[k]);
        }
    }
    return g_string_free(text, false);
}

static void
swept_values(void)
{
    static const struct {
        const char *more;
        moe_override override;
        const char *runs;
    } cases[] = {
        {"", {NULL, NULL}, ""},
        {"sweep: {workload.batch: [1, 2]}\n", {NULL, NULL}, "batch=1 | batch=2"},
        {"sweep: {workload.batch: [1, 2]}\n", {"workload.batch", "3"}, "batch=3"},
        {"sweep: {workload.batch: [1, 2]}\n", {"seed", "3"}, "batch=1 seed=3 | batch=2 seed=3"},
        {"sweep: {experts.cache.capacity: [0.25, 21 slots, 1GiB]}\n",
         {NULL, NULL},
         "capacity=25% | capacity=21 slots | capacity=1GiB"},
        {"sweep: {experts.cache.evict: [lru, {kind: s3fifo, small: 0.2}]}\n",
         {NULL, NULL},
         "evict=lru | evict={kind: s3fifo, small: 20%}"},
        {"sweep: {experts.cache.evict.kind: [lru, fifo]}\n",
         {NULL, NULL},
         "evict=lru | evict=fifo"},
        {"sweep: {experts.cache.evict.kind: [lru, fifo]}\n",
         {"experts.cache.evict", "lfu"},
         "evict=lfu"},
        {"sweep: {experts.cache.evict: [lru, fifo]}\n",
         {"experts.cache.evict.kind", "lfu"},
         "evict=lfu"},
        {"zip: {label: [a, b], seed: [1, 2]}\n", {NULL, NULL}, "label=a seed=1 | label=b seed=2"},
        {"zip: {label: [a, b], seed: [1, 2]}\n", {"label", "c"}, "seed=1 label=c | seed=2 label=c"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *text = g_strconcat(base, cases[i].more, NULL), *messages = NULL;
        g_autoptr(moe_scenario) scenario =
            fixture_scenario(text, &cases[i].override, cases[i].override.key ? 1 : 0, &messages);
        MOE_CHECK(scenario, "%s%s", cases[i].more, messages);
        if (!scenario)
            continue;
        g_autofree char *runs = swept_text(scenario);
        MOE_CHECK(!strcmp(runs, cases[i].runs), "%s: %s, not %s", cases[i].more, runs,
                  cases[i].runs);
    }
}

MOE_TESTS({"axes", axes}, {"at most a million", at_most_a_million},
          {"index", index_is_a_number_system}, {"swept values", swept_values})
