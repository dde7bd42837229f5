/* moesim trace compare: statistics of two traces beside each other. */
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/selection.h"
#include "traces/synth/compare.h"

#include <math.h>
#include <string.h>

typedef struct compare_values {
    const char *sequences, *select, *of_second, *select_second;
    bool csv;
} compare_values;

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
     .help = "Every row, as statistic,parameter,first,second,distance,worst_layer."},
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
    moe_out("statistic,parameter,first,second,distance,worst_layer\n");
    for (size_t i = 0; i < rows->len; i++) {
        const moe_compared *row = &g_array_index(rows, moe_compared, i);
        moe_out("%s,%s,%.6f,%.6f,%.6f,%.6f\n", row->name, row->parameter, row->first, row->second,
                row->distance, row->worst);
    }
}

static void
add_row(moe_grid *grid, const moe_compared *row, const char *parameter)
{
    moe_grid_add(grid, row->name);
    moe_grid_add(grid, parameter);
    moe_grid_addf(grid, "%.4f", row->first);
    moe_grid_addf(grid, "%.4f", row->second);
    moe_grid_addf(grid, "%.4f", row->distance);
    if (isnan(row->worst))
        moe_grid_add(grid, "");
    else
        moe_grid_addf(grid, "%.4f", row->worst);
}

static void
print_heading(moe_grid *grid)
{
    static const char *const heading[] = {"statistic", "parameter", "first",
                                          "second",    "distance",  "worst layer"};
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
    g_autoptr(moe_grid) all = moe_grid_new(6), farthest = moe_grid_new(6);
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
    if (values->csv)
        print_csv(rows);
    else
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
    "Caches start empty with each sequence, the experts of a token are tested together, and the\n"
    "first use of an expert is no miss while slots are free (`moesim trace stats`).\n"
    "\n"
    "  moesim trace compare real.safetensors synth.safetensors --sequences 300..600\n",
    options,
    MOE_COUNT(options),
    sizeof(compare_values),
    run,
    NULL};
