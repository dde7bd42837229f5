#include "analysis/plot_private.h"
#include "tests/test.h"

#include <glib/gstdio.h>
#include <math.h>

static const char *const metrics[] = {"decode_tokens_per_s", "tpot_mean_s", "load_bytes"};
static const char *const units[] = {"tokens/s", "s", "bytes"};
static const char *const keys[] = {"experts.cache.capacity", "experts.cache.evict", "seed"};
static const char *const capacities[] = {"12.5%", "25%", "50%", "100%"};
static const char *const policies[] = {"lru", "lfu", "belady"};
static const char *const seeds[] = {"1", "2", "3"};

static char *folder;
static moe_store *store;
static moe_frame *frame;

static void
add_blame(moe_result *result, const char *kind, const char *cause, int64_t ps)
{
    moe_cell cells[] = {moe_text("gpu"), moe_text(kind), moe_text(cause), moe_int(ps)};
    moe_result_add(result, "blame", cells, MOE_COUNT(cells));
}

static void
add_run(size_t c, size_t p, size_t s)
{
    moe_result *result = moe_result_new();
    double speed = 4 + 10 * (double)c + 2 * (double)p + (double)((c + 1) * s);
    double values[] = {speed, 1 / speed, 4e9 / speed};
    for (size_t m = 0; m < MOE_COUNT(metrics); m++) {
        moe_cell cells[] = {moe_text(metrics[m]),
                            moe_real(values[m]),
                            moe_text(units[m]),
                            moe_null(),
                            m ? moe_null() : moe_real(12 + 10 * (double)c),
                            moe_null()};
        moe_result_add(result, "metric", cells, MOE_COUNT(cells));
    }
    add_blame(result, "busy", "attention", 20);
    add_blame(result, "busy", "experts", 30);
    add_blame(result, "exposed", "load", 100 - 25 * (int64_t)c);
    add_blame(result, "queueing", "", 5 * (int64_t)p);
    g_autofree char *identity = g_strdup_printf("%zu%zu%zu", c, p, s);
    const char *run_values[] = {capacities[c], policies[p], seeds[s]};
    moe_store_run run = {.identity = identity,
                         .scenario = "s",
                         .path = "p",
                         .version = "1",
                         .source = "x",
                         .host = "h",
                         .n_swept = 3,
                         .keys = keys,
                         .values = run_values};
    CU_ASSERT(moe_store_add(store, &run, result, NULL));
    moe_frame_add(frame, identity, keys, run_values, 3);
    moe_result_free(result);
}

static void
set_up(void)
{
    folder = g_dir_make_tmp("moe-plot-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "p.db", NULL);
    store = moe_store_open(path, MOE_STORE_WRITE, NULL);
    frame = moe_frame_new();
    for (size_t c = 0; c < MOE_COUNT(capacities); c++)
        for (size_t p = 0; p < MOE_COUNT(policies); p++)
            for (size_t s = 0; s < MOE_COUNT(seeds); s++)
                add_run(MOE_COUNT(capacities) - 1 - c, p, s);
}

static bool
as_written(void *context, const char *key, const moe_yaml *value, moe_loc at,
           const char **canonical_key, char **canonical_value, moe_diag *diag)
{
    *canonical_key = key;
    *canonical_value = g_strdup(value->text);
    return true;
}

/* Reads a section; messages, if any, in *messages. */
static moe_plots *
read_section(const char *yaml, moe_yaml_doc **doc, char **messages)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    *doc = moe_yaml_parse("p.yaml", yaml, strlen(yaml), diag);
    moe_section_view view = {frame, metrics, units, MOE_COUNT(metrics), as_written, NULL, false};
    moe_plots *plots = moe_plot_read(moe_yaml_root(*doc), "stem", &view, diag);
    *messages = moe_diag_render(diag);
    return plots;
}

