/* The gnuplot script and its data: one block per file, each whole, so that any of them can be
 * taken out and changed. */
#include "analysis/plot_private.h"

#include <math.h>
#include <string.h>

/* Okabe and Ito: Color Universal Design (2008), in an order that keeps neighbours apart in print.
 */
static const char *const colours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                      "#E69F00", "#56B4E9", "#888888", "#F0E442"};
static const int points[] = {7, 5, 9, 13, 11, 6, 4, 8};
static const char *const dashes[] = {"1", "(10,4)", "(4,3)", "(10,3,2,3)"};

#define CM_PER_INCH 2.54
#define PNG_DPI 300
#define SVG_DPI 96

/* A terminal by file name ending; sizes in its own unit. */
typedef struct terminal {
    const char *ending;
    const char *name;
    double per_cm;
    const char *size_unit, *options;
    bool tex;
} terminal;

static const terminal terminals[] = {
    {".pdf", "pdfcairo", 1, "cm",
     "font 'Sans,7.5' fontscale 0.75 linewidth 1.2 pointscale 0.5 noenhanced", false},
    {".png", "pngcairo", PNG_DPI / CM_PER_INCH, "",
     "font 'Sans,7.5' fontscale 3.125 linewidth 3.5 pointscale 1.9 noenhanced", false},
    {".svg", "svg", SVG_DPI / CM_PER_INCH, "",
     "font 'Sans,10' linewidth 1.2 noenhanced background 'white'", false},
    {".tex", "cairolatex", 1, "cm", "pdf font ',8' linewidth 1.2 pointscale 0.5", true},
};

static const terminal *
find_terminal(const char *file)
{
    for (size_t i = 0; i < MOE_COUNT(terminals); i++)
        if (g_str_has_suffix(file, terminals[i].ending))
            return &terminals[i];
    moe_assert(false, "figure '%s' has no terminal", file);
}

const char *
moe_plot_colour(size_t i)
{
    return colours[i % MOE_COUNT(colours)];
}

const char *
moe_plot_dash(size_t i)
{
    return dashes[i % MOE_COUNT(dashes)];
}

int
moe_plot_point(size_t i)
{
    return points[i % MOE_COUNT(points)];
}

/* ---- data ---- */

static void
append_number(GString *out, double value)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];
    if (isfinite(value))
        g_string_append_printf(out, " %s", g_ascii_formatd(buffer, sizeof buffer, "%.10g", value));
    else
        g_string_append(out, " NaN");
}

void
moe_plot_data_text(const plot_data *data, GString *out)
{
    g_autoptr(GArray) sums = g_array_new(FALSE, TRUE, sizeof(double));
    g_array_set_size(sums, data->x_labels->len);
    g_string_append(out, "# position label value low high bound; blame: low is the sum below\n");
    for (size_t s = 0; s < data->series->len; s++) {
        g_string_append_printf(out, "%s# %s\n", s ? "\n\n" : "",
                               (const char *)g_ptr_array_index(data->series, s));
        for (size_t x = 0; x < data->x_labels->len; x++) {
            plot_cell cell = *plot_data_cell(data, s, x);
            if (data->kind == PLOT_BLAME) {
                double *sum = &g_array_index(sums, double, x);
                cell.low = *sum;
                cell.high = *sum += cell.value;
                cell.bound = NAN;
            }
            g_autofree char *label =
                g_strdelimit(g_strdup(g_ptr_array_index(data->x_labels, x)), "\"\n", ' ');
            char buffer[G_ASCII_DTOSTR_BUF_SIZE];
            g_string_append_printf(
                out, "%s \"%s\"",
                g_ascii_formatd(buffer, sizeof buffer, "%.10g", moe_plot_x_position(data, s, x)),
                label);
            append_number(out, cell.value);
            append_number(out, cell.low);
            append_number(out, cell.high);
            append_number(out, cell.bound);
            g_string_append_c(out, '\n');
        }
    }
}

/* ---- curves ---- */

