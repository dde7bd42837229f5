#include "profiler/calibrate_private.h"
#include "profiler/least_squares.h"
#include "sim/base/elementary.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Times this far from what the base says, at the median of a kind, are in another unit. */
static const double another_unit = 100;
/* A row is odd when it is this many times farther off than most of its kind, and half as much
 * again off in all. */
static const double odd_scales = 6, odd_least = 1.5;

/* ---- checks ---- */

static bool
one_device(const moe_measured *table, moe_diag *diag)
{
    const moe_measured_row *first = NULL;
    for (size_t i = 0; i < moe_measured_count(table); i++) {
        const moe_measured_row *row = moe_measured_at(table, i);
        if (!*row->device)
            continue;
        if (first && strcmp(first->device, row->device)) {
            moe_loc at = {.file = moe_measured_file(table, row->file), .line = (int)row->line};
            moe_diag_error(diag, at, "a row of '%s' behind rows of '%s': choose one device",
                           row->device, first->device);
            return false;
        }
        first = first ? first : row;
    }
    return true;
}

/* The factor by which rows of a kind take longer than the machine says, at their median. */
static double
median_factor(const moe_calibration *c, int kind, const moe_candidate *machine, size_t *n)
{
    size_t first = c->first[kind], end = c->first[kind + 1];
    g_autofree double *all = g_new(double, end - first + 1);
    *n = 0;
    for (size_t i = first; i < end; i++) {
        const moe_calibrated_row *row = &g_array_index(c->rows, moe_calibrated_row, i);
        double predicted = moe_predict(machine, row->row);
        if (predicted > 0)
            all[(*n)++] = row->measured_us / predicted;
    }
    return *n ? moe_median(all, *n) : 1;
}

static bool
check_units(const moe_calibration *c, moe_diag *diag)
{
    unsigned before = moe_diag_errors(diag);
    for (int kind = 0; kind < MOE_MEASURED_KINDS; kind++) {
        size_t n = 0;
        double factor = median_factor(c, kind, &c->before, &n);
        if (factor < another_unit && factor > 1 / another_unit)
            continue;
        const moe_measured_row *row =
            g_array_index(c->rows, moe_calibrated_row, c->first[kind]).row;
        moe_diag_error(diag, (moe_loc){.file = moe_measured_file(c->table, row->file)},
                       "rows of kind %s take %.3g times what '%s' does: are these %s, or is it "
                       "another kind of machine?",
                       moe_measured_kind_name(kind), factor, c->before.hw.name,
                       factor > 1 ? "nanoseconds" : "milliseconds");
    }
    return moe_diag_errors(diag) == before;
}

static bool
check_fitted(const moe_calibration *c, moe_diag *diag)
{
    g_autoptr(GString) counts = g_string_new(NULL);
    for (size_t i = 0; i < c->numbers->len; i++)
        if (g_array_index(c->numbers, moe_calibrated, i).fitted ||
            g_array_index(c->numbers, moe_calibrated, i).remark == moe_calibrate_as_well)
            return true;
    for (int kind = 0; kind < MOE_MEASURED_KINDS; kind++)
        if (c->kinds[kind].rows)
            g_string_append_printf(counts, "%s%zu of kind %s", counts->len ? ", " : "",
                                   c->kinds[kind].rows, moe_measured_kind_name(kind));
    moe_diag_error(diag, (moe_loc){.file = moe_measured_file(c->table, 0)},
                   "no number can be fitted to these rows (%s); wanted are two different rows for "
                   "each number: 2 launches, 2 streams, 4 copies of a direction, 8 products, 12 "
                   "layers' experts or attentions, beyond what is held back",
                   counts->len ? counts->str : "none");
    return false;
}

/* ---- errors ---- */

static double
off(double predicted, double measured)
{
    return fabs(predicted / measured - 1);
}

static void
predict(moe_calibration *c)
{
    for (size_t i = 0; i < c->rows->len; i++) {
        moe_calibrated_row *row = &g_array_index(c->rows, moe_calibrated_row, i);
        row->predicted_us = moe_predict(&c->after, row->row);
        row->base_us = moe_predict(&c->before, row->row);
        if (!(row->predicted_us > 0))
            c->kinds[row->row->kind].unusable++;
    }
}

/* Which rows of a kind are far outside of what most show. */
static void
find_odd(moe_calibration *c, int kind)
{
    size_t first = c->first[kind], end = c->first[kind + 1], n = 0;
    g_autofree double *all = g_new(double, end - first + 1);
    for (size_t i = first; i < end; i++) {
        const moe_calibrated_row *row = &g_array_index(c->rows, moe_calibrated_row, i);
        if (row->predicted_us > 0)
            all[n++] = fabs(moe_ln(row->predicted_us / row->measured_us));
    }
    if (!n)
        return;
    double limit = fmax(odd_scales * 1.4826 * moe_median(all, n), moe_ln(odd_least));
    for (size_t i = first; i < end; i++) {
        moe_calibrated_row *row = &g_array_index(c->rows, moe_calibrated_row, i);
        row->odd =
            row->predicted_us > 0 && fabs(moe_ln(row->predicted_us / row->measured_us)) > limit;
        c->kinds[kind].odd += row->odd;
    }
}

