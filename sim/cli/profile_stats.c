/* moesim profile stats: what took the time in a profile. */
#include "analysis/recording_view.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/profile_open.h"

#include <string.h>

typedef struct stats_values {
    const char *only, *trace;
    int64_t top;
    bool csv, allow_loss;
} stats_values;

#define AT(field) offsetof(stats_values, field)

static const moe_option options[] = {
    {"only", 0, MOE_OPTION_TEXT, AT(only), "VIEW,…",
     .help = "Only these views: steps, stages, layers, split, idle, launch, queue, kernels, "
             "copies, experts, expert_rows, counters, capture. All but expert_rows by default."},
    {"csv", 0, MOE_OPTION_FLAG, AT(csv),
     .help = "Exact values as CSV, times in ns; several views are apart by an empty line and a "
             "line \"# VIEW\"."},
    {"top", 0, MOE_OPTION_INT, AT(top), "N", NULL, 1, 1000000, "Kernels shown of each stage.", 5},
    {"trace", 0, MOE_OPTION_TEXT, AT(trace), "FILE", .help = MOE_TRACE_HELP},
    {"allow-loss", 0, MOE_OPTION_FLAG, AT(allow_loss), .help = MOE_ALLOW_LOSS_HELP},
};

/* Bits of the views asked for. */
static uint32_t
read_only(const char *text, moe_diag *diag)
{
    size_t n;
    const moe_view_info *infos = moe_view_list(&n);
    g_autofree const char **names = g_new0(const char *, n);
    uint32_t wanted = 0;
    for (size_t v = 0; v < n; v++) {
        names[v] = infos[v].name;
        wanted |= !text && infos[v].shown ? 1u << v : 0;
    }
    g_auto(GStrv) parts = text ? g_strsplit(text, ",", -1) : NULL;
    for (size_t i = 0; parts && parts[i]; i++) {
        size_t v = 0;
        while (v < n && strcmp(names[v], parts[i]) != 0)
            v++;
        const char *close = moe_suggest(parts[i], names, n);
        if (v < n)
            wanted |= 1u << v;
        else
            moe_diag_error(diag, (moe_loc){.file = "--only"}, "no view is called '%s'%s%s%s",
                           parts[i], close ? "; did you mean '" : "", close ? close : "",
                           close ? "'?" : "");
    }
    if (parts && !parts[0])
        moe_diag_error(diag, (moe_loc){.file = "--only"}, "names no view");
    if (moe_diag_errors(diag))
        moe_diag_misused(diag);
    return wanted;
}

/* A column of times, counts or shares that are all 0 or unknown says nothing. */
static bool
is_idle(const moe_view *view, size_t field)
{
    moe_field_kind kind = view->fields[field].kind;
    bool idle = kind == MOE_FIELD_MS || kind == MOE_FIELD_COUNT || kind == MOE_FIELD_SHARE;
    for (size_t r = 0; idle && r < moe_view_rows(view); r++) {
        const moe_cell *cell = moe_view_cell(view, r, field);
        idle = cell->kind == MOE_CELL_NULL || (cell->kind == MOE_CELL_INT && cell->integer == 0);
    }
    return idle;
}

static void
print_view(const moe_view *view)
{
    size_t n_shown = 0;
    g_autofree bool *shown = g_new(bool, view->n_fields);
    for (size_t f = 0; f < view->n_fields; f++)
        n_shown += shown[f] = !is_idle(view, f);
    g_autoptr(moe_grid) grid = moe_grid_new(n_shown);
    moe_out("\n%s\n", view->title);
    for (size_t f = 0; f < view->n_fields; f++)
        if (shown[f])
            moe_grid_add(grid, view->fields[f].heading);
    for (size_t r = 0; r < moe_view_rows(view); r++)
        for (size_t f = 0; f < view->n_fields; f++) {
            if (!shown[f])
                continue;
            g_autofree char *text = moe_view_text(view, r, f);
            moe_grid_add(grid, text);
        }
    moe_grid_print(grid, true, "  ");
    for (size_t i = 0; i < view->notes->len; i++) {
        moe_out("  ");
        moe_out_wrapped(view->notes->pdata[i], 2, 2);
    }
}

static const char *
meta(const moe_recording *recording, const char *name, const char *otherwise)
{
    const char *value = g_hash_table_lookup(recording->meta, name);
    return value && *value ? value : otherwise;
}

static void
print_heading(const moe_recording *recording)
{
    size_t n_copies = 0;
    for (size_t i = 0; i < recording->activities->len; i++)
        n_copies += !moe_work_computes(moe_recording_work(recording, i));
    moe_out("%s: %.3f ms, from %s\n", recording->path,
            (double)(recording->last - recording->first) / 1e6,
            meta(recording, "source", "an unknown source"));
    moe_out("%u steps, %u stage ranges, %zu kernels, %zu copies, %zu calls, %u device%s\n",
            recording->steps->len, recording->ranges->len, recording->n_kernels, n_copies,
            recording->n_calls, recording->n_units, recording->n_units == 1 ? "" : "s");
}

static void
show(const moe_recording *recording, const stats_values *values, uint32_t wanted)
{
    size_t n, shown = 0;
    const moe_view_info *infos = moe_view_list(&n);
    moe_view_config config = {values->top};
    g_autoptr(GString) empty = g_string_new(NULL);
    if (!values->csv)
        print_heading(recording);
    for (size_t v = 0; v < n; v++) {
        if (!(wanted >> v & 1))
            continue;
        g_autoptr(moe_view) view = moe_view_of(recording, &infos[v], &config);
        bool one = (wanted & (wanted - 1)) == 0;
        if (values->csv) {
            g_autoptr(GString) text = g_string_new(NULL);
            moe_view_csv(view, text);
            moe_out("%s", shown++ ? "\n" : "");
            if (!one)
                moe_out("# %s\n", view->name);
            moe_out_text(text->str);
        } else if (moe_view_rows(view) > 0) {
            print_view(view);
        } else {
            g_string_append_printf(empty, "%s%s", empty->len ? ", " : "", view->name);
        }
    }
    if (empty->len)
        moe_out("\nnothing recorded for: %s\n", empty->str);
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const stats_values *values = data;
    g_autoptr(moe_diag) diag = moe_diag_new();
    uint32_t wanted = read_only(values->only, diag);
    int code = moe_say_diag(diag);
    if (code)
        return code;
    /* what is lost is itself a view */
    size_t n_views;
    const moe_view_info *infos = moe_view_list(&n_views);
    bool needs_all = false;
    for (size_t v = 0; v < n_views; v++)
        needs_all = needs_all || ((wanted >> v & 1) && infos[v].needs_all);
    g_autoptr(moe_recording) recording =
        moe_profile_open(operands[0], values->allow_loss || !needs_all, &code);
    if (recording && values->trace)
        code = moe_profile_join(recording, values->trace);
    if (recording && !code)
        show(recording, values, wanted);
    return code;
}

const moe_command moe_profile_stats_command = {
    "stats",
    "NAME.db",
    1,
    1,
    "Say what took the time in a profile: stages, layers, kernels, copies, gaps, experts.",
    "  moesim profile stats run.db\n"
    "  moesim profile stats run.db --only expert_rows --csv > experts.csv\n",
    options,
    MOE_COUNT(options),
    sizeof(stats_values),
    run,
    NULL};
