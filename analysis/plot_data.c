#include "analysis/plot_private.h"

#include <math.h>
#include <string.h>

static char *
with_unit(const char *title, const char *unit)
{
    return *unit ? g_strdup_printf("%s (%s)", title, unit) : g_strdup(title);
}

/* ---- the axes ---- */

static plot_data *
data_new(void)
{
    plot_data *data = g_new0(plot_data, 1);
    data->x_labels = g_ptr_array_new_with_free_func(g_free);
    data->x_numbers = g_array_new(FALSE, FALSE, sizeof(double));
    data->groups = g_ptr_array_new_with_free_func(g_free);
    data->series = g_ptr_array_new_with_free_func(g_free);
    data->cells = g_array_new(FALSE, TRUE, sizeof(plot_cell));
    return data;
}

void
moe_plot_data_free(plot_data *data)
{
    if (!data)
        return;
    g_ptr_array_unref(data->x_labels);
    g_array_unref(data->x_numbers);
    g_ptr_array_unref(data->groups);
    g_ptr_array_unref(data->series);
    g_array_unref(data->cells);
    g_free(data->series_title);
    g_free(data->x_title);
    g_free(data->y_title);
    g_free(data);
}

/* The points that a figure shows, as a frame of their own: what is constant among them plays no
 * part. */
static moe_frame *
shown_points(const moe_plot *plot, const moe_frame *frame)
{
    moe_frame *shown = moe_frame_new();
    for (size_t point = 0; point < moe_frame_points(frame); point++) {
        if (!moe_selector_match(&plot->where, frame, point) ||
            !moe_frame_value(frame, point, plot->x))
            continue;
        moe_frame_add(shown, moe_frame_identity(frame, point), NULL, NULL, 0);
        for (size_t key = 0; key < moe_frame_keys(frame); key++) {
            const char *value = moe_frame_value(frame, point, key);
            if (value)
                moe_frame_set(shown, moe_frame_key(frame, key), value);
        }
    }
    return shown;
}

/* Keys that tell series apart: the one asked for, then all others that vary, but for the seed. */
static GArray *
series_keys(const moe_plot *plot, const moe_frame *frame, const moe_frame *shown)
{
    GArray *keys = g_array_new(FALSE, FALSE, sizeof(size_t));
    size_t named[2] = {moe_frame_find(shown, moe_frame_key(frame, plot->x))};
    size_t n = 1;
    if (plot->series != SIZE_MAX) {
        named[n] = moe_frame_find(shown, moe_frame_key(frame, plot->series));
        if (named[n] != SIZE_MAX)
            g_array_append_val(keys, named[n++]);
    }
    g_autoptr(GArray) others = moe_frame_others(shown, named, n);
    for (size_t i = 0; i < others->len; i++) {
        size_t key = g_array_index(others, size_t, i);
        if (strcmp(moe_frame_key(shown, key), "seed") != 0)
            g_array_append_val(keys, key);
    }
    return keys;
}

static bool
is_name(const char *value)
{
    return !g_ascii_isdigit(value[0]) && strcmp(value, "true") != 0 && strcmp(value, "false") != 0;
}

/* A number says what it is a number of, unless there is one key only: then the legend's title
 * does. */
char *
moe_plot_series_label(const moe_frame *shown, size_t point, const GArray *keys)
{
    GString *label = g_string_new(NULL);
    for (size_t i = 0; i < keys->len; i++) {
        size_t key = g_array_index(keys, size_t, i);
        const char *value = moe_frame_value(shown, point, key);
        if (!value)
            continue;
        g_autofree char *title = moe_section_key_title(moe_frame_key(shown, key));
        bool bare = keys->len == 1 || is_name(value);
        g_string_append_printf(label, "%s%s%s%s", label->len ? ", " : "", bare ? "" : title,
                               bare ? "" : " ", value);
    }
    return g_string_free(label, FALSE);
}

