/* moesim trace stats: what a trace is like. */
#include "analysis/store.h"
#include "sim/base/error.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/selection.h"
#include "sim/cli/trace_figures.h"
#include "traces/stats/measure.h"
#include "traces/transform/table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct stats_values {
    const char *sequences, *select, *only, *output, *plot, *placement;
    int test, start, first_fill;
    int64_t sample, batch;
    bool csv;
} stats_values;

#define AT(field) offsetof(stats_values, field)

static const moe_option options[] = {
    {"sequences", 0, MOE_OPTION_TEXT, AT(sequences), "A..B,C,…",
     .help = "Only these sequences, counted from 0; A..B is A, A+1, … B-1. All by default."},
    {"select", 0, MOE_OPTION_TEXT, AT(select), "FILE",
     .help = "Only sequences whose recorded numbers stand in FILE, apart by spaces, commas or "
             "lines."},
    {"only", 0, MOE_OPTION_TEXT, AT(only), "GROUP,…",
     .help = "Only these groups of statistics (`moesim list statistics`); all by default."},
    {"csv", 0, MOE_OPTION_FLAG, AT(csv), .help = "Rows statistic,layer,parameter,value."},
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "DB",
     .help =
         "Add the values to an SQLite database (table trace_statistic), in place of what it has "
         "of this trace and selection."},
    {"plot", 0, MOE_OPTION_TEXT, AT(plot), "DIR",
     .help = "Draw figures, and one page of all, below DIR (gnuplot)."},
    {"start", 0, MOE_OPTION_ENUM, AT(start), "HOW", "cold|warm",
     .help = "Caches are empty at the start of each sequence, as in the published metrics, or live "
             "on (no intervals then). Default: cold."},
    {"first-fill", 0, MOE_OPTION_ENUM, AT(first_fill), "HOW", "hit|miss",
     .help = "What the first use of an expert counts as while slots are free. Default: hit, as in "
             "the published metrics."},
    {"test", 0, MOE_OPTION_ENUM, AT(test), "WHAT", "token|access|group",
     .help = "Accesses of a token are tested together before caches change, as in the published "
             "metrics, or one by one. Default: token."},
    {"placement", 0, MOE_OPTION_TEXT, AT(placement), "FILE",
     .help =
         "Where experts stand, for the load of ranks: CSV with the columns layer,expert,rank. By "
         "default contiguous, on 1 to 8 ranks."},
    {"batch", 0, MOE_OPTION_INT, AT(batch), "TOKENS", NULL, 1, 1024,
     "Tokens of a batch for the load of ranks; by default 64, or as many as the sequences can "
     "fill."},
    {"sample", 0, MOE_OPTION_INT, AT(sample), "TOKENS", NULL, 1, INT64_MAX,
     "Segments and caches are measured on at most so many tokens, every n-th sequence; by default "
     "as many as take some seconds."},
};

/* ---- what is asked for ---- */

static uint32_t
read_groups(const char *text, moe_diag *diag)
{
    const char *names[MOE_N_STATISTIC_GROUPS];
    uint32_t groups = 0;
    unsigned before = moe_diag_errors(diag);
    if (!text)
        return MOE_MEASURE_ALL;
    for (int g = 0; g < MOE_N_STATISTIC_GROUPS; g++)
        names[g] = moe_statistic_group_name((moe_statistic_group)g);
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    for (size_t i = 0; parts[i]; i++) {
        size_t g = 0;
        while (g < MOE_COUNT(names) && strcmp(names[g], parts[i]) != 0)
            g++;
        const char *close = moe_suggest(parts[i], names, MOE_COUNT(names));
        if (g < MOE_COUNT(names))
            groups |= 1u << g;
        else
            moe_diag_error(diag, (moe_loc){.file = "--only"}, "no group is called '%s'%s%s%s",
                           parts[i], close ? "; did you mean '" : "", close ? close : "",
                           close ? "'?" : "");
    }
    if (!parts[0])
        moe_diag_error(diag, (moe_loc){.file = "--only"}, "names no group");
    if (moe_diag_errors(diag) > before)
        moe_diag_misused(diag);
    return groups;
}

/* The ranks of all experts, [n_layers * n_experts]; NULL after messages or with `error` set. */
static uint16_t *
read_placement(const char *path, const moe_routing *routing, moe_rank_table *table, moe_diag *diag,
               GError **error)
{
    g_autofree char *text = NULL;
    gsize length;
    moe_table_shape shape = {routing->layer_ids,    routing->n_layers, routing->n_experts, "rank",
                             .max = UINT16_MAX - 1, .whole = true};
    if (!g_file_get_contents(path, &text, &length, NULL)) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot be read");
        return NULL;
    }
    g_autofree double *values = moe_table_parse(path, text, length, &shape, diag);
    size_t n = (size_t)routing->n_layers * routing->n_experts;
    g_autofree uint16_t *ranks = g_new(uint16_t, n);
    for (size_t i = 0; values && i < n; i++) {
        if (isnan(values[i])) {
            moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, path)},
                           "expert %zu of layer %u has no rank", i % routing->n_experts,
                           routing->layer_ids[i / routing->n_experts]);
            return NULL;
        }
        ranks[i] = (uint16_t)values[i];
        table->n_ranks = MAX(table->n_ranks, ranks[i] + 1u);
    }
    table->rank = ranks;
    return values ? g_steal_pointer(&ranks) : NULL;
}

