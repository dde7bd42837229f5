/* moesim plot: figures from a database of results. */
#include "sim/cli/command.h"
#include "sim/cli/load.h"
#include "sim/cli/output.h"

#include <string.h>

typedef struct plot_values {
    const char *x, *y, *series, *output, *title;
    int kind, bound, log;
    GPtrArray *where;
} plot_values;

#define AT(field) offsetof(plot_values, field)
#define KINDS "auto|line|bar|blame"
#define BOUNDS "none|contention_free|perfect_cache|roofline"
#define LOGS "none|x|y|xy"

static const moe_option options[] = {
    {"x", 'x', MOE_OPTION_TEXT, AT(x), "KEY", .help = "Swept key along the axis."},
    {"y", 'y', MOE_OPTION_TEXT, AT(y), "METRIC", .help = "What is drawn (`moesim list metrics`)."},
    {"series", 's', MOE_OPTION_TEXT, AT(series), "KEY",
     .help = "Swept key that tells lines or bars apart."},
    {"where", 'w', MOE_OPTION_LIST, AT(where), "KEY=VALUE",
     .help = "Only runs with this value of a swept key; may be repeated."},
    {"kind", 'k', MOE_OPTION_ENUM, AT(kind), "KIND", KINDS, .help = "Form of the figure."},
    {"bound", 'b', MOE_OPTION_ENUM, AT(bound), "BOUND", BOUNDS,
     .help = "Draw this bound of the metric as a dashed line."},
    {"log", 'l', MOE_OPTION_ENUM, AT(log), "AXES", LOGS, .help = "Logarithmic axes."},
    {"title", 't', MOE_OPTION_TEXT, AT(title), "TEXT", .help = "Title above the figure."},
    {"output", 'o', MOE_OPTION_TEXT, AT(output), "FIG",
     .help = "Figure to write: .pdf, .svg, .png or .tex; with FILE.yaml the folder of its "
             "figures."},
};

static int
draw_all(const moe_plots *plots, moe_store *store, const char *folder)
{
    GError *error = NULL;
    g_autoptr(GString) report = g_string_new(NULL);
    bool ok = true;
    for (size_t i = 0; ok && i < moe_plot_count(plots); i++)
        ok = moe_plot_draw(plots, i, store, folder, report, &error);
    moe_out_text(report->str);
    return ok ? MOE_EXIT_OK : moe_say_error(error);
}

/* ---- figures that a scenario describes ---- */

static int
plot_scenario(const plot_values *values, const char *file, const char *database, moe_store *store)
{
    g_autoptr(GPtrArray) loaded = moe_loaded_array();
    moe_load_options load = {0};
    int code = moe_load_all("moesim plot", &file, 1, &load, loaded);
    if (code)
        return code;
    const moe_loaded *scenario = g_ptr_array_index(loaded, 0);
    if (moe_plot_count(scenario->plots) == 0)
        return moe_say_usage("moesim plot", "%s has no section `plot`; give --x and --y", file);
    moe_plot_name_after(scenario->plots, database, scenario->stem);
    return draw_all(scenario->plots, store, values->output ? values->output : ".");
}

/* ---- a figure that the options describe ---- */

static void
append_quoted(GString *out, const char *key, const char *text)
{
    if (!text)
        return;
    g_string_append_printf(out, "\n  %s: '", key);
    for (; *text; text++)
        g_string_append_printf(out, *text == '\'' ? "''" : "%c", *text);
    g_string_append_c(out, '\'');
}

static void
append_choice(GString *out, const char *key, const char *choices, int chosen)
{
    g_auto(GStrv) names = g_strsplit(choices, "|", -1);
    g_string_append_printf(out, "\n  %s: %s", key, names[chosen]);
}

static int
append_where(GString *out, const GPtrArray *where)
{
    g_string_append(out, where->len ? "\n  where:" : "");
    for (size_t i = 0; i < where->len; i++) {
        g_auto(GStrv) parts = g_strsplit(g_ptr_array_index(where, i), "=", 2);
        if (g_strv_length(parts) != 2)
            return moe_say_usage("moesim plot", "'--where' wants KEY=VALUE, not '%s'",
                                 (const char *)g_ptr_array_index(where, i));
        g_string_append(out, "\n  ");
        g_autofree char *key = g_strdup_printf("  '%s'", parts[0]);
        append_quoted(out, key, parts[1]);
    }
    return MOE_EXIT_OK;
}

