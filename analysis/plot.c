#include "analysis/plot_private.h"

#include "sim/base/error.h"

#include <gio/gio.h>
#include <errno.h>
#include <string.h>

#define AT(field) offsetof(plot_config, field)

static const moe_param rows[] = {
    {"kind", MOE_PARAM_ENUM, AT(kind), "auto", .choices = "auto|line|bar|blame",
     .help = "auto: lines over quantities, clustered bars over names; blame: a stack of the shares "
             "of wall time."},
    {"x", MOE_PARAM_TEXT, AT(x), NULL, .flags = MOE_PARAM_REQUIRED,
     .help = "Swept key along the axis."},
    {"y", MOE_PARAM_TEXT, AT(y), NULL, .help = "Metric (`moesim list metrics`); not for blame."},
    {"series", MOE_PARAM_TEXT, AT(series), NULL,
     .help = "Swept key that tells lines or bars apart; blame: clusters."},
    {"bound", MOE_PARAM_ENUM, AT(bound), "none",
     .choices = "none|contention_free|perfect_cache|roofline",
     .help = "Draw this bound of the metric as a dashed line."},
    {"log", MOE_PARAM_ENUM, AT(log), "none", .choices = "none|x|y|xy", .help = "Logarithmic axes."},
    {"title", MOE_PARAM_TEXT, AT(title), NULL, .help = "Title above the figure."},
    {"xlabel", MOE_PARAM_TEXT, AT(xlabel), NULL, .help = "Replaces the label of the x axis."},
    {"ylabel", MOE_PARAM_TEXT, AT(ylabel), NULL, .help = "Replaces the label of the y axis."},
    {"width", MOE_PARAM_REAL, AT(width), "8.5", 4, 40, .unit = "cm",
     .help = "Width of the figure; 8.5 cm is a column of a two-column page."},
    {"height", MOE_PARAM_REAL, AT(height), "6", 3, 40, .unit = "cm",
     .help = "Height of the figure."},
};

static const moe_param_table table = {"plot", rows, MOE_COUNT(rows), sizeof(plot_config)};

const moe_param_table *
moe_plot_table(void)
{
    return &table;
}

static void
plot_free(gpointer data)
{
    moe_plot *plot = data;
    moe_settings_free(plot->settings);
    g_ptr_array_unref(plot->files);
    moe_selector_clear(&plot->where);
    g_free(plot->unit);
    g_free(plot);
}

void
moe_plot_free(moe_plots *plots)
{
    if (!plots)
        return;
    g_ptr_array_unref(plots->list);
    g_free(plots);
}

size_t
moe_plot_count(const moe_plots *plots)
{
    return plots->list->len;
}

static moe_plot *
plot_at(const moe_plots *plots, size_t i)
{
    return g_ptr_array_index(plots->list, i);
}

const char *
moe_plot_metric(const moe_plots *plots, size_t i)
{
    const plot_config *config = plot_at(plots, i)->config;
    return config->kind == PLOT_BLAME ? NULL : config->y;
}

/* ---- reading ---- */

static char *
file_stem(const char *file)
{
    const char *dot = strrchr(file, '.');
    return g_strndup(file, dot ? (size_t)(dot - file) : strlen(file));
}

static bool
stem_taken(const moe_plots *plots, const moe_plot *self, const char *file)
{
    g_autofree char *stem = file_stem(file);
    for (size_t i = 0; i < plots->list->len; i++) {
        const moe_plot *other = plot_at(plots, i);
        for (size_t f = 0; other != self && f < other->files->len; f++) {
            g_autofree char *taken = file_stem(g_ptr_array_index(other->files, f));
            if (!strcmp(stem, taken))
                return true;
        }
    }
    return false;
}

static void
read_file(const moe_plots *plots, moe_plot *plot, const moe_yaml *node, moe_diag *diag)
{
    static const char *const endings[] = {".pdf", ".svg", ".png", ".tex"};
    const char *name = NULL;
    if (!moe_yaml_text(node, "file", &name, diag))
        return;
    bool known = false;
    for (size_t i = 0; i < MOE_COUNT(endings); i++)
        known = known || g_str_has_suffix(name, endings[i]);
    if (!known)
        moe_diag_error(diag, node->loc, "'%s': figures end in .pdf, .svg, .png or .tex", name);
    else if (stem_taken(plots, plot, name))
        moe_diag_error(diag, node->loc, "'%s' would overwrite another figure's files", name);
    else
        g_ptr_array_add(plot->files, g_strdup(name));
}

