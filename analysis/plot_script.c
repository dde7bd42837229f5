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
#define CM_PER_LETTER 0.14 /* at 7.5 points */
#define CM_PER_LINE 0.34
#define BAR_SHARE 0.8 /* of a cluster's room */

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

/* A single-quoted gnuplot text, with LaTeX's special characters escaped where LaTeX sets it. Labels
 * of tics are formats: they need `%` twice. */
static void
quote_as(GString *out, const char *text, bool tex, bool format)
{
    g_string_append_c(out, '\'');
    for (; *text; text++) {
        if (tex && strchr("%_&#${}", *text))
            g_string_append_c(out, '\\');
        if (format && *text == '%')
            g_string_append_c(out, '%');
        if (*text == '\'')
            g_string_append_c(out, '\'');
        g_string_append_c(out, *text == '\n' ? ' ' : *text);
    }
    g_string_append_c(out, '\'');
}

static void
quote(GString *out, const char *text, bool tex)
{
    quote_as(out, text, tex, false);
}

static void
set_text(GString *out, const char *what, const char *text, bool tex)
{
    g_string_append_printf(out, "set %s ", what);
    quote(out, text, tex);
    g_string_append_c(out, '\n');
}

static double
bar_width(const plot_data *data)
{
    size_t n = data->kind == PLOT_BLAME ? 1 : data->series->len;
    return BAR_SHARE / (double)n;
}

/* Where a value stands on the x axis. Blame: clusters with a gap between them. */
static double
x_position(const plot_data *data, size_t series, size_t x)
{
    if (data->kind == PLOT_LINE)
        return data->numeric ? g_array_index(data->x_numbers, double, x) : (double)x;
    if (data->kind == PLOT_BAR)
        return (double)x + ((double)series - ((double)data->series->len - 1) / 2) * bar_width(data);
    double gaps = 0;
    for (size_t i = 1; i <= x; i++)
        gaps +=
            strcmp(g_ptr_array_index(data->groups, i), g_ptr_array_index(data->groups, i - 1)) != 0;
    return (double)x + 0.6 * gaps;
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
                g_ascii_formatd(buffer, sizeof buffer, "%.10g", x_position(data, s, x)), label);
            append_number(out, cell.value);
            append_number(out, cell.low);
            append_number(out, cell.high);
            append_number(out, cell.bound);
            g_string_append_c(out, '\n');
        }
    }
}

/* ---- axes ---- */

static size_t
longest_label(const plot_data *data)
{
    size_t longest = 0;
    for (size_t i = 0; i < data->x_labels->len; i++)
        longest = MAX(longest, strlen(g_ptr_array_index(data->x_labels, i)));
    return longest;
}

