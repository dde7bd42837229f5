/* Figures of points: expert time, and copies. */
#include "analysis/plot_private.h"
#include "analysis/recording_experts.h"
#include "analysis/recording_plot_private.h"
#include "analysis/recording_private.h"

#include <math.h>
#include <string.h>

enum { SHOWN = 3000 }; /* points of a series: more are thinned out, evenly */

typedef struct point {
    double x, y;
} point;

static int
by_x_and_y(const void *a, const void *b)
{
    const point *p = a, *q = b;
    int order = MOE_ORDER(p->x, q->x);
    return order ? order : MOE_ORDER(p->y, q->y);
}

/* Blocks of the data: points, then the median of each x. */
static void
append_points(GString *data, GArray *points, const char *what)
{
    const point *all = (const point *)(const void *)points->data;
    guint every = points->len / SHOWN + 1;
    g_string_append_printf(data, "%s# %s: points, each %u.\n", data->len ? "\n\n" : "", what,
                           every);
    for (guint i = 0; i < points->len; i += every) {
        moe_figure_number(data, all[i].x);
        moe_figure_number(data, all[i].y);
        g_string_append_c(data, '\n');
    }
    g_array_sort(points, by_x_and_y);
    g_string_append_printf(data, "\n\n# %s: median\n", what);
    for (guint i = 0, n; i < points->len; i += n) {
        for (n = 1; i + n < points->len && !(all[i + n].x > all[i].x);)
            n++;
        moe_figure_number(data, all[i].x);
        moe_figure_number(data, all[i + (n - 1) / 2].y);
        g_string_append_c(data, '\n');
    }
}

/* ---- experts ---- */

/* Points of one axis: false when there are none. */
static bool
expert_points(const GArray *times, bool distinct, GArray *points)
{
    for (guint i = 0; i < times->len; i++) {
        const moe_expert_time *time = &g_array_index(times, moe_expert_time, i);
        int64_t x = distinct ? time->load.distinct : time->load.tokens;
        point p = {(double)x, (double)time->ns / 1e3};
        if (x != MOE_RECORDING_UNKNOWN)
            g_array_append_val(points, p);
    }
    return points->len > 0;
}

static void
append_fit(GString *script, const GArray *points, bool distinct)
{
    g_autofree double *x = g_new(double, points->len), *y = g_new(double, points->len);
    char base[G_ASCII_DTOSTR_BUF_SIZE], slope[G_ASCII_DTOSTR_BUF_SIZE];
    moe_line line;
    for (guint i = 0; i < points->len; i++) {
        x[i] = g_array_index(points, point, i).x;
        y[i] = g_array_index(points, point, i).y;
    }
    if (!moe_line_fit(x, y, points->len, &line))
        return;
    g_ascii_formatd(base, sizeof base, "%.8g", line.base);
    g_ascii_formatd(slope, sizeof slope, "%.8g", line.slope);
    g_string_append_printf(script,
                           ", \\\n     %s + %s * x with lines lw 1.4 dt 1 lc rgb '%s' title "
                           "'fit: %.3g %c %.3g %s'",
                           base, slope, moe_plot_colour(1), line.base, line.slope < 0 ? '-' : '+',
                           fabs(line.slope), distinct ? "per expert" : "per token");
}

static void
append_bound(GString *script, const moe_figure_config *config)
{
    char slope[G_ASCII_DTOSTR_BUF_SIZE];
    if (config->expert_bytes <= 0 || config->bytes_per_s <= 0)
        return;
    g_ascii_formatd(slope, sizeof slope, "%.8g", config->expert_bytes / config->bytes_per_s * 1e6);
    g_string_append_printf(script,
                           ", \\\n     %s * x with lines lw 1.2 dt (3,2) lc rgb '#000000' "
                           "title 'reading weights'",
                           slope);
}