static void
set_series_title(plot_data *data, const moe_frame *shown, const GArray *keys)
{
    if (keys->len != 1)
        return;
    size_t key = g_array_index(keys, size_t, 0);
    const char *value = moe_frame_value(shown, 0, key);
    if (value && !is_name(value))
        data->series_title = moe_section_key_title(moe_frame_key(shown, key));
}

typedef struct number_text {
    double number;
    char *text;
} number_text;

static int
compare_numbers(const void *a, const void *b)
{
    double x = ((const number_text *)a)->number, y = ((const number_text *)b)->number;
    return (x > y) - (x < y);
}

/* Ascending order for numbers; names keep theirs. */
static void
sort_x(plot_data *data)
{
    g_autoptr(GArray) pairs = g_array_new(FALSE, FALSE, sizeof(number_text));
    for (size_t i = 0; i < data->x_labels->len; i++) {
        number_text pair = {g_array_index(data->x_numbers, double, i),
                            g_ptr_array_index(data->x_labels, i)};
        g_array_append_val(pairs, pair);
    }
    g_array_sort(pairs, compare_numbers);
    for (size_t i = 0; i < pairs->len; i++) {
        g_array_index(data->x_numbers, double, i) = g_array_index(pairs, number_text, i).number;
        data->x_labels->pdata[i] = g_array_index(pairs, number_text, i).text;
    }
}

static void
set_x(plot_data *data, const moe_plot *plot, const moe_frame *frame, const moe_frame *shown)
{
    const char *key = moe_frame_key(frame, plot->x);
    size_t at = moe_frame_find(shown, key);
    g_autoptr(GPtrArray) values = at == SIZE_MAX ? g_ptr_array_new() : moe_frame_values(shown, at);
    for (size_t i = 0; i < values->len; i++)
        g_ptr_array_add(data->x_labels, g_strdup(g_ptr_array_index(values, i)));
    g_autofree char *unit = NULL;
    data->numeric = moe_plot_numbers(data->x_labels, data->x_numbers, &unit);
    if (data->numeric)
        sort_x(data);
    data->kind = (plot_kind)plot->config->kind;
    if (data->kind == PLOT_AUTO)
        data->kind = data->numeric && values->len > 1 ? PLOT_LINE : PLOT_BAR;
    data->numeric = data->numeric && data->kind == PLOT_LINE;
    bool label = !strcmp(key, "label"); /* its values say what they are */
    g_autofree char *title = label ? g_strdup("") : moe_section_key_title(key);
    data->x_title = plot->config->xlabel ? g_strdup(plot->config->xlabel)
                                         : with_unit(title, data->numeric ? unit : "");
}

size_t
moe_plot_find_text(const GPtrArray *texts, const char *text)
{
    for (size_t i = 0; i < texts->len; i++)
        if (!strcmp(g_ptr_array_index(texts, i), text))
            return i;
    return SIZE_MAX;
}

/* ---- the numbers of a metric ---- */

static double
bound_of(const moe_measure *measure, int bound)
{
    switch (bound) {
    case PLOT_CONTENTION:
        return measure->contention_free;
    case PLOT_PERFECT:
        return measure->perfect_cache;
    case PLOT_ROOFLINE:
        return measure->roofline;
    default:
        return NAN;
    }
}

static void
cell_add(plot_cell *cell, double value, double bound, bool changed)
{
    if (isnan(value))
        return;
    cell->n_changed += changed;
    cell->low = cell->n == 0 ? value : fmin(cell->low, value);
    cell->high = cell->n == 0 ? value : fmax(cell->high, value);
    cell->value = (cell->value * cell->n + value) / (cell->n + 1);
    cell->bound = (cell->bound * cell->n + bound) / (cell->n + 1);
    cell->n++;
}