static void
read_files(const moe_plots *plots, moe_plot *plot, const moe_yaml *node, const char *stem,
           moe_diag *diag)
{
    unsigned number = plots->list->len;
    if (!node && number == 1)
        g_ptr_array_add(plot->files, g_strdup_printf("%s.pdf", stem));
    else if (!node)
        g_ptr_array_add(plot->files, g_strdup_printf("%s-%u.pdf", stem, number));
    else if (node->kind == MOE_YAML_LIST)
        for (size_t i = 0; i < node->n; i++)
            read_file(plots, plot, &node->items[i], diag);
    else
        read_file(plots, plot, node, diag);
}

static void
read_metric(moe_plot *plot, const moe_yaml *node, const moe_section_view *view, moe_diag *diag)
{
    const moe_yaml *y = moe_yaml_get(node, "y");
    bool blame = plot->config->kind == PLOT_BLAME;
    if (!y && !blame)
        moe_diag_error(diag, node->loc, "needs `y`, a metric (`moesim list metrics`)");
    if (y && blame)
        moe_diag_error(diag, y->loc, "`kind: blame` shows shares of wall time and takes no `y`");
    if (!y || blame)
        return;
    size_t at = moe_section_metric(y, view, diag);
    plot->unit = g_strdup(at == SIZE_MAX ? "" : view->units[at]);
}

static void
read_one(moe_plots *plots, const moe_yaml *node, const char *stem, const moe_section_view *view,
         moe_diag *diag)
{
    static const char *const skip[] = {"file", "where", NULL};
    if (node->kind != MOE_YAML_MAP) {
        moe_diag_error(diag, node->loc, "a figure is a map with x, y, …, not %s",
                       moe_yaml_kind_name(node->kind));
        return;
    }
    moe_plot *plot = g_new0(moe_plot, 1);
    g_ptr_array_add(plots->list, plot);
    plot->settings = moe_settings_new(&table);
    plot->config = moe_settings_data(plot->settings);
    plot->files = g_ptr_array_new_with_free_func(g_free);
    plot->x = plot->series = SIZE_MAX;
    moe_selector_init(&plot->where);
    moe_settings_read(plot->settings, node, skip, false, diag);
    moe_section_require(&table, node, diag);
    const moe_yaml *x = moe_yaml_get(node, "x"), *series = moe_yaml_get(node, "series");
    const moe_yaml *where = moe_yaml_get(node, "where");
    if (plot->config->x)
        plot->x = moe_section_key(plot->config->x, x->loc, view, &plot->absent, diag);
    if (plot->config->series)
        plot->series =
            moe_section_key(plot->config->series, series->loc, view, &plot->absent, diag);
    if (where)
        moe_section_select(where, view, &plot->where, &plot->absent, diag);
    read_metric(plot, node, view, diag);
    read_files(plots, plot, moe_yaml_get(node, "file"), stem, diag);
}

moe_plots *
moe_plot_read(const moe_yaml *section, const char *stem, const moe_section_view *view,
              moe_diag *diag)
{
    moe_plots *plots = g_new0(moe_plots, 1);
    plots->frame = view->frame;
    plots->list = g_ptr_array_new_with_free_func(plot_free);
    if (section && section->kind != MOE_YAML_LIST)
        moe_diag_error(diag, section->loc, "'plot' wants a list, not %s",
                       moe_yaml_kind_name(section->kind));
    else if (section)
        for (size_t i = 0; i < section->n; i++)
            read_one(plots, &section->items[i], stem, view, diag);
    return plots;
}