/* ---- progress ---- */

struct shown {
    const char *what;
    gint64 begun, last;
    bool any;
};

static void
show(void *context, const char *what, double done, double total)
{
    struct shown *shown = context;
    gint64 now = g_get_monotonic_time();
    if (shown->what != what) {
        shown->what = what;
        shown->begun = now;
    }
    if (now - shown->last < 200000 || total <= 0)
        return;
    shown->last = now;
    shown->any = true;
    double share = done / total, elapsed = (double)(now - shown->begun) / 1e6;
    fprintf(stderr, "\r%s: %.0f%%, %.0f s left\x1b[K", what, 100 * share,
            share > 0 ? elapsed * (1 - share) / share : 0);
}

/* ---- the table ---- */

/* Lists are shown at powers of two only. */
static bool
is_shown(const moe_stat_row *row)
{
    const char *at = strchr(row->parameter, '=');
    if (!strncmp(row->parameter, "slots=", 6) || !strncmp(row->parameter, "expert=", 7))
        return false;
    if (strncmp(row->parameter, "lag=", 4) != 0)
        return true;
    guint64 lag = g_ascii_strtoull(at + 1, NULL, 10);
    return (lag & (lag - 1)) == 0;
}

/* The range of a statistic over the layers; false when there are none. */
static bool
layer_range(const moe_stats *stats, const moe_stat_row *of, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < stats->rows->len; i++) {
        const moe_stat_row *row = &g_array_index(stats->rows, moe_stat_row, i);
        if (row->statistic != of->statistic || row->layer == MOE_NONE ||
            strcmp(row->parameter, of->parameter) != 0)
            continue;
        *low = MIN(*low, row->value);
        *high = MAX(*high, row->value);
    }
    return *low <= *high;
}

static void
add_line(const moe_stats *stats, const moe_stat_row *row, bool repeated, moe_grid *grid)
{
    const moe_statistic_info *info = moe_statistic_get(row->statistic);
    double low, high;
    moe_grid_add(grid, repeated ? "" : info->name);
    moe_grid_add(grid, row->parameter);
    moe_grid_addf(grid, "%.4f", row->value);
    if (isnan(row->low))
        moe_grid_add(grid, "");
    else
        moe_grid_addf(grid, "%.4f..%.4f", row->low, row->high);
    if (layer_range(stats, row, &low, &high))
        moe_grid_addf(grid, "%.4f..%.4f", low, high);
    else
        moe_grid_add(grid, "");
    moe_grid_add(grid, repeated ? "" : info->unit);
}

static void
print_table(const moe_stats *stats)
{
    static const char *const heading[] = {"statistic", "", "model", "95 %", "layers", "unit"};
    g_autoptr(moe_grid) grid = moe_grid_new(MOE_COUNT(heading));
    int before = -1;
    for (size_t i = 0; i < MOE_COUNT(heading); i++)
        moe_grid_add(grid, heading[i]);
    for (size_t i = 0; i < stats->rows->len; i++) {
        const moe_stat_row *row = &g_array_index(stats->rows, moe_stat_row, i);
        if (row->layer != MOE_NONE || !is_shown(row))
            continue;
        add_line(stats, row, before == (int)row->statistic, grid);
        before = (int)row->statistic;
    }
    moe_grid_print(grid, true, "");
}

static void
print_heading(const moe_pick *pick, const moe_measure_config *config)
{
    moe_out("%u of %u sequences, %" G_GUINT64_FORMAT " tokens, %u layers, %u experts, top-%u\n",
            pick->n, pick->routing->n_sequences, moe_pick_tokens(pick), pick->routing->n_layers,
            pick->routing->n_experts, pick->routing->k);
    if (config->groups >> MOE_STATS_caches & 1)
        moe_out("caches: %s, first fills are %s, accesses tested %s\n",
                config->warm ? "sequences are one history" : "empty at the start of a sequence",
                config->first_fill_miss ? "misses" : "hits",
                config->singly   ? "one by one"
                : config->pinned ? "a token at a time, which keeps its experts"
                                 : "a token at a time");
    moe_out("layers: from the lowest layer to the highest");
    if (config->groups & (1u << MOE_STATS_caches | 1u << MOE_STATS_segments) && !config->warm)
        moe_out("; 95 %%: over sequences, of caches and segments only");
    moe_out("\n");
}

static void
print_notes(const moe_stats *stats)
{
    for (size_t i = 0; i < stats->notes->len; i++)
        moe_say("%s", (const char *)g_ptr_array_index(stats->notes, i));
}

/* ---- elsewhere ---- */

