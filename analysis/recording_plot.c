#include "analysis/recording_plot.h"

#include "analysis/interval.h"
#include "analysis/plot_private.h"
#include "analysis/recording_idle.h"
#include "analysis/recording_plot_private.h"
#include "analysis/recording_view.h"

#include <math.h>
#include <string.h>

#define WIDTH_CM 8.5
#define HEIGHT_CM 6.2

static const moe_figure_info infos[] = {
#define X(name, title, help) {#name, title, help},
    MOE_RECORDING_FIGURES(X)
#undef X
};
static moe_figure_make *const makers[] = {
#define X(name, title, help) moe_figure_##name,
    MOE_RECORDING_FIGURES(X)
#undef X
};

const moe_figure_info *
moe_recording_figures(size_t *n)
{
    *n = MOE_COUNT(infos);
    return infos;
}

/* ---- parts ---- */

void
moe_figure_axes(GString *script, const char *title, const char *x, const char *y)
{
    const char *const texts[][2] = {{"key title", title}, {"xlabel", x}, {"ylabel", y}};
    g_string_append(script, "set border 3 lw 0.7\nset tics scale 0.5 nomirror\n"
                            "set grid ytics lc rgb '#dddddd' lw 0.5 dt 1\n"
                            "set key above horizontal center Left reverse samplen 1.5 width 1\n");
    for (size_t i = 0; i < MOE_COUNT(texts); i++) {
        g_string_append_printf(script, "set %s ", texts[i][0]);
        moe_plot_quote(script, texts[i][1], false);
        g_string_append_c(script, '\n');
    }
}

void
moe_figure_number(GString *data, double value)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append_printf(data, " %s",
                           isfinite(value) ? g_ascii_formatd(buffer, sizeof buffer, "%.10g", value)
                                           : "NaN");
}

void
moe_figure_label(GString *data, const char *text)
{
    g_autofree char *label = g_strdelimit(g_strdup(text), "\"\r\n\\", ' ');
    g_string_append_printf(data, "\"%s\"", label);
}

/* Bars of `n` columns from the second on, one upon the other; labels stand in the first. Columns
 * that are 0 in sum are left out. */
static void
append_stack(GString *script, const char *const *titles, const char *const *colours,
             const double *sums, size_t n, size_t rows, bool share)
{
    size_t every = (rows + 15) / 16;
    bool first = true;
    g_string_append_printf(script,
                           "set style data histograms\nset style histogram rowstacked\n"
                           "set style fill solid 0.9 border lc rgb 'black'\nset boxwidth 0.8\n"
                           "set xtics scale 0\nset xrange [-0.7:%zu-0.3]\nset yrange [0:%s]\n",
                           rows, share ? "100" : "*");
    for (size_t i = 0; i < n; i++) {
        if (!(sums[i] > 0))
            continue;
        g_string_append_printf(script, first ? "plot data using %zu" : ", \\\n     '' using %zu",
                               i + 2);
        if (first)
            g_string_append_printf(script, ":xtic(int($0) %% %zu == 0 ? stringcolumn(1) : '')",
                                   every);
        first = false;
        g_string_append(script, " title ");
        moe_plot_quote(script, titles[i], false);
        g_string_append_printf(script, " lc rgb '%s' lw 0.3", colours[i]);
    }
    g_string_append_c(script, '\n');
}

/* ---- stages ---- */

enum { N_BARS = MOE_RECORDING_STAGES + 1 }; /* and others */

void
moe_figure_stages(const moe_recording *recording, const moe_figure_config *config,
                  moe_figure *figure)
{
    size_t n_infos;
    const moe_view_info *views = moe_view_list(&n_infos);
    while (strcmp(views->name, "layers") != 0)
        views++;
    moe_view_config all = {0};
    g_autoptr(moe_view) view = moe_view_of(recording, views, &all);
    const char *titles[N_BARS], *colours[N_BARS];
    double sums[N_BARS] = {0}, all_ns = 0;
    size_t rows = moe_view_rows(view);
    g_string_append(figure->data, "# layer, then ms of each stage\n");
    for (size_t r = 0; r < rows; r++) {
        g_autofree char *layer = moe_view_text(view, r, 0);
        moe_figure_label(figure->data, layer);
        for (size_t i = 0; i < N_BARS; i++) {
            double ns = (double)moe_view_cell(view, r, i + 1)->integer;
            moe_figure_number(figure->data, ns / 1e6);
            sums[i] += ns;
            all_ns += ns;
        }
        g_string_append_c(figure->data, '\n');
    }
    for (size_t i = 0; i < N_BARS; i++) {
        titles[i] = view->fields[i + 1].heading;
        colours[i] = moe_plot_colour(i);
    }
    if (!(all_ns > 0))
        return;
    moe_figure_axes(figure->script,
                    recording->n_kernels ? "Device time by layer and stage"
                                         : "Host time by layer and stage",
                    "layer (–: outside of layers)", "time (ms)");
    append_stack(figure->script, titles, colours, sums, N_BARS, rows, false);
}

