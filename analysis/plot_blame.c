#include "analysis/plot_private.h"

#include <math.h>
#include <string.h>

enum { BLAME_PARTS = 8 };

typedef struct blame_bars {
    GPtrArray *parts; /* labels */
    GArray *rank;     /* int per part: order of kinds in the stack */
    GPtrArray *bars;  /* GArray of double per bar: ps by part */
    GArray *runs;     /* plot_cell per bar: its runs, and how many of them are changed */
    size_t bar;       /* the one being filled */
} blame_bars;

/* From the ground up; kinds that are not listed come last. */
static const char *const stack_order[] = {"busy",       "exposed",  "imbalance",
                                          "contention", "queueing", "idle"};

static void
add_blame(void *context, const char *kind, const char *cause, int64_t ps)
{
    blame_bars *bars = context;
    int rank = 0;
    while (rank < (int)MOE_COUNT(stack_order) && strcmp(stack_order[rank], kind) != 0)
        rank++;
    g_autofree char *label = rank == 0 && *cause ? g_strdup(cause)
                             : *cause            ? g_strdup_printf("%s: %s", kind, cause)
                                                 : g_strdup(kind);
    g_strdelimit(label, "_", ' ');
    size_t part = moe_plot_find_text(bars->parts, label);
    if (part == SIZE_MAX) {
        part = bars->parts->len;
        g_ptr_array_add(bars->parts, g_steal_pointer(&label));
        g_array_append_val(bars->rank, rank);
    }
    GArray *bar = g_ptr_array_index(bars->bars, bars->bar);
    if (bar->len <= part)
        g_array_set_size(bar, (unsigned)part + 1);
    g_array_index(bar, double, part) += (double)ps;
}

static double
bar_part(const blame_bars *bars, size_t bar, size_t part)
{
    const GArray *values = g_ptr_array_index(bars->bars, bar);
    return part < values->len ? g_array_index(values, double, part) : 0;
}

static double
bar_total(const blame_bars *bars, size_t bar)
{
    double total = 0;
    for (size_t part = 0; part < bars->parts->len; part++)
        total += bar_part(bars, bar, part);
    return total;
}

/* The largest share that a part has in any bar. */
static double
part_weight(const blame_bars *bars, size_t part)
{
    double weight = 0;
    for (size_t bar = 0; bar < bars->bars->len; bar++)
        weight = fmax(weight, bar_part(bars, bar, part) / fmax(bar_total(bars, bar), 1));
    return weight;
}

/* Whether a part gets a place of its own: fewer than BLAME_PARTS - 1 parts are heavier. */
static bool
part_shown(const blame_bars *bars, size_t part)
{
    double weight = part_weight(bars, part);
    size_t heavier = 0;
    for (size_t other = 0; other < bars->parts->len; other++) {
        double w = part_weight(bars, other);
        heavier += w > weight || (w == weight && other < part);
    }
    return weight > 0 && heavier < BLAME_PARTS - 1;
}

static void
add_part(plot_data *data, const blame_bars *bars, size_t part, size_t at)
{
    for (size_t bar = 0; bar < bars->bars->len; bar++) {
        const plot_cell *runs = &g_array_index(bars->runs, plot_cell, bar);
        plot_cell *cell = plot_data_cell(data, at, bar);
        cell->n_changed = runs->n > 0 && runs->n_changed == runs->n;
        cell->value += 100 * bar_part(bars, bar, part) / fmax(bar_total(bars, bar), 1);
        cell->n = 1;
    }
}

static void
stack_parts(plot_data *data, const blame_bars *bars)
{
    size_t n_bars = data->x_labels->len;
    g_array_set_size(data->cells, (unsigned)(BLAME_PARTS * n_bars));
    for (int rank = 0; rank <= (int)MOE_COUNT(stack_order); rank++)
        for (size_t part = 0; part < bars->parts->len; part++)
            if (g_array_index(bars->rank, int, part) == rank && part_shown(bars, part)) {
                add_part(data, bars, part, data->series->len);
                g_ptr_array_add(data->series, g_strdup(g_ptr_array_index(bars->parts, part)));
            }
    bool rest = false;
    for (size_t part = 0; part < bars->parts->len; part++)
        if (!part_shown(bars, part) && part_weight(bars, part) > 0) {
            add_part(data, bars, part, data->series->len);
            rest = true;
        }
    if (rest)
        g_ptr_array_add(data->series, g_strdup("rest"));
    g_array_set_size(data->cells, (unsigned)(data->series->len * n_bars));
}

bool
moe_plot_collect_blame(plot_data *data, const moe_plot *plot, const moe_frame *shown,
                       const GArray *keys, size_t x, moe_store *store, GError **error)
{
    g_autoptr(GPtrArray) groups = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) values = g_steal_pointer(&data->x_labels);
    data->x_labels = g_ptr_array_new_with_free_func(g_free);
    for (size_t point = 0; point < moe_frame_points(shown); point++) {
        g_autofree char *label = moe_plot_series_label(shown, point, keys);
        if (moe_plot_find_text(groups, label) == SIZE_MAX)
            g_ptr_array_add(groups, g_steal_pointer(&label));
    }
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) rank = g_array_new(FALSE, FALSE, sizeof(int));
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    g_autoptr(GArray) runs = g_array_new(FALSE, TRUE, sizeof(plot_cell));
    g_array_set_size(runs, (unsigned)(groups->len * values->len));
    blame_bars bars = {parts, rank, list, runs, 0};
    for (size_t bar = 0; bar < groups->len * values->len; bar++) {
        g_ptr_array_add(data->groups, g_strdup(g_ptr_array_index(groups, bar / values->len)));
        g_ptr_array_add(data->x_labels, g_strdup(g_ptr_array_index(values, bar % values->len)));
        g_ptr_array_add(list, g_array_new(FALSE, TRUE, sizeof(double)));
    }
    for (size_t point = 0; point < moe_frame_points(shown); point++) {
        g_autofree char *label = moe_plot_series_label(shown, point, keys);
        bars.bar = moe_plot_find_text(groups, label) * values->len +
                   moe_plot_find_text(values, moe_frame_value(shown, point, x));
        const char *run = moe_frame_identity(shown, point);
        plot_cell *cell = &g_array_index(runs, plot_cell, bars.bar);
        bool changed;
        if (!moe_store_blame(store, run, add_blame, &bars, error) ||
            !moe_store_counterfactual(store, run, &changed, error))
            return false;
        cell->n++;
        cell->n_changed += changed;
    }
    stack_parts(data, &bars);
    moe_plot_mark(data);
    data->y_title = g_strdup(plot->config->ylabel ? plot->config->ylabel : "share of time (%)");
    return true;
}
