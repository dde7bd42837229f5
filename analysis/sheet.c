#include "analysis/sheet.h"

#include "analysis/plot_private.h"

#include <math.h>
#include <string.h>

#define PANEL_WIDTH_CM 8.5
#define PANEL_HEIGHT_CM 6.2
#define ALIKE_HEIGHT_CM 8.2 /* of a panel that is as high as it is wide */
#define PAGE_WIDTH_CM 18.0
#define PAGE_ROW_CM 6.8
#define PAGE_FILLED 0.95 /* of a row's height: what is below stays apart */
#define PAGE_TITLE_CM 0.8
#define INTERVAL_SEEN 0.015 /* of the y axis */

typedef struct curve {
    char *title;
    moe_curve_style style;
    GArray *points; /* double [4]: x y low high; heat map: x y z */
} curve;

struct moe_panel {
    moe_panel_config config; /* texts owned */
    GPtrArray *curves;       /* curve; a heat map's only one holds its cells */
};

struct moe_sheet {
    char *title;
    GPtrArray *panels;
};

static void
curve_free(gpointer data)
{
    curve *c = data;
    g_free(c->title);
    g_array_unref(c->points);
    g_free(c);
}

static void
panel_free(gpointer data)
{
    moe_panel *panel = data;
    const char *const texts[] = {panel->config.name,    panel->config.title,
                                 panel->config.x_label, panel->config.y_label,
                                 panel->config.z_label, panel->config.interval};
    for (size_t i = 0; i < MOE_COUNT(texts); i++)
        g_free((gpointer)(uintptr_t)texts[i]);
    g_ptr_array_unref(panel->curves);
    g_free(panel);
}

moe_sheet *
moe_sheet_new(const char *title)
{
    moe_sheet *sheet = g_new0(moe_sheet, 1);
    sheet->title = g_strdup(title);
    sheet->panels = g_ptr_array_new_with_free_func(panel_free);
    return sheet;
}

void
moe_sheet_free(moe_sheet *sheet)
{
    if (!sheet)
        return;
    g_free(sheet->title);
    g_ptr_array_unref(sheet->panels);
    g_free(sheet);
}

size_t
moe_sheet_panels(const moe_sheet *sheet)
{
    return sheet->panels->len;
}

moe_panel *
moe_sheet_add(moe_sheet *sheet, const moe_panel_config *config)
{
    moe_panel *panel = g_new0(moe_panel, 1);
    panel->config = *config;
    panel->config.name = g_strdup(config->name);
    panel->config.title = g_strdup(config->title);
    panel->config.x_label = g_strdup(config->x_label);
    panel->config.y_label = g_strdup(config->y_label);
    panel->config.z_label = g_strdup(config->z_label);
    panel->config.interval = g_strdup(config->interval);
    panel->curves = g_ptr_array_new_with_free_func(curve_free);
    if (config->z_label)
        moe_panel_curve(panel, NULL, MOE_CURVE_LINE);
    g_ptr_array_add(sheet->panels, panel);
    return panel;
}

void
moe_panel_curve(moe_panel *panel, const char *title, moe_curve_style style)
{
    curve *c = g_new0(curve, 1);
    c->title = g_strdup(title);
    c->style = style;
    c->points = g_array_new(FALSE, FALSE, 4 * sizeof(double));
    g_ptr_array_add(panel->curves, c);
}

void
moe_panel_point(moe_panel *panel, double x, double y, double low, double high)
{
    const curve *last = g_ptr_array_index(panel->curves, panel->curves->len - 1);
    double scale = panel->config.percent ? 100 : 1;
    const double point[4] = {x, y * scale, low * scale, high * scale};
    g_array_append_val(last->points, point);
}

void
moe_panel_cell(moe_panel *panel, double x, double y, double z)
{
    const curve *cells = g_ptr_array_index(panel->curves, 0);
    const double cell[4] = {x, y, z * (panel->config.percent ? 100 : 1), NAN};
    g_array_append_val(cells->points, cell);
}

