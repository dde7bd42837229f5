#include "sim/cli/calibrate_report.h"

#include "sim/cli/output.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ---- */

static void
add_share(moe_grid *grid, size_t rows, double share)
{
    if (rows)
        moe_grid_addf(grid, "%.1f %%", 100 * share);
    else
        moe_grid_add(grid, "-");
}

static void
add_error(moe_grid *grid, const moe_calibrated_error *error)
{
    moe_grid_addf(grid, "%zu", error->rows);
    add_share(grid, error->rows, error->mean);
    add_share(grid, error->rows, error->largest);
    add_share(grid, error->rows, error->base_mean);
}

static void
print_errors(const moe_calibration *c)
{
    static const char *const heads[] = {"",          "fitted", "mean",    "largest", "base",
                                        "held back", "mean",   "largest", "base"};
    g_autoptr(moe_grid) grid = moe_grid_new(MOE_COUNT(heads));
    for (size_t i = 0; i < MOE_COUNT(heads); i++)
        moe_grid_add(grid, heads[i]);
    for (int kind = 0; kind < MOE_MEASURED_KINDS; kind++) {
        const moe_calibrated_kind *k = moe_calibration_kind(c, kind);
        if (!k->rows)
            continue;
        moe_grid_add(grid, moe_measured_kind_name(kind));
        add_error(grid, &k->fitted);
        add_error(grid, &k->held);
    }
    moe_out("Errors of the times, |predicted / measured - 1|; base: of the machine as it was\n");
    moe_grid_print(grid, true, "  ");
}

/* How a row was measured: its type and who did it. */
static char *
way_of(const moe_measured_row *row)
{
    return g_strdup_printf("%s%s%s", row->dtype, *row->dtype && *row->source ? " by " : "",
                           row->source);
}

typedef struct way {
    double sum;
    size_t n;
} way;

/* What the rows of each type and source come to, where a kind has several. */
static void
print_ways(const moe_calibration *c, int kind)
{
    size_t n = 0;
    const moe_calibrated_row *rows = moe_calibration_rows(c, &n);
    g_autoptr(GHashTable) ways = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GPtrArray) names = g_ptr_array_new(); /* in order of appearance */

    for (size_t i = 0; i < n; i++) {
        if (rows[i].row->kind != kind || !(rows[i].predicted_us > 0))
            continue;
        g_autofree char *name = way_of(rows[i].row);
        way *w = g_hash_table_lookup(ways, name);
        if (!w) {
            w = g_new0(way, 1);
            g_ptr_array_add(names, name);
            g_hash_table_insert(ways, g_steal_pointer(&name), w);
        }
        w->sum += fabs(rows[i].predicted_us / rows[i].measured_us - 1);
        w->n++;
    }
    if (names->len < 2)
        return;
    moe_out("  %s: measured in several ways, but fitted as one; --only and --not choose\n",
            moe_measured_kind_name(kind));
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        const way *w = g_hash_table_lookup(ways, name);
        moe_out("    %s: %zu rows, mean error %.1f %%\n", *name ? name : "unnamed", w->n,
                100 * w->sum / (double)w->n);
    }
}

static void
print_notes(const moe_calibration *c)
{
    for (int kind = 0; kind < MOE_MEASURED_KINDS; kind++) {
        const moe_calibrated_kind *k = moe_calibration_kind(c, kind);
        const char *name = moe_measured_kind_name(kind);
        if (k->rows)
            moe_out("  %s: %zu rows, %zu of them repeated; %zu of %zu shapes held back\n", name,
                    k->rows, k->merged, k->held_shapes, k->shapes);
        print_ways(c, kind);
        if (k->odd)
            moe_out("  %s: %zu odd rows, far outside of what most show; mean error without them "
                    "%.1f %%\n",
                    name, k->odd, 100 * k->typical.mean);
        if (k->unusable)
            moe_out("  %s: %zu rows of links that the base does not have, left out\n", name,
                    k->unusable);
    }
}

/* ---- numbers ---- */

static bool
has_rows(const moe_calibration *c, const moe_calibrated *number)
{
    return number->fitted || moe_calibration_kind(c, number->kind)->rows > 0;
}

static void
print_numbers(const moe_calibration *c)
{
    size_t n = 0;
    const moe_calibrated *all = moe_calibration_numbers(c, &n);
    g_autoptr(moe_grid) grid = moe_grid_new(4);
    moe_grid_add(grid, "number");
    moe_grid_add(grid, "base");
    moe_grid_add(grid, "fitted");
    moe_grid_add(grid, "");
    for (size_t i = 0; i < n; i++) {
        if (!has_rows(c, &all[i]))
            continue;
        g_autofree char *base = moe_calibrated_text(all[i].number, all[i].base);
        g_autofree char *value = moe_calibrated_text(all[i].number, all[i].value);
        moe_grid_add(grid, all[i].key);
        moe_grid_add(grid, base);
        moe_grid_add(grid, all[i].fitted ? value : "kept");
        moe_grid_add(grid, all[i].remark);
    }
    moe_out("\nNumbers of the machine\n");
    moe_grid_print(grid, true, "  ");
}

/* ---- rows that are far off ---- */