static void
append_panel(moe_figure *figure, const moe_figure_config *config, const GArray *times,
             bool distinct, size_t block)
{
    g_autoptr(GArray) points = g_array_new(FALSE, FALSE, sizeof(point));
    if (!expert_points(times, distinct, points))
        return;
    append_points(figure->data, points, distinct ? "distinct experts" : "tokens");
    double low = g_array_index(points, point, 0).x;
    double high = g_array_index(points, point, points->len - 1).x;
    GString *script = figure->script;
    g_string_append_printf(script, "set origin %s,0\nset size 0.5,1\n", distinct ? "0" : "0.5");
    moe_figure_axes(script,
                    distinct ? "Time of the experts of a layer, by distinct experts"
                             : "Time of the experts of a layer, by tokens",
                    distinct ? "distinct experts" : "tokens of the step", "time (µs)");
    g_string_append(script, "set yrange [0:*]\nset samples 400\n");
    bool wide = !distinct && high > 16 * low; /* a line would be bent there */
    if (wide)
        g_string_append(script, "set logscale x 2\nset xtics format '%g'\n");
    g_string_append(script, distinct ? "set xrange [0:*]\n" : "set xrange [*:*]\n");
    g_string_append_printf(script,
                           "plot data index %zu using 1:2 with points pt 7 ps 0.35 lc rgb "
                           "'#a0%s' title 'layer and step', \\\n     '' index %zu using 1:2 with "
                           "linespoints lw 1.2 pt 5 ps 0.5 lc rgb '%s' title 'median'",
                           block, moe_plot_colour(5) + 1, block + 1, moe_plot_colour(0));
    if (!wide)
        append_fit(script, points, distinct);
    if (distinct)
        append_bound(script, config);
    g_string_append(script, "\nset auto\nunset logscale\n");
}

void
moe_figure_experts(const moe_recording *recording, const moe_figure_config *config,
                   moe_figure *figure)
{
    g_autoptr(GArray) times = moe_expert_times(recording);
    if (times->len == 0)
        return;
    figure->width_cm = 17;
    g_string_append(figure->script, "set multiplot\n");
    append_panel(figure, config, times, true, 0);
    append_panel(figure, config, times, false, 2);
    g_string_append(figure->script, "unset multiplot\n");
}

/* ---- copies ---- */

enum { SERIES = 6 };

typedef struct series {
    const char *direction;
    int pinned;
    GArray *points;
} series;

static series *
find_series(series *all, size_t *n, const moe_work *copy)
{
    for (size_t i = 0; i < *n; i++)
        if (all[i].direction == copy->text && all[i].pinned == copy->pinned)
            return &all[i];
    if (*n == SERIES)
        return NULL;
    all[*n] = (series){copy->text, copy->pinned, g_array_new(FALSE, FALSE, sizeof(point))};
    return &all[(*n)++];
}

static void
append_series(moe_figure *figure, const series *s, size_t i)
{
    static const char *const memory[] = {"", " pageable", " pinned"};
    g_autofree char *title = g_strconcat(s->direction, memory[s->pinned + 1], NULL);
    append_points(figure->data, s->points, title);
    g_string_append_printf(figure->script,
                           "%s index %zu using 1:2 with points pt %d ps 0.4 lc rgb '#80%s' "
                           "notitle, \\\n     '' index %zu using 1:2 with linespoints lw 1.2 "
                           "pt %d ps 0.7 lc rgb '%s' title ",
                           i ? ", \\\n     ''" : "plot data", 2 * i, moe_plot_point(i),
                           moe_plot_colour(i) + 1, 2 * i + 1, moe_plot_point(i),
                           moe_plot_colour(i));
    moe_plot_quote(figure->script, title, false);
    g_array_unref(s->points);
}

void
moe_figure_copies(const moe_recording *recording, const moe_figure_config *config,
                  moe_figure *figure)
{
    series all[SERIES];
    size_t n = 0;
    double low = INFINITY, high = 0;
    for (guint i = 0; i < recording->activities->len; i++) {
        const moe_work *copy = moe_recording_work(recording, i);
        if (copy->kind != MOE_WORK_COPY || copy->bytes <= 0 || copy->end == copy->start)
            continue;
        series *s = find_series(all, &n, copy);
        point p = {(double)copy->bytes, (double)copy->bytes / (double)(copy->end - copy->start)};
        if (!s)
            continue;
        g_array_append_val(s->points, p);
        low = fmin(low, p.x);
        high = fmax(high, p.x);
    }
    if (n == 0)
        return;
    moe_figure_axes(figure->script, "Rate of copies by direction and memory", "size of the copy",
                    "rate (GB/s)");
    g_string_append_printf(figure->script,
                           "set logscale x %d\nset yrange [0:*]\nset xtics format '%%.0b %%BB'\n"
                           "set rmargin 4\n",
                           high > low * 16384 ? 16 : 4);
    for (size_t i = 0; i < n; i++)
        append_series(figure, &all[i], i);
    g_string_append_c(figure->script, '\n');
}
