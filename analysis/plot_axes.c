/* Axes, their labels, and the room that these take. */
#include "analysis/plot_private.h"

#include <string.h>

#define CM_PER_LETTER 0.14 /* at 7.5 points */
#define CM_PER_LINE 0.34

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

void
moe_plot_quote(GString *out, const char *text, bool tex)
{
    quote_as(out, text, tex, false);
}

static void
set_text(GString *out, const char *what, const char *text, bool tex)
{
    g_string_append_printf(out, "set %s ", what);
    moe_plot_quote(out, text, tex);
    g_string_append_c(out, '\n');
}

double
moe_plot_bar_width(const plot_data *data)
{
    size_t n = data->kind == PLOT_BLAME ? 1 : data->series->len;
    return PLOT_BAR_SHARE / (double)n;
}

/* Where a value stands on the x axis. Blame: clusters with a gap between them. */
double
moe_plot_x_position(const plot_data *data, size_t series, size_t x)
{
    if (data->kind == PLOT_LINE)
        return data->numeric ? g_array_index(data->x_numbers, double, x) : (double)x;
    if (data->kind == PLOT_BAR)
        return (double)x +
               ((double)series - ((double)data->series->len - 1) / 2) * moe_plot_bar_width(data);
    double gaps = 0;
    for (size_t i = 1; i <= x; i++)
        gaps +=
            strcmp(g_ptr_array_index(data->groups, i), g_ptr_array_index(data->groups, i - 1)) != 0;
    return (double)x + 0.6 * gaps;
}

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
    double position = data->kind == PLOT_BAR ? (double)x : moe_plot_x_position(data, 0, x);
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
double
moe_plot_height(const plot_data *data, const plot_config *config)
{
    double lines = (double)legend_rows(data, config) - 1 + label_rows(data, config) - 1;
    lines += has_groups(data) + (data->kind != PLOT_BLAME && data->series_title);
    lines += data->note && !config->title;
    return config->height + CM_PER_LINE * lines;
}

/* Many numbers are left to gnuplot; a few, and all names, are labelled each. */
static void
append_x_axis(GString *out, const plot_data *data, const plot_config *config, bool tex)
{
    size_t n = data->x_labels->len;
    double last =
        moe_plot_x_position(data, data->kind == PLOT_BAR ? 0 : data->series->len - 1, n - 1);
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
    moe_plot_quote(out, title, tex);
    g_string_append_printf(out, " at graph 0.5, graph 0 offset 0,%.3g center\n", -2.3 - rows);
    for (size_t first = 0, end; first < data->groups->len; first = end) {
        const char *name = g_ptr_array_index(data->groups, first);
        for (end = first + 1; end < data->groups->len; end++)
            if (strcmp(name, g_ptr_array_index(data->groups, end)) != 0)
                break;
        if (!*name)
            continue;
        double middle =
            (moe_plot_x_position(data, 0, first) + moe_plot_x_position(data, 0, end - 1)) / 2;
        g_string_append(out, "set label ");
        moe_plot_quote(out, name, tex);
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

/* What marks mean stands with the title. */
static void
append_title(GString *out, const char *title, const char *note, bool tex)
{
    g_autofree char *both = title && note ? g_strdup_printf("%s (%s)", title, note) : NULL;
    const char *text = both ? both : title ? title : note;
    if (text)
        set_text(out, "title", text, tex);
}

void
moe_plot_axes(GString *out, const plot_config *config, const plot_data *data, bool tex)
{
    if (data->series_title && data->kind != PLOT_BLAME)
        set_text(out, "key title", data->series_title, tex);
    append_title(out, config->title, data->note, tex);
    set_text(out, "xlabel", data->x_title, tex);
    set_text(out, "ylabel", data->y_title, tex);
    append_x_axis(out, data, config, tex);
    append_y_axis(out, data, config);
    append_groups(out, data, config, tex);
}