/* The options as the entry of a `plot` section, so that one reader serves both. */
static int
describe(const plot_values *values, GString *out)
{
    g_string_append(out, "-");
    append_choice(out, "kind", KINDS, values->kind);
    append_choice(out, "bound", BOUNDS, values->bound);
    append_choice(out, "log", LOGS, values->log);
    append_quoted(out, "x", values->x);
    append_quoted(out, "y", values->y);
    append_quoted(out, "series", values->series);
    append_quoted(out, "title", values->title);
    append_quoted(out, "file", values->output);
    return append_where(out, values->where);
}

/* Keys and values of a database are canonical; the user's must be spelt the same. */
static bool
as_stored(void *context, const char *key, const moe_yaml *value, moe_loc at,
          const char **canonical_key, char **canonical_value, moe_diag *diag)
{
    bool absent;
    moe_section_view view = {.frame = context};
    size_t found = moe_section_key(key, at, &view, &absent, diag);
    if (found == SIZE_MAX)
        return false;
    *canonical_key = moe_frame_key(context, found);
    *canonical_value = g_strdup(value->text ? value->text : "");
    return true;
}

static char **
units_of(moe_store *store, char *const *metrics, GError **error)
{
    GPtrArray *units = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; metrics[i]; i++) {
        char *unit = NULL;
        if (!moe_store_unit(store, metrics[i], &unit, error)) {
            g_ptr_array_unref(units);
            return NULL;
        }
        g_ptr_array_add(units, unit ? unit : g_strdup(""));
    }
    g_ptr_array_add(units, NULL);
    return (char **)g_ptr_array_free(units, FALSE);
}

static int
plot_options(const plot_values *values, moe_store *store)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int code = describe(values, text);
    if (code)
        return code;
    GError *error = NULL;
    g_autoptr(moe_frame) frame = moe_store_frame(store, &error);
    g_auto(GStrv) metrics = frame ? moe_store_metrics(store, &error) : NULL;
    g_auto(GStrv) units = metrics ? units_of(store, metrics, &error) : NULL;
    if (!units)
        return moe_say_error(error);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("command line", text->str, text->len, diag);
    g_autoptr(moe_plots) plots = NULL;
    if (doc) {
        moe_section_view view = {.frame = frame,
                                 .metrics = (const char *const *)metrics,
                                 .units = (const char *const *)units,
                                 .n_metrics = g_strv_length(metrics),
                                 .canonical = as_stored,
                                 .context = frame};
        plots = moe_plot_read(moe_yaml_root(doc), "figure", &view, diag);
    }
    code = moe_say_diag(diag);
    return code ? code : draw_all(plots, store, ".");
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    const plot_values *values = data;
    GError *error = NULL;
    if (n == 1 && (!values->x || !values->output || (!values->y && values->kind != 3)))
        return moe_say_usage("moesim plot", "wants FILE.yaml, or --x, --y and -o");
    if (n == 2 && (values->x || values->y || values->series))
        return moe_say_usage("moesim plot", "FILE.yaml and --x, --y exclude each other");
    if (!moe_plot_possible(&error))
        return moe_say_error(error);
    g_autoptr(moe_store) store = moe_store_open(operands[0], MOE_STORE_READ, &error);
    if (!store)
        return moe_say_error(error);
    return n == 2 ? plot_scenario(values, operands[1], operands[0], store)
                  : plot_options(values, store);
}

const moe_command moe_plot_command = {
    "plot",
    "DB [FILE.yaml]",
    1,
    2,
    "Draw figures from stored results, with gnuplot.",
    "Data (.dat) and script (.gp) are kept beside each figure. Figures that FILE.yaml describes\n"
    "begin with the database's name when that is not FILE.db: other-fig.pdf for other.db.\n"
    "\n"
    "  moesim plot quickstart.db scenarios/quickstart.yaml\n"
    "  moesim plot quickstart.db --x experts.cache.capacity --y decode_tokens_per_s \\\n"
    "      --series experts.cache.evict -o capacity.pdf\n"
    "  moesim plot quickstart.db --kind blame --x experts.cache.evict -o blame.png\n",
    options,
    MOE_COUNT(options),
    sizeof(plot_values),
    run,
    NULL};