/* ---- data ---- */

static void
append_numbers(GString *out, const double *numbers, size_t n)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(out, "%s%s", i ? " " : "",
                               isfinite(numbers[i])
                                   ? g_ascii_formatd(buffer, sizeof buffer, "%.10g", numbers[i])
                                   : "NaN");
    g_string_append_c(out, '\n');
}

static void
append_data(GString *out, const moe_panel *panel)
{
    bool heat = panel->config.z_label != NULL;
    g_string_append_printf(out, "# %s: %s\n# %s\n", panel->config.name, panel->config.title,
                           heat ? "x y z" : "x y low high");
    for (size_t c = 0; c < panel->curves->len; c++) {
        const curve *at = g_ptr_array_index(panel->curves, c);
        g_string_append_printf(out, "%s# %s\n", c ? "\n\n" : "", at->title ? at->title : "");
        for (size_t i = 0; i < at->points->len; i++)
            append_numbers(out, (const double *)(const void *)at->points->data + 4 * i,
                           heat ? 3 : 4);
    }
}

/* ---- scripts ---- */

static void
set_text(GString *out, const char *what, const char *text)
{
    g_string_append_printf(out, "set %s ", what);
    moe_plot_quote(out, text, false);
    g_string_append_c(out, '\n');
}

/* From the smallest to the largest number of either axis, with some room; bands end there. */
static void
alike_range(const moe_panel *panel, double *low, double *high)
{
    *low = INFINITY;
    *high = 0;
    for (size_t c = 0; c < panel->curves->len; c++) {
        const curve *at = g_ptr_array_index(panel->curves, c);
        const double *points = (const double *)(const void *)at->points->data;
        for (size_t i = 0; at->style != MOE_CURVE_BAND && i < at->points->len; i++) {
            *low = fmin(*low, fmin(points[4 * i], points[4 * i + 1]));
            *high = fmax(*high, fmax(points[4 * i], points[4 * i + 1]));
        }
    }
    *low /= 1.25;
    *high *= 1.25;
}

/* Powers of ten of microseconds by their names (of few, their doubles and halves, too), and what
 * lies between them. */
static void
append_times(GString *out, char axis, double low, double high)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    const char *separator = "";
    bool narrow = high < 50 * low;
    g_string_append_printf(out, "set %ctics (", axis);
    for (int power = -3; power < 9; power++)
        for (int digit = 1; digit < 10; digit++) {
            double at = digit * pow(10, power);
            int thousands = (power + 3) / 3;
            if (at < low || at > high)
                continue;
            g_string_append(out, separator);
            if (digit == 1 || (narrow && (digit == 2 || digit == 5)))
                g_string_append_printf(out, "'%g %s' %g",
                                       digit * pow(10, power + 3 - 3 * thousands), units[thousands],
                                       at);
            else
                g_string_append_printf(out, "'' %g 1", at);
            separator = ", ";
        }
    g_string_append(out, ")\n");
}

static void
append_alike_axes(GString *out, const moe_panel *panel)
{
    double low = 0, high = 0;
    alike_range(panel, &low, &high);
    g_string_append_printf(out,
                           "set border 3 lw 0.7\nset grid lw 0.4 lc rgb '#dddddd'\n"
                           "set key inside bottom right Left reverse samplen 1 width 0 font ',6'\n"
                           "set logscale xy 10\n"
                           "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\n",
                           low, high, low, high);
    append_times(out, 'x', low, high);
    append_times(out, 'y', low, high);
    set_text(out, "title", panel->config.title);
    g_string_append(out, "set title offset 0,-0.6\n");
}