static void
add_error(moe_calibrated_error *error, const moe_calibrated_row *row)
{
    double o = off(row->predicted_us, row->measured_us);
    error->rows++;
    error->mean += o;
    error->base_mean += off(row->base_us, row->measured_us);
    error->largest = fmax(error->largest, o);
}

static void
finish_error(moe_calibrated_error *error)
{
    if (!error->rows)
        return;
    error->mean /= (double)error->rows;
    error->base_mean /= (double)error->rows;
}

static void
sum_errors(moe_calibration *c, int kind)
{
    moe_calibrated_kind *k = &c->kinds[kind];
    for (size_t i = c->first[kind]; i < c->first[kind + 1]; i++) {
        const moe_calibrated_row *row = &g_array_index(c->rows, moe_calibrated_row, i);
        if (!(row->predicted_us > 0) || *row->set_aside)
            continue;
        add_error(row->held ? &k->held : &k->fitted, row);
        if (!row->odd)
            add_error(&k->typical, row);
    }
    finish_error(&k->fitted);
    finish_error(&k->held);
    finish_error(&k->typical);
}

/* ---- the whole ---- */

static void
list_numbers(moe_calibration *c)
{
    moe_tunable_list(c->tunable, &c->before);
    for (size_t i = 0; i < c->tunable->len; i++) {
        const moe_tunable *t = &g_array_index(c->tunable, moe_tunable, i);
        double base = moe_tunable_get(t, &c->before);
        moe_calibrated number = {
            .key = t->key,
            .kind = t->kind,
            .number = t->number,
            .base = base,
            .value = base,
            .remark = "no rows",
        };
        g_array_append_val(c->numbers, number);
    }
}

static void
take_all(moe_calibration *c, moe_diag *diag)
{
    const moe_fit_choice four_of_five = {.rows = MOE_FIT_SHAPES, .keep = 4, .of = 5};
    size_t n = moe_measured_count(c->table);
    g_autofree const moe_measured_row **rows = g_new(const moe_measured_row *, n + 1);
    for (size_t i = 0; i < n; i++)
        rows[i] = moe_measured_at(c->table, i);
    moe_calibrate_rows(c, rows, n, &four_of_five, diag);
}

static moe_calibration *
new_calibration(const moe_measured *table, const moe_hardware_set *base, const moe_kernels *kernels,
                const moe_kernels *second)
{
    moe_calibration *c = g_new0(moe_calibration, 1);
    c->table = table;
    c->base = base;
    c->rows = g_array_new(false, true, sizeof(moe_calibrated_row));
    c->numbers = g_array_new(false, true, sizeof(moe_calibrated));
    c->tunable = g_array_new(false, true, sizeof(moe_tunable));
    moe_candidate_init(&c->before, moe_hardware_get(base), kernels, second);
    moe_candidate_init(&c->after, moe_hardware_get(base), kernels, second);
    list_numbers(c);
    return c;
}

moe_calibration *
moe_calibrate(const moe_measured *table, const moe_hardware_set *base,
              const moe_kernels_set *kernels, moe_diag *diag)
{
    g_autoptr(moe_calibration) c =
        new_calibration(table, base, kernels ? moe_kernels_get(kernels) : NULL, NULL);
    c->kernels = kernels;
    if (!one_device(table, diag))
        return NULL;
    take_all(c, diag);
    if (!check_units(c, diag))
        return NULL;
    moe_calibrate_fit(c);
    moe_calibrate_fit_kernels(c);
    if (!check_fitted(c, diag))
        return NULL;
    predict(c);
    for (int kind = 0; kind < MOE_MEASURED_KINDS; kind++) {
        find_odd(c, kind);
        sum_errors(c, kind);
    }
    return g_steal_pointer(&c);
}

moe_calibration *
moe_calibrate_chosen(const moe_measured *table, const moe_hardware_set *base,
                     const moe_kernels *kernels, const moe_kernels *second,
                     const moe_measured_row **rows, size_t n, const moe_fit_choice *choice,
                     void (*progress)(void *context, double share), void *context, moe_diag *diag)
{
    moe_calibration *c = new_calibration(table, base, kernels, second);
    c->progress = progress;
    c->context = context;
    moe_calibrate_rows(c, rows, n, choice, diag);
    if (choice->rows != MOE_FIT_NONE) {
        moe_calibrate_fit(c);
        moe_calibrate_fit_kernels(c);
    }
    return c;
}

void
moe_calibration_free(moe_calibration *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->tunable->len; i++)
        g_free(g_array_index(c->tunable, moe_tunable, i).key);
    moe_candidate_clear(&c->before);
    moe_candidate_clear(&c->after);
    g_array_unref(c->rows);
    g_array_unref(c->numbers);
    g_array_unref(c->tunable);
    g_free(c);
}

const moe_calibrated *
moe_calibration_numbers(const moe_calibration *c, size_t *n)
{
    *n = c->numbers->len;
    return (const moe_calibrated *)(const void *)c->numbers->data;
}

const moe_calibrated_kind *
moe_calibration_kind(const moe_calibration *c, int kind)
{
    return &c->kinds[kind];
}

const moe_calibrated_row *
moe_calibration_rows(const moe_calibration *c, size_t *n)
{
    *n = c->rows->len;
    return (const moe_calibrated_row *)(const void *)c->rows->data;
}
