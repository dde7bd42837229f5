#include "sim/cli/report.h"

#include "sim/base/units.h"
#include "sim/cli/output.h"

#include <math.h>
#include <string.h>

enum { MAX_ROWS = 40, MAX_METRICS = 4, WIDTH = 100 };

/* Shown when the scenario's figures and expectations name fewer. */
static const char *const usual[] = {"decode_tokens_per_s", "hit_rate", "exposed_load_share",
                                    "tpot_mean_s"};

typedef struct column {
    const moe_metric_info *metric;
    const char *bound; /* heading of the column beside it; NULL: none */
    double (*bound_of)(const moe_measure *measure);
    int decimals; /* of plain numbers: four digits of the largest, two of the smallest */
} column;

static double
perfect_cache(const moe_measure *measure)
{
    return measure->perfect_cache;
}

static double
contention_free(const moe_measure *measure)
{
    return measure->contention_free;
}

static double
roofline(const moe_measure *measure)
{
    return measure->roofline;
}

static const struct {
    const char *heading;
    double (*of)(const moe_measure *measure);
} bounds[] = {
    {"perfect cache", perfect_cache}, {"contention-free", contention_free}, {"roofline", roofline}};

/* Decimals that give `value` so many digits, up to three. */
static int
decimals_for(double value, int digits)
{
    int decimals = MIN(digits - 1, 3);
    for (double limit = 10; decimals > 0 && value >= limit; limit *= 10)
        decimals--;
    for (double limit = 1; decimals < 3 && value < limit; limit /= 10)
        decimals++;
    return decimals;
}

static char *
value_text(double value, const char *unit, int decimals)
{
    if (isnan(value))
        return g_strdup("–");
    if (!strcmp(unit, "share"))
        return g_strdup_printf("%.1f%%", value * 100);
    if (!strcmp(unit, "s") && fabs(value) < 9e6)
        return moe_format_time((int64_t)llround(value * (double)MOE_PS_PER_S));
    if (!strcmp(unit, "B") || !strcmp(unit, "bytes"))
        return moe_format_bytes((int64_t)value);
    if (!strcmp(unit, "J"))
        return moe_format_energy(value);
    if (!strcmp(unit, "B/s"))
        return moe_format_rate(value);
    if (fabs(value) < 1e12)
        return g_strdup_printf("%.*f", decimals, value);
    return g_strdup_printf("%.4g", value);
}

/* ---- which metrics ---- */

static const moe_metric_info *
find_metric(const char *name)
{
    size_t n;
    const moe_metric_info *metrics = moe_metrics(&n);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(metrics[i].name, name))
            return &metrics[i];
    return NULL;
}

static void
add_metric(GArray *columns, const char *name)
{
    const moe_metric_info *metric = name ? find_metric(name) : NULL;
    if (!metric || columns->len == MAX_METRICS)
        return;
    for (size_t i = 0; i < columns->len; i++)
        if (g_array_index(columns, column, i).metric == metric)
            return;
    column c = {.metric = metric};
    g_array_append_val(columns, c);
}

/* Its bound is the first that holds for any run; its decimals follow the numbers. */
static bool
fit_column(column *c, const moe_frame *frame, moe_store *store, GError **error)
{
    size_t rows = MIN(moe_frame_points(frame), (size_t)MAX_ROWS);
    double largest = 0, smallest = INFINITY;
    for (size_t point = 0; point < rows; point++) {
        moe_measure measure;
        if (!moe_store_measure(store, moe_frame_identity(frame, point), c->metric->name, &measure,
                               error))
            return false;
        largest = fmax(largest, fabs(measure.value));
        if (measure.value != 0)
            smallest = fmin(smallest, fabs(measure.value));
        for (size_t b = 0; !c->bound && b < MOE_COUNT(bounds); b++)
            if (!isnan(bounds[b].of(&measure))) {
                c->bound = bounds[b].heading;
                c->bound_of = bounds[b].of;
            }
    }
    c->decimals = MAX(decimals_for(largest, 4), decimals_for(smallest, 2));
    return true;
}

static GArray *
choose_columns(const moe_loaded *loaded, size_t *asked, moe_store *store, GError **error)
{
    GArray *columns = g_array_new(FALSE, FALSE, sizeof(column));
    for (size_t i = 0; i < moe_plot_count(loaded->plots); i++)
        add_metric(columns, moe_plot_metric(loaded->plots, i));
    for (size_t i = 0; i < moe_expect_count(loaded->expectations); i++)
        add_metric(columns, moe_expect_metric(loaded->expectations, i));
    *asked = columns->len;
    for (size_t i = 0; i < MOE_COUNT(usual); i++)
        add_metric(columns, usual[i]);
    for (size_t i = 0; i < columns->len; i++)
        if (!fit_column(&g_array_index(columns, column, i), loaded->frame, store, error)) {
            g_array_unref(columns);
            return NULL;
        }
    return columns;
}

/* ---- rows ---- */

/* The keys of the columns: where a label names combinations of keys, it stands for them. */
static GArray *
shown_keys(const moe_frame *frame)
{
    GArray *keys = g_array_new(FALSE, FALSE, sizeof(size_t));
    size_t label = moe_frame_find(frame, "label");
    for (size_t key = 0; key < moe_frame_keys(frame); key++)
        if (label == SIZE_MAX || key == label || !moe_frame_determined(frame, key, &label, 1))
            g_array_append_val(keys, key);
    return keys;
}