/* Cells stand at whole numbers: where there are few, gnuplot would name halves between them. */
static void
append_whole_tics(GString *out, const moe_panel *panel)
{
    enum { FEW = 8 };
    const curve *cells = g_ptr_array_index(panel->curves, 0);
    const double *points = (const double *)(const void *)cells->points->data;
    for (int axis = 0; axis < 2; axis++) {
        double low = INFINITY, high = -INFINITY;
        for (size_t i = 0; i < cells->points->len; i++) {
            low = fmin(low, points[4 * i + (size_t)axis]);
            high = fmax(high, points[4 * i + (size_t)axis]);
        }
        if (high - low <= FEW)
            g_string_append_printf(out, "set %ctics 1\n", "xy"[axis]);
    }
}

static void
append_axes(GString *out, const moe_panel *panel)
{
    const moe_panel_config *config = &panel->config;
    set_text(out, "xlabel", config->x_label);
    set_text(out, "ylabel", config->y_label);
    g_string_append(out, "set tics scale 0.5 nomirror\nset xtics autofreq\nset ytics autofreq\n");
    if (config->z_label) {
        set_text(out, "title", config->title);
        g_string_append(out, "set title offset 0,-0.5\n");
        set_text(out, "cblabel", config->z_label);
        /* one hue from light to dark, as colour-blind readers and grey prints show it */
        g_string_append(out,
                        "set palette defined (0 '#f7fbff', 0.25 '#c6dbef', 0.5 '#6baed6', "
                        "0.75 '#2171b5', 1 '#08224e')\nset cbrange [0:*]\nset border 15 lw 0.7\n"
                        "set yrange [*:*] reverse\nset autoscale fix\nunset key\n"
                        "set tics out\nset cbtics in\n");
        append_whole_tics(out, panel);
        return;
    }
    if (config->alike) {
        append_alike_axes(out, panel);
        return;
    }
    /* the title is the legend's, so that it stands above it; the axis ends where the data do */
    g_string_append(out, "set border 3 lw 0.7\nset grid lw 0.4 lc rgb '#dddddd'\n"
                         "set key above horizontal center Left reverse samplen 1.5 width 1\n"
                         "set autoscale xfix\n");
    set_text(out, "key title", config->title);
    if (config->log_x)
        g_string_append(out, "set logscale x 2\n");
    if (isnan(config->y_max))
        g_string_append(out, "set yrange [0:*]\n");
    else
        g_string_append_printf(out, "set yrange [0:%g]\n", config->y_max);
}

static void
append_plot(GString *out, const char *data_file, size_t index, bool first)
{
    g_string_append(out, first ? "plot " : ", \\\n     ");
    moe_plot_quote(out, first ? data_file : "", false);
    g_string_append_printf(out, " index %zu ", index);
}

static void
append_title(GString *out, const char *title)
{
    g_string_append(out, title ? " title " : " notitle");
    if (title)
        moe_plot_quote(out, title, false);
}

/* Intervals narrower than the line itself are not drawn. */
static bool
shows_intervals(const moe_panel *panel, const curve *c)
{
    const double *points = (const double *)(const void *)c->points->data;
    double widest = 0, top = panel->config.y_max;
    for (size_t i = 0; i < c->points->len; i++) {
        widest = fmax(widest, points[4 * i + 3] - points[4 * i + 2]);
        top = isnan(panel->config.y_max) ? fmax(top, points[4 * i + 1]) : top;
    }
    return c->style == MOE_CURVE_LINE && widest > INTERVAL_SEEN * top;
}

/* Bands of the curves' own colours, under all lines; the first stands for them in the legend. */
static void
append_intervals(GString *out, const moe_panel *panel, const char *data_file, bool *first)
{
    const char *title = panel->config.interval;
    for (size_t c = 0, line = 0; c < panel->curves->len; c++) {
        const curve *at = g_ptr_array_index(panel->curves, c);
        if (shows_intervals(panel, at)) {
            append_plot(out, data_file, c, *first);
            g_string_append_printf(
                out,
                "using 1:3:4 with filledcurves fs transparent solid 0.25 noborder "
                "lc rgb '%s'",
                moe_plot_colour(line));
            append_title(out, title);
            title = NULL;
            *first = false;
        }
        line += at->style == MOE_CURVE_LINE;
    }
}

