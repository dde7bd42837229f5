/* Counterfactual runs, whose routing was transformed, are told apart in figures: a star behind the
 * name of a series, else behind a label of the x axis, that shows nothing else. Series of blame are
 * parts of time, so there it is always the label. */
#include "analysis/plot_private.h"

#define STAR " *"

static bool
cell_changed(const plot_cell *cell)
{
    return cell->n > 0 && cell->n_changed == cell->n;
}

static void
add_star(GPtrArray *texts, size_t i)
{
    char *plain = texts->pdata[i];
    texts->pdata[i] = g_strconcat(plain, STAR, NULL);
    g_free(plain);
}

/* Whether all cells of a series (or at an x) are changed, and there are any. */
static bool
all_changed(const plot_data *data, size_t at, bool of_series)
{
    size_t n = of_series ? data->x_labels->len : data->series->len, there = 0;
    for (size_t i = 0; i < n; i++) {
        const plot_cell *cell =
            of_series ? plot_data_cell(data, at, i) : plot_data_cell(data, i, at);
        if (cell->n > 0 && !cell_changed(cell))
            return false;
        there += cell->n > 0;
    }
    return there > 0;
}

/* Stars on series, or on labels: true when every changed cell got one. */
static bool
mark_all(plot_data *data, bool of_series)
{
    size_t n = of_series ? data->series->len : data->x_labels->len;
    size_t across = of_series ? data->x_labels->len : data->series->len;
    for (size_t at = 0; at < n; at++)
        for (size_t i = 0; !all_changed(data, at, of_series) && i < across; i++)
            if ((of_series ? plot_data_cell(data, at, i) : plot_data_cell(data, i, at))->n_changed)
                return false;
    for (size_t at = 0; at < n; at++)
        if (all_changed(data, at, of_series))
            add_star(of_series ? data->series : data->x_labels, at);
    return true;
}

void
moe_plot_mark(plot_data *data)
{
    size_t runs = 0, changed = 0;
    for (size_t i = 0; i < data->cells->len; i++) {
        runs += g_array_index(data->cells, plot_cell, i).n;
        changed += g_array_index(data->cells, plot_cell, i).n_changed;
    }
    if (changed == 0)
        return;
    if (changed == runs)
        data->note = "routing changed, not recorded";
    else if ((data->kind != PLOT_BLAME && mark_all(data, true)) ||
             (!data->numeric && mark_all(data, false)))
        data->note = "* routing changed, not recorded";
    else
        data->note = "some with routing changed, not recorded";
}