/* ---- split ---- */

enum { COMPUTE, BOTH, COPY, HOST, OTHER, N_PARTS };

/* Shares of one unit within `window`. */
static void
append_shares(GString *data, const char *label, const moe_recording *recording, uint32_t unit,
              const GArray *window, double *sums)
{
    g_autoptr(GArray) computing = moe_idle_computing(recording, unit);
    g_autoptr(GArray) copying = moe_idle_copying(recording, unit);
    g_autoptr(GArray) gaps = moe_idle_gaps(recording, unit), waits = moe_intervals_new();
    for (guint i = 0; i < gaps->len; i++) {
        const moe_idle_gap *gap = &g_array_index(gaps, moe_idle_gap, i);
        if (gap->launched > gap->start)
            moe_intervals_add(waits, gap->start, gap->launched);
    }
    moe_intervals_unite(waits);
    g_autoptr(GArray) own = moe_intervals_without(waits, copying);
    g_autoptr(GArray) overlap = moe_intervals_common(computing, copying);
    const GArray *const sets[] = {computing, overlap, copying, own};
    int64_t all = moe_intervals_total(window), in[MOE_COUNT(sets)];
    for (size_t i = 0; i < MOE_COUNT(sets); i++) {
        g_autoptr(GArray) common = moe_intervals_common(sets[i], window);
        in[i] = moe_intervals_total(common);
    }
    const int64_t parts[N_PARTS] = {in[0] - in[1], in[1], in[2] - in[1], in[3],
                                    all - in[0] - in[2] + in[1] - in[3]};
    if (all == 0)
        return;
    moe_figure_label(data, label);
    for (size_t i = 0; i < N_PARTS; i++) {
        moe_figure_number(data, 100 * (double)parts[i] / (double)all);
        sums[i] += (double)parts[i];
    }
    g_string_append_c(data, '\n');
}

/* From the unit's first activity to its last, or the steps of a phase within that. */
static GArray *
window_of(const moe_recording *recording, uint32_t unit, const char *phase)
{
    size_t from, to;
    GArray *window = moe_intervals_new();
    moe_recording_unit_range(recording, unit, &from, &to);
    if (from == to)
        return window;
    int64_t start = moe_recording_work(recording, from)->start, end = start;
    for (size_t i = from; i < to; i++)
        end = MAX(end, moe_recording_work(recording, i)->end);
    if (!phase) {
        moe_intervals_add(window, start, end);
        return window;
    }
    for (guint i = 0; i < recording->steps->len; i++) {
        const moe_recording_step *step = &g_array_index(recording->steps, moe_recording_step, i);
        int64_t a = MAX(step->start, start), b = MIN(step->end, end);
        if (!strcmp(step->phase, phase) && a < b)
            moe_intervals_add(window, a, b);
    }
    moe_intervals_unite(window);
    return window;
}

void
moe_figure_split(const moe_recording *recording, const moe_figure_config *config,
                 moe_figure *figure)
{
    static const char *const phases[] = {NULL, "prefill", "decode", "both"};
    static const char *const titles[N_PARTS] = {"compute", "compute + copy", "copy", "host is late",
                                                "other idle"};
    const char *colours[N_PARTS] = {moe_plot_colour(0), moe_plot_colour(5), moe_plot_colour(4),
                                    moe_plot_colour(1), "#dddddd"};
    double sums[N_PARTS] = {0};
    size_t rows = 0;
    g_string_append(figure->data, "# %: compute, both, copy, waiting for the host, other\n");
    for (uint32_t unit = 0; unit < recording->n_units; unit++)
        for (size_t p = 0; p < MOE_COUNT(phases); p++) {
            g_autoptr(GArray) window = window_of(recording, unit, phases[p]);
            g_autofree char *name = moe_recording_unit_name(recording, unit);
            const char *phase = phases[p] ? phases[p] : "all";
            g_autofree char *label =
                recording->n_units > 1 ? g_strdup_printf("%s %s", name, phase) : g_strdup(phase);
            if (window->len == 0)
                continue;
            append_shares(figure->data, label, recording, unit, window, sums);
            rows++;
        }
    if (rows == 0) {
        g_string_truncate(figure->data, 0);
        return;
    }
    moe_figure_axes(figure->script, "What the device did", "steps", "share of time (%)");
    if (rows > 4)
        g_string_append(figure->script, "set xtics rotate by -30\n");
    g_string_append(figure->script, "set ytics 20\n");
    append_stack(figure->script, titles, colours, sums, N_PARTS, rows, true);
}

/* ---- gaps ---- */