static void
append_bands(GString *out, const moe_panel *panel, const char *data_file, bool *first)
{
    for (size_t c = 0; c < panel->curves->len; c++) {
        const curve *at = g_ptr_array_index(panel->curves, c);
        if (at->style != MOE_CURVE_BAND)
            continue;
        append_plot(out, data_file, c, *first);
        g_string_append_printf(out, "using 1:3:4 with filledcurves fs solid %s noborder",
                               panel->config.alike ? "0.3" : "0.18");
        g_string_append_printf(out, " lc rgb '%s'", panel->config.alike ? "#777777" : "#0072B2");
        append_title(out, at->title);
        *first = false;
    }
}

/* Points where they can be told apart, else a line with dashes of its own. */
static void
append_style(GString *out, const curve *c, size_t line)
{
    enum { MANY = 40, CLOUD = 300 };
    bool cloud = c->points->len > CLOUD; /* points let others shine through */
    if (c->style == MOE_CURVE_POINTS)
        g_string_append_printf(out, "using 1:2 with points pt %d ps %s lc rgb '#%s%s'",
                               moe_plot_point(line), cloud ? "0.18" : "0.35", cloud ? "80" : "",
                               moe_plot_colour(line) + 1);
    else if (c->points->len > MANY)
        g_string_append_printf(out, "using 1:2 with lines lw 1.6 dt %s lc rgb '%s'",
                               moe_plot_dash(line), moe_plot_colour(line));
    else
        g_string_append_printf(out, "using 1:2 with linespoints lw 1.4 pt %d ps 0.7 lc rgb '%s'",
                               moe_plot_point(line), moe_plot_colour(line));
}

/* Points stand in the key as large as they can be told apart. */
static void
append_key(GString *out, const char *title, size_t line)
{
    g_string_append_printf(out, ", \\\n     keyentry with points pt %d ps 0.8 lc rgb '%s'",
                           moe_plot_point(line), moe_plot_colour(line));
    append_title(out, title);
}

static void
append_lines(GString *out, const moe_panel *panel, const char *data_file, bool *first)
{
    size_t line = 0, dashed = 0;
    for (size_t c = 0; c < panel->curves->len; c++) {
        const curve *at = g_ptr_array_index(panel->curves, c);
        if (at->style == MOE_CURVE_BAND)
            continue;
        append_plot(out, data_file, c, *first);
        *first = false;
        if (at->style == MOE_CURVE_DASHED)
            g_string_append_printf(out, "using 1:2 with lines lw 1.2 dt %s lc rgb '#555555'",
                                   moe_plot_dash(++dashed));
        else
            append_style(out, at, line);
        append_title(out, at->style == MOE_CURVE_POINTS ? NULL : at->title);
        if (at->style == MOE_CURVE_POINTS && at->title)
            append_key(out, at->title, line);
        line += at->style == MOE_CURVE_LINE || at->style == MOE_CURVE_POINTS;
    }
}

/* What draws a panel once a terminal is set. */
static void
append_panel(GString *out, const moe_panel *panel, const char *data_file)
{
    bool first = true;
    append_axes(out, panel);
    if (panel->config.z_label) {
        append_plot(out, data_file, 0, true);
        g_string_append(out, "using 1:2:3 with image pixels");
    } else {
        append_bands(out, panel, data_file, &first);
        append_intervals(out, panel, data_file, &first);
        append_lines(out, panel, data_file, &first);
    }
    g_string_append_c(out, '\n');
}

static const char *const endings[] = {".pdf", ".png"};