/* The short title, unless two keys would share it. */
static void
add_key_heading(moe_grid *grid, const moe_frame *frame, size_t key)
{
    g_autofree char *title = moe_section_key_title(moe_frame_key(frame, key));
    for (size_t other = 0; other < moe_frame_keys(frame); other++) {
        g_autofree char *taken = moe_section_key_title(moe_frame_key(frame, other));
        if (other != key && !strcmp(title, taken)) {
            moe_grid_add(grid, moe_frame_key(frame, key));
            return;
        }
    }
    moe_grid_add(grid, title);
}

/* Point i of a scenario's frame is its run i. */
static bool
is_changed(const moe_loaded *loaded, size_t point)
{
    return moe_scenario_run(loaded->scenario, point)->counterfactual;
}

static bool
any_changed(const moe_loaded *loaded)
{
    for (size_t i = 0; i < moe_scenario_runs(loaded->scenario); i++)
        if (is_changed(loaded, i))
            return true;
    return false;
}

static void
add_heading(moe_grid *grid, const moe_frame *frame, const GArray *keys, const GArray *columns)
{
    for (size_t i = 0; i < keys->len; i++)
        add_key_heading(grid, frame, g_array_index(keys, size_t, i));
    for (size_t i = 0; i < columns->len; i++) {
        const column *c = &g_array_index(columns, column, i);
        moe_grid_add(grid, c->metric->name);
        if (c->bound)
            moe_grid_add(grid, c->bound);
    }
}

static bool
add_row(moe_grid *grid, const moe_frame *frame, size_t point, const GArray *keys,
        const GArray *columns, moe_store *store, GError **error)
{
    for (size_t i = 0; i < keys->len; i++) {
        const char *value = moe_frame_value(frame, point, g_array_index(keys, size_t, i));
        moe_grid_add(grid, value ? value : "");
    }
    for (size_t i = 0; i < columns->len; i++) {
        const column *c = &g_array_index(columns, column, i);
        moe_measure measure;
        if (!moe_store_measure(store, moe_frame_identity(frame, point), c->metric->name, &measure,
                               error))
            return false;
        g_autofree char *value = value_text(measure.value, c->metric->unit, c->decimals);
        moe_grid_add(grid, value);
        if (!c->bound)
            continue;
        g_autofree char *bound = value_text(c->bound_of(&measure), c->metric->unit, c->decimals);
        moe_grid_add(grid, bound);
    }
    return true;
}

/* One line for the rows that are not shown: the range of the first metric over all runs. */
static bool
print_rest(const moe_frame *frame, const GArray *columns, moe_store *store, GError **error)
{
    size_t n = moe_frame_points(frame);
    if (n <= MAX_ROWS || columns->len == 0)
        return true;
    const column *first = &g_array_index(columns, column, 0);
    const moe_metric_info *metric = first->metric;
    double low = NAN, high = NAN;
    for (size_t point = 0; point < n; point++) {
        moe_measure measure;
        if (!moe_store_measure(store, moe_frame_identity(frame, point), metric->name, &measure,
                               error))
            return false;
        low = fmin(low, measure.value);
        high = fmax(high, measure.value);
    }
    g_autofree char *from = value_text(low, metric->unit, first->decimals);
    g_autofree char *to = value_text(high, metric->unit, first->decimals);
    moe_out("  … and %zu more runs; %s of all is from %s to %s\n", n - MAX_ROWS, metric->name, from,
            to);
    return true;
}

/* A last column marks runs whose routing was transformed, where there are any. */
static moe_grid *
make_grid(const moe_loaded *loaded, const GArray *columns, moe_store *store, GError **error)
{
    const moe_frame *frame = loaded->frame;
    g_autoptr(GArray) keys = shown_keys(frame);
    bool marked = any_changed(loaded);
    size_t n_columns = keys->len + columns->len + marked;
    for (size_t i = 0; i < columns->len; i++)
        n_columns += g_array_index(columns, column, i).bound != NULL;
    g_autoptr(moe_grid) grid = moe_grid_new(n_columns);
    add_heading(grid, frame, keys, columns);
    if (marked)
        moe_grid_add(grid, "");
    for (size_t point = 0; point < MIN(moe_frame_points(frame), (size_t)MAX_ROWS); point++) {
        if (!add_row(grid, frame, point, keys, columns, store, error))
            return NULL;
        if (marked)
            moe_grid_add(grid, is_changed(loaded, point) ? "*" : "");
    }
    return g_steal_pointer(&grid);
}

/* Metrics that nobody asked for make room when the table gets too wide. */
bool
moe_report_table(const moe_loaded *loaded, moe_store *store, GError **error)
{
    const moe_frame *frame = loaded->frame;
    size_t asked = 0;
    g_autoptr(GArray) columns = choose_columns(loaded, &asked, store, error);
    if (!columns)
        return false;
    g_autoptr(moe_grid) grid = make_grid(loaded, columns, store, error);
    while (grid && moe_grid_width(grid) > WIDTH && columns->len > MAX(asked, 1)) {
        g_array_set_size(columns, columns->len - 1);
        moe_grid_free(grid);
        grid = make_grid(loaded, columns, store, error);
    }
    if (!grid)
        return false;
    moe_grid_print(grid, true, "  ");
    return print_rest(frame, columns, store, error);
}