/* Large and small values by steps of a thousand, for units that take a prefix. */
static double
prefix_scale(const plot_data *data, const char *unit, const char **prefix)
{
    static const struct {
        double at;
        const char *prefix;
    } steps[] = {{1e12, "T"}, {1e9, "G"},  {1e6, "M"}, {1e3, "k"},
                 {1, ""},     {1e-3, "m"}, {1e-6, "u"}};
    bool bytes = unit[0] == 'B' && (unit[1] == '\0' || unit[1] == '/');
    bool seconds = !strcmp(unit, "s"), energy = !strcmp(unit, "J") || !strcmp(unit, "W");
    double largest = 0;
    for (size_t i = 0; i < data->cells->len; i++)
        largest = fmax(largest, g_array_index(data->cells, plot_cell, i).high);
    for (size_t i = 0; (bytes || seconds || energy) && i < MOE_COUNT(steps); i++)
        if (largest >= steps[i].at && (steps[i].at <= 1 || bytes || energy) &&
            (steps[i].at >= 1 || seconds || energy)) {
            *prefix = steps[i].prefix;
            return 1 / steps[i].at;
        }
    return 1;
}

static void
set_y(plot_data *data, const moe_plot *plot)
{
    const char *prefix = "", *unit = strcmp(plot->unit, "bytes") ? plot->unit : "B";
    bool share = !strcmp(unit, "share");
    double scale = share ? 100 : prefix_scale(data, unit, &prefix);
    for (size_t i = 0; i < data->cells->len; i++) {
        plot_cell *cell = &g_array_index(data->cells, plot_cell, i);
        double missing = cell->n == 0 ? (double)NAN : scale;
        cell->value *= missing;
        cell->low *= missing;
        cell->high *= missing;
        cell->bound *= missing;
    }
    g_autofree char *full = share ? g_strdup("%") : g_strconcat(prefix, unit, NULL);
    g_autofree char *title = moe_plot_metric_title(plot->config->y);
    data->y_title = plot->config->ylabel ? g_strdup(plot->config->ylabel) : with_unit(title, full);
}

static bool
collect_metric(plot_data *data, const moe_plot *plot, const moe_frame *shown, const GArray *keys,
               size_t x, moe_store *store, GError **error)
{
    static const char *const titles[] = {NULL, "contention-free", "perfect cache", "roofline"};
    data->bound_title = titles[plot->config->bound];
    for (size_t point = 0; point < moe_frame_points(shown); point++) {
        char *label = moe_plot_series_label(shown, point, keys);
        size_t s = moe_plot_find_text(data->series, label);
        if (s == SIZE_MAX) {
            s = data->series->len;
            g_ptr_array_add(data->series, label);
            g_array_set_size(data->cells, (unsigned)((s + 1) * data->x_labels->len));
        } else {
            g_free(label);
        }
        moe_measure measure;
        bool changed;
        const char *run = moe_frame_identity(shown, point);
        if (!moe_store_measure(store, run, plot->config->y, &measure, error) ||
            !moe_store_counterfactual(store, run, &changed, error))
            return false;
        size_t at = moe_plot_find_text(data->x_labels, moe_frame_value(shown, point, x));
        cell_add(plot_data_cell(data, s, at), measure.value,
                 bound_of(&measure, plot->config->bound), changed);
    }
    set_y(data, plot);
    moe_plot_mark(data);
    return true;
}

plot_data *
moe_plot_collect(const moe_plot *plot, const moe_frame *frame, moe_store *store, GError **error)
{
    g_autoptr(moe_frame) shown = shown_points(plot, frame);
    g_autoptr(plot_data) data = data_new();
    set_x(data, plot, frame, shown);
    if (data->x_labels->len == 0)
        return g_steal_pointer(&data);
    g_autoptr(GArray) keys = series_keys(plot, frame, shown);
    set_series_title(data, shown, keys);
    size_t x = moe_frame_find(shown, moe_frame_key(frame, plot->x));
    bool ok = data->kind == PLOT_BLAME
                  ? moe_plot_collect_blame(data, plot, shown, keys, x, store, error)
                  : collect_metric(data, plot, shown, keys, x, store, error);
    return ok ? g_steal_pointer(&data) : NULL;
}