static bool
has_range(const plot_data *data, size_t series)
{
    for (size_t x = 0; x < data->x_labels->len; x++) {
        const plot_cell *cell = plot_data_cell(data, series, x);
        if (cell->n > 1 && cell->high > cell->low)
            return true;
    }
    return false;
}

/* The bound is drawn once when it does not depend on the series. */
static bool
same_bounds(const plot_data *data)
{
    for (size_t s = 1; s < data->series->len; s++)
        for (size_t x = 0; x < data->x_labels->len; x++) {
            double a = plot_data_cell(data, 0, x)->bound, b = plot_data_cell(data, s, x)->bound;
            if (!(fabs(a - b) <= 1e-9 * fabs(a)))
                return false;
        }
    return true;
}

static bool
any_bound(const plot_data *data)
{
    for (size_t i = 0; data->bound_title && i < data->cells->len; i++)
        if (isfinite(g_array_index(data->cells, plot_cell, i).bound))
            return true;
    return false;
}

static void
append_curve(GString *out, bool first, const char *data_file, size_t index, const char *how)
{
    g_string_append(out, first ? "plot " : ", \\\n     ");
    moe_plot_quote(out, first ? data_file : "", false);
    g_string_append_printf(out, " index %zu using %s", index, how);
}

static void
append_title(GString *out, const char *title, bool tex)
{
    if (!title || !*title) {
        g_string_append(out, " notitle");
        return;
    }
    g_string_append(out, " title ");
    moe_plot_quote(out, title, tex);
}

/* From the lowest to the highest value, as a bar without a point. */
static void
append_range(GString *out, const char *data_file, size_t s, const char *colour)
{
    g_autofree char *how = g_strdup_printf("1:4:(0):($5-$4) with vectors heads size graph 0.008,90 "
                                           "nofilled lc rgb '%s' lw 0.8 dt 1 notitle",
                                           colour);
    append_curve(out, false, data_file, s, how);
}

static void
append_line_curve(GString *out, const plot_data *data, const char *data_file, size_t s, bool tex)
{
    size_t colour = s % MOE_COUNT(colours);
    g_autofree char *style =
        g_strdup_printf("lc rgb '%s' pt %d dt %s lw 1.5 ps 1.2", colours[colour],
                        points[s % MOE_COUNT(points)], dashes[s % MOE_COUNT(dashes)]);
    g_autofree char *line = g_strdup_printf("1:3 with linespoints %s", style);
    append_curve(out, s == 0, data_file, s, line);
    append_title(out, g_ptr_array_index(data->series, s), tex);
    if (has_range(data, s))
        append_range(out, data_file, s, colours[colour]);
}

static void
append_bar_curve(GString *out, const plot_data *data, const char *data_file, size_t s, bool tex)
{
    g_autofree char *box = g_strdup_printf(
        "1:3:(%.4g) with boxes fs solid 0.9 border lc rgb 'black' fc rgb '%s' lw 0.5",
        moe_plot_bar_width(data), colours[s % MOE_COUNT(colours)]);
    append_curve(out, s == 0, data_file, s, box);
    append_title(out, g_ptr_array_index(data->series, s), tex);
    if (has_range(data, s))
        append_range(out, data_file, s, "black");
}

/* Boxes from the sum below to the sum including the part. */
static void
append_stack_curve(GString *out, const plot_data *data, const char *data_file, size_t s, bool tex)
{
    double half = moe_plot_bar_width(data) / 2;
    g_autofree char *box = g_strdup_printf(
        "1:3:($1-%.4g):($1+%.4g):4:5 with boxxyerror fs solid 0.9 border lc rgb 'black' "
        "fc rgb '%s' lw 0.5",
        half, half, colours[s % MOE_COUNT(colours)]);
    append_curve(out, s == 0, data_file, s, box);
    append_title(out, g_ptr_array_index(data->series, s), tex);
}