enum { CLASSES = 64, MICROSECOND = 10 }; /* class MICROSECOND + k: from 2^k us to twice that */

static double
class_begin(int class)
{
    return class < MICROSECOND ? 1 / (double)(1 << (MICROSECOND - class))
                               : (double)(INT64_C(1) << (class - MICROSECOND));
}

static int
class_of(int64_t ns)
{
    int class = 0;
    while (class + 1 < CLASSES && (double)ns / 1e3 >= class_begin(class + 1))
        class ++;
    return class;
}

void
moe_figure_gaps(const moe_recording *recording, const moe_figure_config *config, moe_figure *figure)
{
    static const char *const titles[MOE_IDLE_CAUSES] = {"copy", "host", "graph", "other"};
    const char *colours[MOE_IDLE_CAUSES] = {moe_plot_colour(4), moe_plot_colour(1),
                                            moe_plot_colour(2), "#bbbbbb"};
    double ns[CLASSES][MOE_IDLE_CAUSES] = {{0}}, sums[MOE_IDLE_CAUSES] = {0};
    int low = CLASSES, high = -1;
    for (uint32_t unit = 0; unit < recording->n_units; unit++) {
        g_autoptr(GArray) gaps = moe_idle_gaps(recording, unit);
        for (guint i = 0; i < gaps->len; i++) {
            const moe_idle_gap *gap = &g_array_index(gaps, moe_idle_gap, i);
            int class = class_of(gap->end - gap->start);
            for (int c = 0; c < MOE_IDLE_CAUSES; c++) {
                ns[class][c] += (double)gap->part[c];
                sums[c] += (double)gap->part[c];
            }
            low = MIN(low, class);
            high = MAX(high, class);
        }
    }
    if (high < 0)
        return;
    g_string_append(figure->data, "# gaps from this many us to twice as many; ms by cause: copy, "
                                  "host, graph, other\n");
    for (int class = low; class <= high; class ++) {
        g_autofree char *label = g_strdup_printf("%.5g", class_begin(class));
        moe_figure_label(figure->data, label);
        for (int c = 0; c < MOE_IDLE_CAUSES; c++)
            moe_figure_number(figure->data, ns[class][c] / 1e6);
        g_string_append_c(figure->data, '\n');
    }
    moe_figure_axes(figure->script, "Idle time between kernels, by cause",
                    "length of the gap, from this to twice (µs)", "idle time (ms)");
    if (high - low >= 8)
        g_string_append(figure->script, "set xtics rotate by -45\n");
    append_stack(figure->script, titles, colours, sums, MOE_IDLE_CAUSES, (size_t)(high - low + 1),
                 false);
}

/* ---- drawing ---- */

static bool
write_figure(const moe_figure *figure, const char *stem, const moe_figure_config *config,
             GString *report, GError **error)
{
    static const char *const endings[] = {".pdf", ".png"};
    g_autofree char *data_file = g_strconcat(stem, ".dat", NULL);
    g_autofree char *script_file = g_strconcat(stem, ".gp", NULL);
    g_autoptr(GString) script = g_string_new(NULL);
    g_string_append_printf(script, "# gnuplot 5; run it in the folder that has '%s'\n", data_file);
    for (size_t e = 0; e < MOE_COUNT(endings); e++) {
        g_autofree char *file = g_strconcat(stem, endings[e], NULL);
        moe_plot_terminal(script, file, figure->width_cm, figure->height_cm);
        g_string_append(script, "data = ");
        moe_plot_quote(script, data_file, false);
        g_string_append_printf(script, "\n%sunset output\n", figure->script->str);
    }
    if (!moe_plot_write(config->folder, data_file, figure->data, error) ||
        !moe_plot_write(config->folder, script_file, script, error) ||
        !moe_plot_run(config->folder, script_file, error))
        return false;
    g_string_append_printf(report, "figure: %s/%s.pdf, %s/%s.png (script: %s)\n", config->folder,
                           stem, config->folder, stem, script_file);
    return true;
}

bool
moe_recording_draw(const moe_recording *recording, size_t i, const moe_figure_config *config,
                   GString *report, GError **error)
{
    g_autofree char *stem = g_strconcat(config->prefix, infos[i].name, NULL);
    moe_figure figure = {g_string_new(NULL), g_string_new(NULL), WIDTH_CM, HEIGHT_CM};
    makers[i](recording, config, &figure);
    bool ok = true;
    if (figure.script->len == 0)
        g_string_append_printf(report, "figure: %s left out, nothing of it was recorded\n", stem);
    else
        ok = moe_plot_possible(error) && moe_plot_folder(config->folder, error) &&
             write_figure(&figure, stem, config, report, error);
    g_string_free(figure.data, TRUE);
    g_string_free(figure.script, TRUE);
    return ok;
}
