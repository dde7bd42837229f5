/* Experts of other sizes: what a transform makes of them is what the precision would have made, and
 * what is pruned takes no room. */
#include "tests/unit/machine_fixture.h"

#include <glib/gstdio.h>
#include <math.h>
#include <unistd.h>

#define ROUTING "synthetic: {sequences: 4, prompt: 6, output: 8, lookahead: 1, recall: 80%%}"
#define HEAD                                                                                       \
    "model: mixtral-8x7b\n"                                                                        \
    "hardware: desktop-rtx4090\n"                                                                  \
    "workload: {batch: 2}\n"

/* The value of a metric, or of a place's account; NAN: it has none. */
static double
find(const moe_result *result, const char *table, const char *name, const char *second)
{
    for (size_t t = 0; t < moe_result_tables(result); t++)
        for (size_t r = 0;
             !strcmp(moe_result_table(result, t), table) && r < moe_result_rows(result, t); r++) {
            size_t n;
            const moe_cell *cells = moe_result_row(result, t, r, &n);
            const moe_cell *value = &cells[second ? 2 : 1];
            if (strcmp(cells[0].text, name) != 0 || (second && strcmp(cells[1].text, second) != 0))
                continue;
            return value->kind == MOE_CELL_REAL  ? value->real
                   : value->kind == MOE_CELL_INT ? (double)value->integer
                                                 : (double)NAN;
        }
    return NAN;
}

static moe_result *
simulate(const char *text)
{
    g_autofree char *messages = NULL;
    g_autoptr(moe_scenario) scenario = fixture_scenario(text, NULL, 0, &messages);
    MOE_CHECK(scenario, "%s\n%s", text, messages);
    return scenario ? moe_scenario_simulate(scenario, 0, NULL, NULL, NULL) : moe_result_new();
}

/* All experts at 2 bits by a table of int4 ones, and all experts in int2: the same run. */
static void
sizes_are_precision(void)
{
    static const char *const cases[] = {
        "experts: {home: dram, cache: {capacity: 25%}}\n",
        "experts: {home: dram, cache: {capacity: 50%, scope: layer}, prefetch: {kind: "
        "next-layer}}\n",
        "experts: {home: dram, cache: {capacity: 25%}, granularity: expert, serve: {kind: host}}\n",
        "",
    };
    static const char *const metrics[] = {
        "wall_s",   "decode_tokens_per_s", "loads",          "load_bytes",
        "hit_rate", "device_peak_bytes",   "block_latency_s"};
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "bits.csv", NULL);
    GString *table = g_string_new("layer,expert,bits\n");
    for (int e = 0; e < 8; e++)
        g_string_append_printf(table, "*,%d,1.5\n", e);
    g_file_set_contents(path, table->str, -1, NULL);
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *plain = g_strdup_printf(
            HEAD "precision: {experts: int2}\nrouting: {" ROUTING "}\n%s", cases[i]);
        g_autofree char *sized =
            g_strdup_printf(HEAD "precision: {experts: int4}\nrouting: {" ROUTING
                                 ", transform: [{kind: precision, file: %s, overhead: 0.5}]}\n%s",
                            path, cases[i]);
        moe_result *a = simulate(plain), *b = simulate(sized);
        for (size_t m = 0; m < MOE_COUNT(metrics); m++) {
            double x = find(a, "metric", metrics[m], NULL), y = find(b, "metric", metrics[m], NULL);
            MOE_CHECK((isnan(x) && isnan(y)) || fabs(x - y) <= 1e-12 * fabs(x),
                      "case %zu, %s: %.17g in int2, %.17g by sizes", i, metrics[m], x, y);
        }
        moe_result_free(a);
        moe_result_free(b);
    }
    g_string_free(table, true);
    g_unlink(path);
    g_rmdir(folder);
}

/* 3 of 8 experts kept: 3/8 of their bytes at home, and a share of them is a share of what is left.
 */
static void
pruned_takes_no_room(void)
{
    static const char *const transforms[] = {"[]", "[{kind: mask, keep: 3}]",
                                             "[{kind: remap, from: groups, groups: 2}]"};
    static const double kept[] = {8, 3, 2};
    double home[3], slots[3];
    for (size_t i = 0; i < 3; i++) {
        g_autofree char *text = g_strdup_printf(
            HEAD "precision: {experts: int4}\nrouting: {" ROUTING ", transform: %s}\n"
                 "experts: {home: dram, cache: {capacity: 50%%}}\n",
            transforms[i]);
        moe_result *result = simulate(text);
        home[i] = find(result, "place", "dram", "experts");
        slots[i] = find(result, "place", "hbm", "expert slots");
        MOE_CHECK(home[i] * 8 == home[0] * kept[i], "%s: %.0f of %.0f bytes", transforms[i],
                  home[i], home[0]);
        MOE_CHECK(slots[i] * 8 == slots[0] * kept[i], "%s: slots of %.0f of %.0f bytes",
                  transforms[i], slots[i], slots[0]);
        moe_result_free(result);
    }
}

MOE_TESTS({"sizes are precision", sizes_are_precision},
          {"pruned takes no room", pruned_takes_no_room})