static plot_data *
collect(const char *yaml, moe_plots **plots, moe_yaml_doc **doc)
{
    g_autofree char *messages = NULL;
    *plots = read_section(yaml, doc, &messages);
    MOE_CHECK(!*messages, "%s", messages);
    return moe_plot_collect(g_ptr_array_index((*plots)->list, 0), frame, store, NULL);
}

static void
names_keys(void)
{
    static const char *const cases[][2] = {{"seed", "seed"},
                                           {"experts.cache.capacity", "cache capacity"},
                                           {"experts.cache.evict", "cache evict"},
                                           {"experts.prefetch.kind", "prefetch"},
                                           {"workload.batch", "batch"},
                                           {"precision.experts", "experts precision"},
                                           {"overhead.layer", "layer overhead"},
                                           {"routing.trace", "routing trace"},
                                           {"routing.transform", "routing transform"},
                                           {"routing.synthetic.skew", "routing synthetic skew"}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *title = moe_section_key_title(cases[i][0]);
        MOE_CHECK(!strcmp(title, cases[i][1]), "%s: %s", cases[i][0], title);
    }
}

static void
names_metrics(void)
{
    static const char *const cases[][2] = {{"decode_tokens_per_s", "decode throughput"},
                                           {"tpot_mean_s", "TPOT mean"},
                                           {"load_bytes", "load"},
                                           {"energy_j", "energy"},
                                           {"energy_per_token_j", "energy per token"},
                                           {"average_power_w", "average power"},
                                           {"price_per_request", "price per request"}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *title = moe_plot_metric_title(cases[i][0]);
        MOE_CHECK(!strcmp(title, cases[i][1]), "%s: %s", cases[i][0], title);
    }
}

static void
collects_lines(void)
{
    g_autoptr(moe_plots) plots = NULL;
    g_autoptr(moe_yaml_doc) doc = NULL;
    g_autoptr(plot_data) data = collect("- {x: experts.cache.capacity, y: decode_tokens_per_s, "
                                        "series: experts.cache.evict, bound: perfect_cache}",
                                        &plots, &doc);
    CU_ASSERT_EQUAL(data->kind, PLOT_LINE);
    CU_ASSERT(data->numeric);
    CU_ASSERT_EQUAL(data->series->len, 3);
    CU_ASSERT_STRING_EQUAL(g_ptr_array_index(data->series, 2), "belady");
    CU_ASSERT_EQUAL(g_array_index(data->x_numbers, double, 0), 12.5); /* ascending */
    CU_ASSERT_EQUAL(g_array_index(data->x_numbers, double, 3), 100);
    plot_cell cell = *plot_data_cell(data, 1, 2); /* lfu at 50%, over three seeds */
    MOE_CHECK(cell.n == 3 && cell.value == 29 && cell.low == 26 && cell.high == 32 &&
                  cell.bound == 32,
              "%g %g %g %g", cell.value, cell.low, cell.high, cell.bound);
    CU_ASSERT_STRING_EQUAL(data->x_title, "cache capacity (%)");
    CU_ASSERT_STRING_EQUAL(data->y_title, "decode throughput (tokens/s)");
}

static void
collects_bars(void)
{
    g_autoptr(moe_plots) plots = NULL;
    g_autoptr(moe_yaml_doc) doc = NULL;
    g_autoptr(plot_data) data =
        collect("- {x: experts.cache.evict, y: tpot_mean_s, where: {experts.cache.capacity: 25%}}",
                &plots, &doc);
    CU_ASSERT_EQUAL(data->kind, PLOT_BAR);
    CU_ASSERT_EQUAL(data->series->len, 1);
    CU_ASSERT_STRING_EQUAL(g_ptr_array_index(data->series, 0), "");
    CU_ASSERT_STRING_EQUAL(data->y_title, "TPOT mean (ms)");
    double expected = 1000 * (1 / 14. + 1 / 16. + 1 / 18.) / 3;
    double got = plot_data_cell(data, 0, 0)->value;
    MOE_CHECK(fabs(got - expected) < 1e-9, "%.12g for %.12g", got, expected);
}