static void
append_tic(GString *out, const plot_data *data, size_t x, bool tex)
{
    double position = data->kind == PLOT_BAR ? (double)x : x_position(data, 0, x);
    char buffer[G_ASCII_DTOSTR_BUF_SIZE], label[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append(out, x ? ", " : "");
    if (data->numeric)
        quote_as(out, g_ascii_formatd(label, sizeof label, "%.4g", position), tex, true);
    else
        quote_as(out, g_ptr_array_index(data->x_labels, x), tex, true);
    g_string_append_printf(out, " %s", g_ascii_formatd(buffer, sizeof buffer, "%.10g", position));
}

static bool
labels_turn(const plot_data *data, const plot_config *config)
{
    double room_cm = (config->width - 1.6) / (double)data->x_labels->len;
    return !data->numeric && (double)(longest_label(data) + 1) * CM_PER_LETTER > room_cm;
}

/* Lines of text that the labels of the x axis take. */
static double
label_rows(const plot_data *data, const plot_config *config)
{
    return labels_turn(data, config) ? 1 + 0.3 * (double)longest_label(data) : 1;
}

static bool
has_groups(const plot_data *data)
{
    for (size_t i = 0; data->kind == PLOT_BLAME && i < data->groups->len; i++)
        if (*(const char *)g_ptr_array_index(data->groups, i))
            return true;
    return false;
}

/* Lines of the legend, as gnuplot will set it in equal columns. */
static size_t
legend_rows(const plot_data *data, const plot_config *config)
{
    size_t longest = data->bound_title ? strlen(data->bound_title) : 0;
    size_t n = data->series->len + (data->bound_title != NULL);
    for (size_t s = 0; s < data->series->len; s++)
        longest = MAX(longest, strlen(g_ptr_array_index(data->series, s)));
    double column_cm = (double)longest * CM_PER_LETTER + 1.0;
    size_t columns = (size_t)MAX(1, (config->width - 1.2) / column_cm);
    return (n + columns - 1) / columns;
}

/* The height grows with what stands around the axes, so that these keep their room. */
static double
height_cm(const plot_data *data, const plot_config *config)
{
    double lines = (double)legend_rows(data, config) - 1 + label_rows(data, config) - 1;
    lines += has_groups(data) + (data->kind != PLOT_BLAME && data->series_title);
    return config->height + CM_PER_LINE * lines;
}

/* Many numbers are left to gnuplot; a few, and all names, are labelled each. */
static void
append_x_axis(GString *out, const plot_data *data, const plot_config *config, bool tex)
{
    size_t n = data->x_labels->len;
    double last = x_position(data, data->kind == PLOT_BAR ? 0 : data->series->len - 1, n - 1);
    if (!data->numeric || n <= 8) {
        g_string_append_printf(out, "set xtics %s(",
                               labels_turn(data, config) ? "rotate by -35 " : "");
        for (size_t x = 0; x < n; x++)
            append_tic(out, data, x, tex);
        g_string_append(out, ") nomirror\n");
    } else {
        g_string_append(out, "set xtics nomirror\n");
    }
    if (data->kind == PLOT_BLAME)
        g_string_append_printf(out, "set xrange [-0.7:%.4g]\n", last + 0.7);
    else if (!data->numeric)
        g_string_append_printf(out, "set xrange [-0.6:%.4g]\n", (double)n - 0.4);
    else
        g_string_append(out, "set offsets graph 0.04, graph 0.04, 0, 0\n");
}

/* Names of clusters below the labels of their bars. */
static void
append_groups(GString *out, const plot_data *data, const plot_config *config, bool tex)
{
    if (!has_groups(data))
        return;
    double rows = label_rows(data, config);
    g_autofree char *title = data->series_title
                                 ? g_strdup_printf("%s, by %s", data->x_title, data->series_title)
                                 : g_strdup(data->x_title);
    g_string_append_printf(out, "unset xlabel\nset bmargin %.3g\nset label ", rows + 3.4);
    quote(out, title, tex);
    g_string_append_printf(out, " at graph 0.5, graph 0 offset 0,%.3g center\n", -2.3 - rows);
    for (size_t first = 0, end; first < data->groups->len; first = end) {
        const char *name = g_ptr_array_index(data->groups, first);
        for (end = first + 1; end < data->groups->len; end++)
            if (strcmp(name, g_ptr_array_index(data->groups, end)) != 0)
                break;
        if (!*name)
            continue;
        double middle = (x_position(data, 0, first) + x_position(data, 0, end - 1)) / 2;
        g_string_append(out, "set label ");
        quote(out, name, tex);
        g_string_append_printf(out, " at first %.4g, graph 0 offset 0,%.3g center\n", middle,
                               -1.0 - rows);
    }
}

static bool
all_positive(const plot_data *data)
{
    for (size_t i = 0; i < data->cells->len; i++)
        if (g_array_index(data->cells, plot_cell, i).low <= 0)
            return false;
    return true;
}

static void
append_y_axis(GString *out, const plot_data *data, const plot_config *config)
{
    bool log_y = config->log == PLOT_LOG_Y || config->log == PLOT_LOG_XY;
    bool log_x = config->log == PLOT_LOG_X || config->log == PLOT_LOG_XY;
    if (log_x && data->numeric)
        g_string_append(out, "set logscale x\n");
    if (data->kind == PLOT_BLAME)
        g_string_append(out, "set yrange [0:100]\n");
    else if (log_y && all_positive(data))
        g_string_append(out, "set logscale y\n");
    else if (all_positive(data))
        g_string_append(out, "set yrange [0:*]\n");
    g_string_append(out, "set ytics nomirror\nset grid ytics lc '#dddddd' lw 0.5 dt 1\n");
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
    quote(out, first ? data_file : "", false);
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
    quote(out, title, tex);
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
        bar_width(data), colours[s % MOE_COUNT(colours)]);
    append_curve(out, s == 0, data_file, s, box);
    append_title(out, g_ptr_array_index(data->series, s), tex);
    if (has_range(data, s))
        append_range(out, data_file, s, "black");
}

/* Boxes from the sum below to the sum including the part. */
static void
append_stack_curve(GString *out, const plot_data *data, const char *data_file, size_t s, bool tex)
{
    double half = bar_width(data) / 2;
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
    double half = one ? BAR_SHARE / 2 : bar_width(data) / 2;
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
    quote(out, file, false);
    g_string_append_c(out, '\n');
}

void
moe_plot_script(const moe_plot *plot, const plot_data *data, const char *data_file, GString *out)
{
    g_string_append_printf(out, "# gnuplot 5; run it in the folder that has '%s'\n", data_file);
    for (size_t f = 0; f < plot->files->len; f++) {
        const char *file = g_ptr_array_index(plot->files, f);
        const terminal *term = find_terminal(file);
        append_terminal(out, plot, term, height_cm(data, plot->config), file);
        g_string_append(out, "set encoding utf8\nset datafile missing 'NaN'\nset border 3 lw 0.7\n"
                             "set tics scale 0.5\n"
                             "set key above horizontal center Left reverse samplen 2 width 1\n");
        if (data->series_title && data->kind != PLOT_BLAME)
            set_text(out, "key title", data->series_title, term->tex);
        if (plot->config->title)
            set_text(out, "title", plot->config->title, term->tex);
        set_text(out, "xlabel", data->x_title, term->tex);
        set_text(out, "ylabel", data->y_title, term->tex);
        append_x_axis(out, data, plot->config, term->tex);
        append_y_axis(out, data, plot->config);
        append_groups(out, data, plot->config, term->tex);
        append_curves(out, data, data_file, term->tex);
        g_string_append(out, "unset output\n");
    }
}
