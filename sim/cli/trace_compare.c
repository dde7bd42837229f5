/* moesim trace compare: statistics of two traces beside each other. */
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/selection.h"
#include "traces/synth/compare.h"

#include <math.h>
#include <string.h>

typedef struct compare_values {
    const char *sequences, *select, *of_second, *select_second;
    bool csv, no_halves;
} compare_values;

#define COLUMNS 7
#define AT(field) offsetof(compare_values, field)

static const moe_option options[] = {
    {"sequences", 0, MOE_OPTION_TEXT, AT(sequences), "A..B,C,…",
     .help = "Only these sequences of the first trace, counted from 0. All by default."},
    {"select", 0, MOE_OPTION_TEXT, AT(select), "FILE",
     .help = "Only sequences of the first trace whose recorded numbers stand in FILE."},
    {"of-second", 0, MOE_OPTION_TEXT, AT(of_second), "A..B,C,…",
     .help = "Only these sequences of the second trace."},
    {"select-second", 0, MOE_OPTION_TEXT, AT(select_second), "FILE",
     .help = "Only sequences of the second trace whose recorded numbers stand in FILE."},
    {"csv", 0, MOE_OPTION_FLAG, AT(csv),
     .help = "Every row, as statistic,parameter,first,second,distance,worst_layer,halves."},
    {"no-halves", 0, MOE_OPTION_FLAG, AT(no_halves),
     .help = "Leave the column 'halves' empty, which takes about a third of the time."},
};

static bool
take(const moe_routing_file *file, const moe_selection *selection, GArray **chosen, moe_pick *pick,
     moe_diag *diag, GError **error)
{
    if (!file)
        return false;
    *chosen = moe_selection_read(moe_routing_get(file), selection, diag, error);
    if (!*chosen)
        return false;
    *pick = (moe_pick){.routing = moe_routing_get(file),
                       .sequences = (const uint32_t *)(const void *)(*chosen)->data,
                       .n = (*chosen)->len};
    return true;
}

static void
print_csv(const GArray *rows)
{
    moe_out("statistic,parameter,first,second,distance,worst_layer,halves\n");
    for (size_t i = 0; i < rows->len; i++) {
        const moe_compared *row = &g_array_index(rows, moe_compared, i);
        const char *quote = strchr(row->name, ',') ? "\"" : "";
        moe_out("%s%s%s,%s,%.6f,%.6f,%.6f,%.6f,%.6f\n", quote, row->name, quote, row->parameter,
                row->first, row->second, row->distance, row->worst, row->halves);
    }
}

static void
add_distance(moe_grid *grid, double distance)
{
    if (isnan(distance))
        moe_grid_add(grid, "");
    else
        moe_grid_addf(grid, "%.4f", distance);
}

static void
add_row(moe_grid *grid, const moe_compared *row, const char *parameter)
{
    moe_grid_add(grid, row->name);
    moe_grid_add(grid, parameter);
    moe_grid_addf(grid, "%.4f", row->first);
    moe_grid_addf(grid, "%.4f", row->second);
    add_distance(grid, row->distance);
    add_distance(grid, row->worst);
    add_distance(grid, row->halves);
}

static void
print_heading(moe_grid *grid)
{
    static const char *const heading[COLUMNS] = {"statistic", "parameter",   "first", "second",
                                                 "distance",  "worst layer", "halves"};
    for (size_t i = 0; i < MOE_COUNT(heading); i++)
        moe_grid_add(grid, heading[i]);
}

/* Rows whose last number is a power of two, and those without a number. */
static bool
is_shown(const moe_compared *row)
{
    const char *at = strchr(row->parameter, '=');
    guint64 number = at ? g_ascii_strtoull(at + 1, NULL, 10) : 0;
    return (number & (number - 1)) == 0;
}

static void
print_tables(const GArray *rows)
{
    g_autoptr(moe_grid) all = moe_grid_new(COLUMNS), farthest = moe_grid_new(COLUMNS);
    print_heading(all);
    print_heading(farthest);
    const moe_compared *far = NULL;
    for (size_t i = 0; i < rows->len; i++) {
        const moe_compared *row = &g_array_index(rows, moe_compared, i);
        if (is_shown(row))
            add_row(all, row, row->parameter);
        if (!far || strcmp(far->name, row->name) != 0) {
            if (far)
                add_row(farthest, far, far->parameter);
            far = row;
        } else if (row->distance > far->distance) {
            far = row;
        }
    }
    if (far)
        add_row(farthest, far, far->parameter);
    moe_grid_print(all, true, "");
    moe_out("\nWhere they are farthest apart:\n");
    moe_grid_print(farthest, true, "");
}

static void
print_sides(const moe_pick *first, const moe_pick *second)
{
    const moe_pick *sides[] = {first, second};
    for (int i = 0; i < 2; i++)
        moe_out("%s: %u of %u sequences, %" G_GUINT64_FORMAT " tokens%s", i ? "second" : "first",
                sides[i]->n, sides[i]->routing->n_sequences, moe_pick_tokens(sides[i]),
                i ? "\n\n" : "; ");
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const compare_values *values = data;
    g_autoptr(moe_diag) diag = moe_diag_new();
    GError *error = NULL;
    g_autoptr(moe_routing_file) first = moe_routing_open(operands[0], diag, &error);
    g_autoptr(moe_routing_file) second = error ? NULL : moe_routing_open(operands[1], diag, &error);
    g_autoptr(GArray) of_first = NULL, of_second = NULL;
    moe_pick a, b;
    g_autoptr(GArray) rows = NULL;
    const moe_selection chosen[] = {{values->sequences, values->select, "--sequences"},
                                    {values->of_second, values->select_second, "--of-second"}};
    if (take(first, &chosen[0], &of_first, &a, diag, &error) &&
        take(second, &chosen[1], &of_second, &b, diag, &error))
        rows = moe_compare(&a, &b, diag);
    int code = moe_say_diag(diag);
    if (error)
        return moe_say_error(error);
    if (!rows)
        return code;
    if (!values->no_halves)
        moe_compare_halves(&a, rows);
    if (values->csv) {
        print_csv(rows);
        return MOE_EXIT_OK;
    }
    print_sides(&a, &b);
    print_tables(rows);
    return MOE_EXIT_OK;
}

const moe_command moe_trace_compare_command = {
    "compare",
    "FIRST SECOND",
    2,
    2,
    "Print statistics of two traces beside each other, and how far they are apart.",
    "distance: of the model's value (the mean over layers); popularity: half of the sum of\n"
    "differences of shares, mean over layers. worst layer: the largest distance of any layer.\n"
    "halves: the same distance between every second chosen sequence of the first trace and the\n"
    "others: what chance makes of it, with half as many sequences. A distance of this size says\n"
    "nothing against the second trace.\n"
    "Caches start empty with each sequence, the experts of a token are tested together, and the\n"
    "first use of an expert is no miss while slots are free (`moesim trace stats`).\n"
    "\n"
    "  moesim trace compare real.safetensors synth.safetensors --sequences 300..600\n",
    options,
    MOE_COUNT(options),
    sizeof(compare_values),
    run,
    NULL};
