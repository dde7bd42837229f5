/* Figures of points: expert time, and copies. */
#include "analysis/plot_private.h"
#include "analysis/recording_experts.h"
#include "analysis/recording_plot_private.h"
#include "analysis/recording_private.h"

#include <math.h>
#include <string.h>

#define WORTH_SHOWING 0.8 /* a line that explains less of the medians says nothing */

enum { SHOWN = 3000 }; /* points of a series: more are thinned out, evenly */

/* Blocks of the data: points, then the median of each x, which are returned. */
static GArray *
append_points(GString *data, GArray *points, const char *what)
{
    const moe_point *all = (const moe_point *)(const void *)points->data;
    guint every = points->len / SHOWN + 1;
    g_string_append_printf(data, "%s# %s: points, each %u.\n", data->len ? "\n\n" : "", what,
                           every);
    for (guint i = 0; i < points->len; i += every) {
        moe_figure_number(data, all[i].x);
        moe_figure_number(data, all[i].y);
        g_string_append_c(data, '\n');
    }
    GArray *medians = moe_points_medians(points);
    g_string_append_printf(data, "\n\n# %s: median\n", what);
    for (guint i = 0; i < medians->len; i++) {
        moe_figure_number(data, g_array_index(medians, moe_median, i).x);
        moe_figure_number(data, g_array_index(medians, moe_median, i).y);
        g_string_append_c(data, '\n');
    }
    return medians;
}

/* ---- experts ---- */

/* What is drawn of one axis: phases apart. */
enum { PHASES = 4 };
static const char *const phases[PHASES] = {"decode", "prefill", "both", ""};

static GArray *
expert_points(const GArray *times, const char *phase, bool distinct)
{
    GArray *points = g_array_new(FALSE, FALSE, sizeof(moe_point));
    for (guint i = 0; i < times->len; i++) {
        const moe_expert_time *time = &g_array_index(times, moe_expert_time, i);
        int64_t x = distinct ? time->load.distinct : time->load.tokens;
        moe_point p = {(double)x, (double)time->ns / 1e3};
        if (x != MOE_RECORDING_UNKNOWN && !strcmp(time->phase, phase))
            g_array_append_val(points, p);
    }
    return points;
}

static void
append_fit(GString *script, const GArray *medians, bool distinct)
{
    char base[G_ASCII_DTOSTR_BUF_SIZE], slope[G_ASCII_DTOSTR_BUF_SIZE];
    moe_line line;
    if (!moe_line_fit(medians, &line) || line.r2 < WORTH_SHOWING)
        return;
    g_ascii_formatd(base, sizeof base, "%.8g", line.base);
    g_ascii_formatd(slope, sizeof slope, "%.8g", line.slope);
    g_string_append_printf(script,
                           ", \\\n     %s + %s * x with lines lw 1.4 dt (10,4) lc rgb '%s' title "
                           "'fit: %.3g %c %.3g %s'",
                           base, slope, moe_plot_colour(2), line.base, line.slope < 0 ? '-' : '+',
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

typedef struct reach {
    double x_low, x_high, y_low, y_high;
} reach;

static reach
reach_of(const GArray *times, bool distinct)
{
    reach r = {INFINITY, 0, INFINITY, 0};
    for (guint i = 0; i < times->len; i++) {
        const moe_expert_time *time = &g_array_index(times, moe_expert_time, i);
        double x = (double)(distinct ? time->load.distinct : time->load.tokens);
        r = (reach){fmin(r.x_low, x), fmax(r.x_high, x), fmin(r.y_low, (double)time->ns),
                    fmax(r.y_high, (double)time->ns)};
    }
    return r;
}

/* The curves of one phase; returns how many blocks of the data there are now. */
static size_t
append_phase(moe_figure *figure, GArray *points, size_t phase, bool distinct, bool fit,
             size_t block, bool first)
{
    const char *name = *phases[phase] ? phases[phase] : "steps";
    g_autofree char *what =
        g_strdup_printf("%s by %s", name, distinct ? "distinct experts" : "tokens");
    g_autoptr(GArray) medians = append_points(figure->data, points, what);
    g_string_append_printf(figure->script,
                           "%s index %zu using 1:2 with points pt 7 ps 0.35 lc rgb '#a0%s' notitle,"
                           " \\\n     '' index %zu using 1:2 with linespoints lw 1.2 pt %d ps 0.5 "
                           "lc rgb '%s' title '%s, median'",
                           first ? "plot data" : ", \\\n     ''", block, moe_plot_colour(phase) + 1,
                           block + 1, moe_plot_point(phase), moe_plot_colour(phase), name);
    if (fit)
        append_fit(figure->script, medians, distinct);
    return block + 2;
}

static size_t
append_panel(moe_figure *figure, const moe_figure_config *config, const GArray *times,
             bool distinct, size_t block)
{
    enum { FAR = 20 };
    bool first = true;
    reach r = reach_of(times, distinct);
    bool far_x = !distinct && r.x_low > 0 && r.x_high > FAR * r.x_low;
    bool far_y = r.y_low > 0 && r.y_high > FAR * r.y_low;
    GString *script = figure->script;
    g_string_append_printf(script, "set origin %s,0\nset size 0.5,1\n", distinct ? "0" : "0.5");
    moe_figure_axes(script,
                    distinct ? "Time of a layer's experts, by distinct experts"
                             : "Time of a layer's experts, by tokens",
                    distinct ? "distinct experts" : "tokens of the step", "time (µs)");
    g_string_append_printf(script, "set samples 400\n%s%sset xrange %s\n",
                           far_y ? "set logscale y\n" : "set yrange [0:*]\n",
                           far_x ? "set logscale x 2\nset xtics format '%g'\n" : "",
                           distinct ? "[0:*]" : "[*:*]");
    for (size_t p = 0; p < PHASES; p++) {
        g_autoptr(GArray) points = expert_points(times, phases[p], distinct);
        if (points->len == 0)
            continue;
        block = append_phase(figure, points, p, distinct, !far_x && !far_y, block, first);
        first = false;
    }
    if (distinct)
        append_bound(script, config);
    g_string_append(script, "\nset auto\nunset logscale\n");
    return block;
}

void
moe_figure_experts(const moe_recording *recording, const moe_figure_config *config,
                   moe_figure *figure)
{
    g_autoptr(GArray) times = moe_expert_times(recording);
    bool tokens = false;
    for (guint i = 0; i < times->len; i++)
        tokens =
            tokens || g_array_index(times, moe_expert_time, i).load.tokens != MOE_RECORDING_UNKNOWN;
    if (times->len == 0)
        return;
    figure->width_cm = 17;
    g_string_append(figure->script, "set multiplot\n");
    size_t block = append_panel(figure, config, times, true, 0);
    if (tokens)
        append_panel(figure, config, times, false, block);
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
    all[*n] = (series){copy->text, copy->pinned, g_array_new(FALSE, FALSE, sizeof(moe_point))};
    return &all[(*n)++];
}

static void
append_series(moe_figure *figure, const series *s, size_t i)
{
    static const char *const memory[] = {"", " pageable", " pinned"};
    g_autofree char *title = g_strconcat(s->direction, memory[s->pinned + 1], NULL);
    g_array_unref(append_points(figure->data, s->points, title));
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
        moe_point p = {(double)copy->bytes,
                       (double)copy->bytes / (double)(copy->end - copy->start)};
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