/* What is neither x nor series becomes part of the series. */
static void
keeps_other_keys_apart(void)
{
    g_autoptr(moe_plots) plots = NULL;
    g_autoptr(moe_yaml_doc) doc = NULL;
    g_autoptr(plot_data) data = collect("- {x: experts.cache.evict, y: load_bytes}", &plots, &doc);
    CU_ASSERT_EQUAL(data->series->len, 4);
    CU_ASSERT_STRING_EQUAL(g_ptr_array_index(data->series, 0), "100%");
    CU_ASSERT_STRING_EQUAL(data->series_title, "cache capacity");
    CU_ASSERT_STRING_EQUAL(data->y_title, "load (GB)");
}

static void
collects_blame(void)
{
    g_autoptr(moe_plots) plots = NULL;
    g_autoptr(moe_yaml_doc) doc = NULL;
    g_autoptr(plot_data) data = collect("- {kind: blame, x: experts.cache.capacity, "
                                        "where: {experts.cache.evict: lfu}}",
                                        &plots, &doc);
    CU_ASSERT_EQUAL(data->series->len, 4);
    static const char *const parts[] = {"attention", "experts", "exposed: load", "queueing"};
    for (size_t i = 0; i < data->series->len; i++)
        MOE_CHECK(!strcmp(g_ptr_array_index(data->series, i), parts[i]), "part %zu is %s", i,
                  (const char *)g_ptr_array_index(data->series, i));
    for (size_t x = 0; x < data->x_labels->len; x++) {
        double sum = 0;
        for (size_t s = 0; s < data->series->len; s++)
            sum += plot_data_cell(data, s, x)->value;
        MOE_CHECK(fabs(sum - 100) < 1e-9, "bar %zu sums to %g", x, sum);
    }
}

static void
reads_numbers(void)
{
    static const struct {
        const char *texts[3];
        bool numbers;
        double second;
        const char *unit;
    } cases[] = {
        {{"1", "2"}, true, 2, ""},
        {{"12.5%", "25%"}, true, 25, "%"},
        {{"8GiB", "24GiB"}, true, 24, "GiB"},
        {{"1GiB", "512MiB"}, true, 0.5, "GiB"},
        {{"1ms", "10us"}, true, 0.01, "ms"},
        {{"2 slots", "4 slots"}, true, 4, "slots"},
        {{"lru", "2"}, false, 0, NULL},
        {{"25%", "1GiB"}, false, 0, NULL},
        {{"4GiB", "rest"}, false, 0, NULL},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(GPtrArray) texts = g_ptr_array_new();
        g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(double));
        g_autofree char *unit = NULL;
        for (size_t t = 0; cases[i].texts[t]; t++)
            g_ptr_array_add(texts, (gpointer)(uintptr_t)cases[i].texts[t]);
        bool ok = moe_plot_numbers(texts, numbers, &unit);
        MOE_CHECK(ok == cases[i].numbers, "case %zu: %d", i, ok);
        if (!ok || !cases[i].numbers)
            continue;
        double second = g_array_index(numbers, double, 1);
        MOE_CHECK(fabs(second - cases[i].second) < 1e-12 && !strcmp(unit, cases[i].unit),
                  "case %zu: %g %s", i, second, unit);
    }
}

static void
complains(void)
{
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"- {x: experts.cache.evict, y: decode_tokens}", "unknown metric"},
        {"- {x: experts.cache.evict}", "needs `y`"},
        {"- {y: load_bytes}", "p.yaml:1:3: error: needs `x`"},
        {"- {x: experts.cache.evcit, y: load_bytes}", "did you mean 'experts.cache.evict'?"},
        {"- {x: experts.cache.evict, y: load_bytes, file: a.gif}", "figures end in"},
        {"- {x: experts.cache.evict, y: load_bytes, file: a.pdf}\n"
         "- {x: seed, y: load_bytes, file: a.png}",
         "would overwrite"},
        {"- {x: experts.cache.evict, kind: blame, y: load_bytes}", "takes no `y`"},
        {"- {x: experts.cache.evict, y: load_bytes, where: {seed: 9}}", "no run has seed: 9"},
        {"x: 1", "wants a list"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_yaml_doc) doc = NULL;
        g_autofree char *messages = NULL;
        g_autoptr(moe_plots) plots = read_section(cases[i].yaml, &doc, &messages);
        MOE_CHECK(plots || *messages, "case %zu: neither figures nor a message", i);
        MOE_CHECK(strstr(messages, cases[i].says), "case %zu: '%s' in '%s'", i, cases[i].says,
                  messages);
    }
}