void
moe_plot_name_after(moe_plots *plots, const char *database, const char *stem)
{
    g_autofree char *base = g_path_get_basename(database);
    g_autofree char *prefix = file_stem(base);
    if (!strcmp(prefix, stem))
        return;
    for (size_t i = 0; i < plots->list->len; i++) {
        GPtrArray *files = plot_at(plots, i)->files;
        for (size_t f = 0; f < files->len; f++) {
            g_autofree char *file = files->pdata[f];
            const char *slash = strrchr(file, '/');
            const char *name = slash ? slash + 1 : file;
            files->pdata[f] = g_strdup_printf("%.*s%s-%s", (int)(name - file), file, prefix, name);
        }
    }
}

/* ---- drawing ---- */

bool
moe_plot_possible(GError **error)
{
    g_autofree char *program = g_find_program_in_path("gnuplot");
    if (!program)
        g_set_error(error, MOE_ERROR, MOE_ERROR_PROGRAM,
                    "gnuplot is not installed, so no figures are drawn");
    return program != NULL;
}

/* gnuplot says what is wrong on its standard error. */
bool
moe_plot_run(const char *folder, const char *script, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
        G_SUBPROCESS_FLAGS_STDERR_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
    g_subprocess_launcher_set_cwd(launcher, folder);
    g_autofree char *said = NULL;
    g_autoptr(GSubprocess) process =
        g_subprocess_launcher_spawn(launcher, error, "gnuplot", script, NULL);
    if (!process || !g_subprocess_communicate_utf8(process, NULL, NULL, NULL, &said, error))
        return false;
    if (g_subprocess_get_successful(process))
        return true;
    g_strstrip(said);
    moe_error_path(error, MOE_ERROR_PROGRAM, script, 0, "gnuplot failed: %s", said);
    return false;
}

static char *
below(const char *folder, const char *name)
{
    if (g_path_is_absolute(name) || !strcmp(folder, "."))
        return g_strdup(name);
    return g_build_filename(folder, name, NULL);
}

bool
moe_plot_write(const char *folder, const char *name, const GString *text, GError **error)
{
    g_autofree char *path = below(folder, name);
    return g_file_set_contents(path, text->str, (gssize)text->len, error);
}

bool
moe_plot_folder(const char *folder, GError **error)
{
    if (g_mkdir_with_parents(folder, 0777) == 0)
        return true;
    moe_error_path(error, MOE_ERROR_FILE, folder, errno, "cannot be made");
    return false;
}

static void
report_files(const moe_plot *plot, const char *folder, const char *script, GString *report)
{
    for (size_t f = 0; f < plot->files->len; f++) {
        g_autofree char *path = below(folder, g_ptr_array_index(plot->files, f));
        g_string_append_printf(report, "%s%s", f ? ", " : "figure: ", path);
    }
    g_string_append_printf(report, " (script: %s)\n", script);
}

static bool
is_empty(const plot_data *data)
{
    for (size_t i = 0; i < data->cells->len; i++)
        if (g_array_index(data->cells, plot_cell, i).n > 0)
            return false;
    return true;
}

bool
moe_plot_draw(const moe_plots *plots, size_t i, moe_store *store, const char *folder,
              GString *report, GError **error)
{
    const moe_plot *plot = plot_at(plots, i);
    const char *first = g_ptr_array_index(plot->files, 0);
    g_autoptr(plot_data) data = NULL;
    if (!plot->absent && !(data = moe_plot_collect(plot, plots->frame, store, error)))
        return false;
    if (!data || is_empty(data)) {
        g_string_append_printf(report, "figure: %s left out, no run has what it shows\n", first);
        return true;
    }
    g_autofree char *stem = file_stem(first);
    g_autofree char *data_file = g_strconcat(stem, ".dat", NULL);
    g_autofree char *script_file = g_strconcat(stem, ".gp", NULL);
    g_autoptr(GString) numbers = g_string_new(NULL);
    g_autoptr(GString) script = g_string_new(NULL);
    g_autofree char *target = below(folder, first);
    g_autofree char *target_folder = g_path_get_dirname(target);
    if (!moe_plot_folder(target_folder, error))
        return false;
    moe_plot_data_text(data, numbers);
    moe_plot_script(plot, data, data_file, script);
    if (!moe_plot_write(folder, data_file, numbers, error) ||
        !moe_plot_write(folder, script_file, script, error) ||
        !moe_plot_run(folder, script_file, error))
        return false;
    report_files(plot, folder, script_file, report);
    return true;
}