static GString *
panel_script(const moe_panel *panel, const char *data_file)
{
    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "# gnuplot 5; run it in the folder that has '%s'\n", data_file);
    for (size_t i = 0; i < MOE_COUNT(endings); i++) {
        g_autofree char *file = g_strconcat(panel->config.name, endings[i], NULL);
        moe_plot_terminal(out, file, PANEL_WIDTH_CM,
                          panel->config.alike ? ALIKE_HEIGHT_CM : PANEL_HEIGHT_CM);
        append_panel(out, panel, data_file);
        g_string_append(out, "unset output\n");
    }
    return out;
}

/* Whether a panel is as high as it is wide. */
static bool
is_alike(const moe_sheet *sheet)
{
    for (guint i = 0; i < sheet->panels->len; i++)
        if (((const moe_panel *)g_ptr_array_index(sheet->panels, i))->config.alike)
            return true;
    return false;
}

/* All panels in two columns below the title. */
static GString *
page_script(const moe_sheet *sheet)
{
    GString *out = g_string_new("# gnuplot 5; run it in the folder that has the .dat files\n");
    size_t rows = (sheet->panels->len + 1) / 2;
    double row_cm = is_alike(sheet) ? ALIKE_HEIGHT_CM : PAGE_ROW_CM;
    double height = PAGE_TITLE_CM + row_cm * (double)rows, row = row_cm / height;
    for (size_t f = 0; f < MOE_COUNT(endings); f++) {
        g_autofree char *file = g_strconcat("page", endings[f], NULL);
        moe_plot_terminal(out, file, PAGE_WIDTH_CM, height);
        g_string_append(out, "set multiplot\n");
        for (size_t i = 0; i < sheet->panels->len; i++) {
            const moe_panel *panel = g_ptr_array_index(sheet->panels, i);
            g_autofree char *data = g_strconcat(panel->config.name, ".dat", NULL);
            g_string_append_printf(out, "reset\nset encoding utf8\nset origin %g,%.5f\n",
                                   i % 2 ? 0.5 : 0.0, row * (double)(rows - 1 - i / 2));
            g_string_append_printf(out, "set size %s0.5,%.5f\n",
                                   panel->config.alike ? "square " : "", PAGE_FILLED * row);
            if (i == 0) {
                g_string_append(out, "set label 1 ");
                moe_plot_quote(out, sheet->title, false);
                g_string_append_printf(out, " at screen 0.5,%.5f center\n",
                                       1 - 0.5 * PAGE_TITLE_CM / height);
            }
            append_panel(out, panel, data);
        }
        g_string_append(out, "unset multiplot\nunset output\n");
    }
    return out;
}

/* ---- drawing ---- */

static bool
write_and_draw(const char *folder, const char *name, const GString *script, GString *report,
               GError **error)
{
    g_autofree char *file = g_strconcat(name, ".gp", NULL);
    if (!moe_plot_write(folder, file, script, error) || !moe_plot_run(folder, file, error))
        return false;
    g_string_append_printf(report, "figure: %s/%s.pdf, %s/%s.png (script: %s)\n", folder, name,
                           folder, name, file);
    return true;
}

bool
moe_sheet_draw(const moe_sheet *sheet, const char *folder, GString *report, GError **error)
{
    if (!moe_plot_possible(error) || !moe_plot_folder(folder, error))
        return false;
    for (size_t i = 0; i < sheet->panels->len; i++) {
        const moe_panel *panel = g_ptr_array_index(sheet->panels, i);
        g_autofree char *data_file = g_strconcat(panel->config.name, ".dat", NULL);
        g_autoptr(GString) data = g_string_new(NULL), script = panel_script(panel, data_file);
        append_data(data, panel);
        if (!moe_plot_write(folder, data_file, data, error) ||
            !write_and_draw(folder, panel->config.name, script, report, error))
            return false;
    }
    g_autoptr(GString) page = page_script(sheet);
    return write_and_draw(folder, "page", page, report, error);
}