static double
far_off(const moe_calibrated_row *row)
{
    double ratio = row->predicted_us / row->measured_us;
    return row->predicted_us > 0 ? fmax(ratio, 1 / ratio) : 0;
}

static int
by_far_off(const void *x, const void *y)
{
    const moe_calibrated_row *a = *(const moe_calibrated_row *const *)x;
    const moe_calibrated_row *b = *(const moe_calibrated_row *const *)y;
    double p = far_off(a), q = far_off(b);
    return p != q ? (p < q) - (p > q) : (a > b) - (a < b); /* rows are in an order of their own */
}

static void
add_row(moe_grid *grid, const moe_calibrated_row *row, const moe_measured *table)
{
    g_autoptr(GString) what = g_string_new(NULL);
    g_autofree char *file = g_path_get_basename(moe_measured_file(table, row->row->file));
    moe_measured_describe(row->row, what);
    moe_grid_add(grid, moe_measured_kind_name(row->row->kind));
    moe_grid_addf(grid, "%.2f", row->measured_us);
    moe_grid_addf(grid, "%.2f", row->predicted_us);
    moe_grid_addf(grid, "%+.0f %%", 100 * (row->predicted_us / row->measured_us - 1));
    moe_grid_addf(grid, "%s%s", row->odd ? "odd" : "", row->held ? " held back" : "");
    if (row->row->line)
        moe_grid_addf(grid, "%s:%" PRIu64, file, row->row->line);
    else
        moe_grid_add(grid, file);
    moe_grid_add(grid, what->str);
}

static void
print_worst(const moe_calibration *c, const moe_measured *table, size_t worst)
{
    static const char *const heads[] = {"", "measured us", "predicted", "off", "", "where", "row"};
    size_t n = 0;
    const moe_calibrated_row *rows = moe_calibration_rows(c, &n);
    g_autofree const moe_calibrated_row **order = g_new(const moe_calibrated_row *, n + 1);
    g_autoptr(moe_grid) grid = moe_grid_new(MOE_COUNT(heads));
    for (size_t i = 0; i < n; i++)
        order[i] = &rows[i];
    for (size_t i = 0; i < MOE_COUNT(heads); i++)
        moe_grid_add(grid, heads[i]);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && rows[end].row->kind == rows[first].row->kind;)
            end++;
        qsort(order + first, end - first, sizeof *order, by_far_off);
        for (size_t i = first; i < end && i < first + worst; i++)
            if (order[i]->predicted_us > 0)
                add_row(grid, order[i], table);
    }
    moe_out("\nRows that are farthest off\n");
    moe_grid_print(grid, true, "  ");
}

void
moe_calibrate_print(const moe_calibration *c, const moe_measured *table, size_t worst)
{
    print_errors(c);
    print_notes(c);
    print_numbers(c);
    if (worst)
        print_worst(c, table, worst);
}

/* ---- figures ---- */

static void
add_points(moe_panel *panel, const moe_calibration *c, int kind, bool held)
{
    const moe_calibrated_kind *k = moe_calibration_kind(c, kind);
    const moe_calibrated_error *error = held ? &k->held : &k->fitted;
    size_t n = 0;
    const moe_calibrated_row *rows = moe_calibration_rows(c, &n);
    if (!error->rows)
        return;
    g_autofree char *title =
        g_strdup_printf("%s, %zu rows, mean %.1f %%", held ? "held back" : "fitted", error->rows,
                        100 * error->mean);
    moe_panel_curve(panel, title, MOE_CURVE_POINTS);
    for (size_t i = 0; i < n; i++)
        if (rows[i].row->kind == kind && rows[i].held == held && rows[i].predicted_us > 0)
            moe_panel_point(panel, rows[i].measured_us, rows[i].predicted_us, NAN, NAN);
}

/* The line on which both are the same. */
static void
add_diagonal(moe_panel *panel, const moe_calibration *c, int kind)
{
    double low = INFINITY, high = 0;
    size_t n = 0;
    const moe_calibrated_row *rows = moe_calibration_rows(c, &n);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].row->kind != kind || !(rows[i].predicted_us > 0))
            continue;
        low = fmin(low, fmin(rows[i].measured_us, rows[i].predicted_us));
        high = fmax(high, fmax(rows[i].measured_us, rows[i].predicted_us));
    }
    moe_panel_curve(panel, "equal", MOE_CURVE_DASHED);
    moe_panel_point(panel, low, low, NAN, NAN);
    moe_panel_point(panel, high, high, NAN, NAN);
}

moe_sheet *
moe_calibrate_figures(const moe_calibration *c, const char *title)
{
    moe_sheet *sheet = moe_sheet_new(title);
    for (int kind = 0; kind < MOE_MEASURED_KINDS; kind++) {
        const moe_calibrated_kind *k = moe_calibration_kind(c, kind);
        if (k->fitted.rows + k->held.rows == 0)
            continue;
        moe_panel *panel =
            moe_sheet_add(sheet, &(moe_panel_config){.name = moe_measured_kind_name(kind),
                                                     .title = moe_measured_kind_name(kind),
                                                     .x_label = "measured",
                                                     .y_label = "predicted",
                                                     .alike = true,
                                                     .y_max = NAN});
        add_points(panel, c, kind, false);
        add_points(panel, c, kind, true);
        add_diagonal(panel, c, kind);
    }
    return sheet;
}