/* What tells one measurement of a trace from another: the options that change values. */
static char *
selection_text(const stats_values *values)
{
    GString *text = g_string_new(NULL);
    if (values->sequences)
        g_string_append_printf(text, "--sequences %s ", values->sequences);
    if (values->select)
        g_string_append_printf(text, "--select %s ", values->select);
    if (values->start)
        g_string_append(text, "--start warm ");
    if (values->first_fill)
        g_string_append(text, "--first-fill miss ");
    if (values->test)
        g_string_append_printf(text, "--test %s ", values->test == 1 ? "access" : "group");
    if (values->placement)
        g_string_append_printf(text, "--placement %s ", values->placement);
    if (values->batch)
        g_string_append_printf(text, "--batch %" G_GINT64_FORMAT " ", values->batch);
    if (values->sample)
        g_string_append_printf(text, "--sample %" G_GINT64_FORMAT " ", values->sample);
    return g_strchomp(g_string_free(text, FALSE));
}

static bool
store(moe_store *db, const moe_stats *stats, const stats_values *values, GError **error)
{
    size_t n = stats->rows->len;
    g_autofree char *selection = selection_text(values);
    g_autofree moe_store_statistic *rows = g_new(moe_store_statistic, n + 1);
    for (size_t i = 0; i < n; i++) {
        const moe_stat_row *row = &g_array_index(stats->rows, moe_stat_row, i);
        const moe_statistic_info *info = moe_statistic_get(row->statistic);
        int64_t layer =
            row->layer == MOE_NONE ? -1 : (int64_t)stats->routing->layer_ids[row->layer];
        rows[i] = (moe_store_statistic){info->name, row->parameter, info->unit, layer,
                                        row->value, row->low,       row->high};
    }
    return moe_store_set_statistics(db, stats->routing->path, selection, rows, n, error);
}

static bool
plot(const moe_stats *stats, const moe_pick *pick, const stats_values *values, GError **error)
{
    g_autofree char *name = g_path_get_basename(pick->routing->path);
    g_autofree char *title =
        g_strdup_printf("%s: %u of %u sequences, %" G_GUINT64_FORMAT " tokens", name, pick->n,
                        pick->routing->n_sequences, moe_pick_tokens(pick));
    g_autoptr(moe_sheet) sheet = moe_trace_figures(stats, title);
    g_autoptr(GString) report = g_string_new(NULL);
    bool ok = moe_sheet_draw(sheet, values->plot, report, error);
    if (values->csv)
        fputs(report->str, stderr);
    else
        moe_out_text(report->str);
    return ok;
}

/* ---- the command ---- */

static int
measure(const moe_pick *pick, const moe_measure_config *config, const stats_values *values)
{
    GError *error = NULL;
    g_autoptr(moe_store) db =
        values->output ? moe_store_open(values->output, MOE_STORE_WRITE, &error) : NULL;
    if (error)
        return moe_say_error(error);
    struct shown shown = {0};
    bool tell = isatty(STDERR_FILENO);
    g_autoptr(moe_stats) stats = moe_trace_measure(pick, config, tell ? show : NULL, &shown);
    if (shown.any)
        fputs("\r\x1b[K", stderr);
    if (values->csv) {
        g_autoptr(GString) text = g_string_new(NULL);
        moe_stats_csv(stats, text);
        moe_out_text(text->str);
    } else {
        print_heading(pick, config);
        print_table(stats);
    }
    print_notes(stats);
    if ((db && !store(db, stats, values, &error)) ||
        (values->plot && !plot(stats, pick, values, &error)))
        return moe_say_error(error);
    return MOE_EXIT_OK;
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const stats_values *values = data;
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GArray) sequences = NULL;
    GError *error = NULL;
    moe_measure_config config = {.groups = read_groups(values->only, diag),
                                 .sample_tokens = (uint64_t)values->sample,
                                 .batch = (uint32_t)values->batch,
                                 .warm = values->start == 1,
                                 .first_fill_miss = values->first_fill == 1,
                                 .singly = values->test == 1,
                                 .pinned = values->test == 2};
    g_autoptr(moe_routing_file) file = moe_routing_open(operands[0], diag, &error);
    moe_selection selection = {values->sequences, values->select, NULL};
    if (file)
        sequences = moe_selection_read(moe_routing_get(file), &selection, diag, &error);
    moe_rank_table table = {0};
    g_autofree uint16_t *ranks = NULL;
    if (file && !error && values->placement)
        ranks = read_placement(values->placement, moe_routing_get(file), &table, diag, &error);
    config.table = ranks ? &table : NULL;
    int code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    if (code || !sequences)
        return code;
    moe_pick pick = {.routing = moe_routing_get(file),
                     .sequences = (const uint32_t *)(const void *)sequences->data,
                     .n = sequences->len};
    return measure(&pick, &config, values);
}

const moe_command moe_trace_stats_command = {
    "stats",
    "FILE",
    1,
    1,
    "Measure what a trace is like: popularity, overlap, affinity, coverage, locality.",
    "  moesim trace stats traces/samples/quickstart.safetensors\n"
    "  moesim trace stats traces/samples/quickstart.safetensors --only overlap --csv\n",
    options,
    MOE_COUNT(options),
    sizeof(stats_values),
    run,
    NULL};