static void
append_bound_curve(GString *out, const plot_data *data, const char *data_file, size_t s, bool one,
                   bool tex)
{
    const char *colour = one ? "#555555" : colours[s % MOE_COUNT(colours)];
    double half = one ? PLOT_BAR_SHARE / 2 : moe_plot_bar_width(data) / 2;
    g_autofree char *how =
        data->kind == PLOT_LINE
            ? g_strdup_printf("1:6 with lines lc rgb '%s' dt (2,2) lw 1.2", colour)
            : g_strdup_printf(
                  "(%s-%.4g):6:(%.4g):(0) with vectors nohead lc rgb '%s' dt (3,2) lw 1.5",
                  one ? "column(0)" : "$1", half, 2 * half, one ? colour : "#000000");
    append_curve(out, false, data_file, s, how);
    append_title(out, s == 0 ? data->bound_title : NULL, tex);
}

static void
append_curves(GString *out, const plot_data *data, const char *data_file, bool tex)
{
    for (size_t s = 0; s < data->series->len; s++) {
        if (data->kind == PLOT_LINE)
            append_line_curve(out, data, data_file, s, tex);
        else if (data->kind == PLOT_BAR)
            append_bar_curve(out, data, data_file, s, tex);
        else
            append_stack_curve(out, data, data_file, s, tex);
    }
    bool one = same_bounds(data);
    for (size_t s = 0; any_bound(data) && s < (one ? 1 : data->series->len); s++)
        append_bound_curve(out, data, data_file, s, one, tex);
    g_string_append_c(out, '\n');
}

/* ---- blocks ---- */

void
moe_plot_terminal(GString *out, const char *file, double width_cm, double height_cm)
{
    const terminal *term = find_terminal(file);
    g_string_append_printf(out, "reset\nset terminal %s size %.5g%s,%.5g%s %s\nset output ",
                           term->name, width_cm * term->per_cm, term->size_unit,
                           height_cm * term->per_cm, term->size_unit, term->options);
    moe_plot_quote(out, file, false);
    g_string_append(out, "\nset encoding utf8\nset datafile missing 'NaN'\n");
}

/* cairolatex writes FILE.tex and its picture FILE.pdf, or FILE.eps where FILE.pdf is wanted too. */
static bool
clashes(const moe_plot *plot, const char *file)
{
    g_autofree char *stem = g_strndup(file, strlen(file) - strlen(".tex"));
    g_autofree char *pdf = g_strconcat(stem, ".pdf", NULL);
    return moe_plot_find_text(plot->files, pdf) != SIZE_MAX;
}

static void
append_terminal(GString *out, const moe_plot *plot, const terminal *term, double height,
                const char *file)
{
    const plot_config *config = plot->config;
    bool eps = term->tex && clashes(plot, file);
    g_string_append_printf(out, "reset\nset terminal %s%s size %.5g%s,%.5g%s %s\n", term->name,
                           eps ? " eps" : "", config->width * term->per_cm, term->size_unit,
                           height * term->per_cm, term->size_unit,
                           eps ? term->options + strlen("pdf ") : term->options);
    g_string_append(out, "set output ");
    moe_plot_quote(out, file, false);
    g_string_append_c(out, '\n');
}

void
moe_plot_script(const moe_plot *plot, const plot_data *data, const char *data_file, GString *out)
{
    g_string_append_printf(out, "# gnuplot 5; run it in the folder that has '%s'\n", data_file);
    for (size_t f = 0; f < plot->files->len; f++) {
        const char *file = g_ptr_array_index(plot->files, f);
        const terminal *term = find_terminal(file);
        append_terminal(out, plot, term, moe_plot_height(data, plot->config), file);
        g_string_append(out, "set encoding utf8\nset datafile missing 'NaN'\nset border 3 lw 0.7\n"
                             "set tics scale 0.5\n"
                             "set key above horizontal center Left reverse samplen 2 width 1\n");
        moe_plot_axes(out, plot->config, data, term->tex);
        append_curves(out, data, data_file, term->tex);
        g_string_append(out, "unset output\n");
    }
}