static bool
is_figure(const char *name)
{
    static const struct {
        const char *ending, *begins;
    } kinds[] = {{".pdf", "%PDF"}, {".png", "\x89PNG"}, {".svg", "<?xml"}, {".tex", "%"}};
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *bytes = NULL;
    if (!g_file_get_contents(path, &bytes, NULL, NULL))
        return false;
    for (size_t i = 0; i < MOE_COUNT(kinds); i++)
        if (g_str_has_suffix(name, kinds[i].ending))
            return g_str_has_prefix(bytes, kinds[i].begins);
    return true;
}

static void
draws(void)
{
    static const char yaml[] =
        "- {x: experts.cache.capacity, y: decode_tokens_per_s, series: experts.cache.evict,\n"
        "   bound: perfect_cache, title: 50% of it's_all,\n"
        "   file: [line.pdf, line.png, line.svg, line.tex]}\n"
        "- {x: experts.cache.evict, y: tpot_mean_s, series: experts.cache.capacity, file: "
        "bar.png}\n"
        "- {x: experts.cache.capacity, series: experts.cache.evict, kind: blame, width: 17,\n"
        "   file: blame.png}\n"
        "- {x: experts.cache.evict, y: decode_tokens_per_s, bound: perfect_cache, log: y,\n"
        "   where: {experts.cache.capacity: 50%}, file: sub/bound.png}\n";
    static const char *const made[] = {"line.pdf",  "line.png", "line.svg",     "line.tex",
                                       "line.eps",  "line.dat", "line.gp",      "bar.png",
                                       "blame.png", "blame.gp", "sub/bound.png"};
    g_autoptr(GError) error = NULL;
    if (!moe_plot_possible(&error)) {
        moe_test_skip(error->message);
        return;
    }
    g_autoptr(moe_yaml_doc) doc = NULL;
    g_autofree char *messages = NULL;
    g_autoptr(moe_plots) plots = read_section(yaml, &doc, &messages);
    MOE_CHECK(!*messages, "%s", messages);
    g_autoptr(GString) report = g_string_new(NULL);
    for (size_t i = 0; !error && i < moe_plot_count(plots); i++)
        moe_plot_draw(plots, i, store, folder, report, &error);
    MOE_CHECK(!error, "%s", error->message);
    for (size_t i = 0; i < MOE_COUNT(made); i++)
        MOE_CHECK(is_figure(made[i]), "%s", made[i]);
}

static void
remove_below(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        if (g_file_test(below, G_FILE_TEST_IS_DIR))
            remove_below(below);
        else
            g_unlink(below);
    }
    g_dir_close(dir);
    g_rmdir(path);
}

/* With MOE_KEEP set the figures stay for looking at. */
static void
clean_up(void)
{
    moe_store_close(store);
    moe_frame_free(frame);
    if (g_getenv("MOE_KEEP"))
        printf("\n    kept: %s\n", folder);
    else
        remove_below(folder);
    g_free(folder);
}

MOE_TESTS({"set up", set_up}, {"names keys", names_keys}, {"names metrics", names_metrics},
          {"collects lines", collects_lines}, {"collects bars", collects_bars},
          {"keeps other keys apart", keeps_other_keys_apart}, {"collects blame", collects_blame},
          {"reads numbers", reads_numbers}, {"complains", complains}, {"draws", draws},
          {"clean up", clean_up})
