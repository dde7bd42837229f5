/* The numbers of a kernel library: where they are, and which rows they are fitted to. They come
 * from the library's own table of keys, each in its range, beginning at what the library says; a
 * number that is 0 there stands for a term that the kernel does not have, and stays. */
#include "profiler/calibrate_private.h"
#include "profiler/least_squares.h"
#include "sim/base/elementary.h"
#include "sim/base/random.h"

#include <math.h>
#include <string.h>

/* Beyond so many rows of a kernel evenly chosen ones say the same. */
enum { MOST_ROWS = 1000, LEAST_ROWS = 3, ROWS_PER_NUMBER = 2 };

/* So much closer must rows be for numbers to change. */
static const double better = 0.995;
const char moe_calibrate_as_well[] = "the rows are foretold as well as it is";

static const struct {
    const char *list;
    int kind;
} families[] = {
    [MOE_FAMILY_GEMM] = {"gemm", MOE_MEASURED_GEMM},
    [MOE_FAMILY_EXPERTS] = {"experts", MOE_MEASURED_EXPERTS},
    [MOE_FAMILY_ATTENTION] = {"attention", MOE_MEASURED_ATTENTION},
};

void *
moe_candidate_kernel(const moe_candidate *candidate, int family, int index)
{
    switch ((moe_family_of_kernels)family) {
    case MOE_FAMILY_GEMM:
        return &candidate->gemm[index];
    case MOE_FAMILY_EXPERTS:
        return &candidate->experts[index];
    case MOE_FAMILY_ATTENTION:
        return &candidate->attention[index];
    case MOE_FAMILY_NONE:
        break;
    }
    return NULL;
}

static size_t
count_of(const moe_candidate *candidate, int family)
{
    const moe_kernels *k = candidate->kernels;
    const size_t counts[] = {0, k->n_gemm, k->n_experts, k->n_attention};
    return counts[family];
}

/* ---- numbers ---- */

static bool
number_type(const moe_param *row, moe_number *out)
{
    if (row->type == MOE_PARAM_SHARE)
        *out = MOE_NUMBER_SHARE;
    else if (row->type == MOE_PARAM_REAL)
        *out = MOE_NUMBER_REAL;
    else if (row->type == MOE_PARAM_TIME)
        *out = MOE_NUMBER_TIME;
    else
        return false;
    return row->flags & MOE_PARAM_SOURCED;
}

static void
list_kernel(GArray *tunable, const moe_candidate *candidate, int family, int index)
{
    g_autofree char *prefix = g_strdup_printf("%s.*.", families[family].list);
    for (size_t r = 0; r < moe_kernels_table.n_rows; r++) {
        const moe_param *row = &moe_kernels_table.rows[r];
        moe_tunable t = {.kind = families[family].kind,
                         .family = family,
                         .index = index,
                         .offset = row->offset,
                         .low = row->min,
                         .high = row->max};
        if (!g_str_has_prefix(row->key, prefix) || !number_type(row, &t.number))
            continue;
        t.start = moe_tunable_get(&t, candidate);
        if (t.number != MOE_NUMBER_TIME)
            t.low = fmax(t.low, 1e-4);
        if (!(t.start > 0))
            continue;
        t.key =
            g_strdup_printf("%s.%d.%s", families[family].list, index, row->key + strlen(prefix));
        g_array_append_val(tunable, t);
    }
}

void
moe_tunable_list_kernels(GArray *tunable, const moe_candidate *candidate)
{
    for (int family = MOE_FAMILY_GEMM; candidate->kernels && family <= MOE_FAMILY_ATTENTION;
         family++)
        for (size_t i = 0; i < count_of(candidate, family); i++)
            list_kernel(tunable, candidate, family, (int)i);
}

/* ---- rows ---- */

static const void *
kernel_of(const moe_candidate *candidate, const moe_measured_row *row)
{
    const moe_device *device = &candidate->devices[0];
    switch ((moe_measured_kind)row->kind) {
    case MOE_MEASURED_GEMM:
        return moe_predict_gemm_kernel(device, row);
    case MOE_MEASURED_EXPERTS:
        return moe_predict_expert_kernel(device, row);
    case MOE_MEASURED_ATTENTION:
        return moe_predict_attention_kernel(device, row);
    default:
        return NULL;
    }
}

bool
moe_calibrate_of_library(const moe_calibration *c, const moe_measured_row *row)
{
    const moe_device *device = &c->before.devices[0];
    const void *kernel = c->before.kernels ? kernel_of(&c->before, row) : NULL;
    return kernel && kernel != &device->gemm && kernel != &device->experts &&
           kernel != &device->attention;
}

typedef struct fit {
    moe_calibration *c;
    moe_candidate trial;
    GPtrArray *rows; /* const moe_calibrated_row * */
    double unit;     /* of times, ps */
    const moe_tunable *tunable[MOE_SQUARES_MAX];
    size_t number[MOE_SQUARES_MAX];
    uint32_t n;
} fit;

/* Rows that a kernel of another type foretells, for want of theirs, say nothing of its numbers.
 * (Attention's are chosen by what they work on.) */
static bool
is_of(const moe_candidate *candidate, const void *kernel, const moe_measured_row *row)
{
    if (kernel_of(candidate, row) != kernel)
        return false;
    if (row->kind == MOE_MEASURED_GEMM)
        return moe_predict_is_of_type(((const moe_gemm_kernel *)kernel)->dtype, row);
    if (row->kind == MOE_MEASURED_EXPERTS)
        return moe_predict_is_of_type(((const moe_expert_kernel *)kernel)->dtype, row);
    return true;
}

static void
take_rows(fit *f, int family, int index)
{
    const moe_calibration *c = f->c;
    int kind = families[family].kind;
    const void *kernel = moe_candidate_kernel(&c->before, family, index);
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    for (size_t i = c->first[kind]; i < c->first[kind + 1]; i++) {
        moe_calibrated_row *row = &g_array_index(c->rows, moe_calibrated_row, i);
        if (!row->held && !*row->set_aside && is_of(&c->before, kernel, row->row) &&
            moe_predict(&c->before, row->row) > 0)
            g_ptr_array_add(all, row);
    }
    /* One of each stretch, not always the same one: rows go around in the sizes of a shape. */
    size_t n = MIN(all->len, MOST_ROWS);
    for (size_t i = 0; i < n; i++) {
        size_t first = i * all->len / n, next = (i + 1) * all->len / n;
        g_ptr_array_add(f->rows, g_ptr_array_index(all, first + moe_mix64(i) % (next - first)));
    }
}

static const moe_calibrated_row *
row_at(const fit *f, size_t i)
{
    return g_ptr_array_index(f->rows, i);
}

static void
find_unit(fit *f)
{
    g_autofree double *times = g_new(double, f->rows->len);
    for (size_t i = 0; i < f->rows->len; i++)
        times[i] = row_at(f, i)->measured_us;
    moe_median(times, f->rows->len); /* puts them in order */
    f->unit = 1e6 * times[f->rows->len / 10];
}

/* ---- unknowns: shares and others by their logarithm, times in units ---- */

static double
to_unknown(const fit *f, const moe_tunable *t, double value)
{
    return t->number == MOE_NUMBER_TIME ? value / f->unit : moe_ln(value);
}

static void
apply(const fit *f, moe_candidate *candidate, const double *x)
{
    for (uint32_t j = 0; j < f->n; j++) {
        const moe_tunable *t = f->tunable[j];
        double value = t->number == MOE_NUMBER_TIME ? x[j] * f->unit : moe_exp(x[j]);
        moe_tunable_set(t, candidate, fmin(fmax(value, t->low), t->high));
    }
}

static void
residuals(void *context, const double *x, double *out)
{
    fit *f = context;
    apply(f, &f->trial, x);
    for (size_t i = 0; i < f->rows->len; i++) {
        double predicted = moe_predict(&f->trial, row_at(f, i)->row);
        out[i] = moe_ln(predicted > 1e-9 ? predicted : 1e-9) - moe_ln(row_at(f, i)->measured_us);
    }
}

/* Mean |ln(predicted / measured)|. */
static double
mean_off(fit *f, const double *x)
{
    g_autofree double *residual = g_new(double, f->rows->len);
    double sum = 0;
    residuals(f, x, residual);
    for (size_t i = 0; i < f->rows->len; i++)
        sum += fabs(residual[i]);
    return sum / f->rows->len;
}

/* ---- one kernel ---- */

static void
take_numbers(fit *f, int family, int index)
{
    const GArray *all = f->c->tunable;
    for (size_t i = 0; i < all->len && f->n < MOE_SQUARES_MAX; i++) {
        const moe_tunable *t = &g_array_index(all, moe_tunable, i);
        if (t->family != family || t->index != index)
            continue;
        f->tunable[f->n] = t;
        f->number[f->n++] = i;
    }
}

static void
remark_all(fit *f, const char *text)
{
    for (uint32_t j = 0; j < f->n; j++)
        g_array_index(f->c->numbers, moe_calibrated, f->number[j]).remark = text;
}

static void
store(fit *f, const double *x)
{
    apply(f, &f->c->after, x);
    for (uint32_t j = 0; j < f->n; j++) {
        const moe_tunable *t = f->tunable[j];
        moe_calibrated *number = &g_array_index(f->c->numbers, moe_calibrated, f->number[j]);
        number->value = moe_tunable_get(t, &f->c->after);
        number->fitted = true;
        number->remark = number->value >= t->high * 0.9999 ? "at the end of its range" : "";
    }
}

/* Numbers that hardly a row depends on stay as they are; whether there were some. */
static bool
drop_undetermined(fit *f, const moe_squares_result *r)
{
    uint32_t kept = 0;
    for (uint32_t j = 0; j < f->n; j++) {
        moe_calibrated *number = &g_array_index(f->c->numbers, moe_calibrated, f->number[j]);
        if (r->rows[j] < LEAST_ROWS) {
            number->remark = "the rows do not determine it";
            moe_tunable_set(f->tunable[j], &f->trial, number->base);
            continue;
        }
        f->tunable[kept] = f->tunable[j];
        f->number[kept++] = f->number[j];
    }
    bool some = kept < f->n;
    f->n = kept;
    return some;
}

static void
begin(const fit *f, moe_squares *p, double *x)
{
    p->n = f->n;
    for (uint32_t j = 0; j < f->n; j++) {
        x[j] = to_unknown(f, f->tunable[j], f->tunable[j]->start);
        p->low[j] = to_unknown(f, f->tunable[j], f->tunable[j]->low);
        p->high[j] = to_unknown(f, f->tunable[j], f->tunable[j]->high);
        p->step[j] = 1e-3;
    }
}

static void
solve(fit *f)
{
    moe_squares p = {.n_rows = f->rows->len, .residuals = residuals, .context = f};
    double x[MOE_SQUARES_MAX] = {0}, before = INFINITY;
    do {
        begin(f, &p, x);
        before = mean_off(f, x);
        moe_squares_result r = moe_squares_solve(&p, x);
        if (!drop_undetermined(f, &r))
            break;
    } while (f->n);
    if (f->n && mean_off(f, x) < before * better)
        store(f, x);
    else
        remark_all(f, moe_calibrate_as_well);
}

static void
fit_kernel(moe_calibration *c, int family, int index)
{
    fit f = {.c = c, .rows = g_ptr_array_new()};

    take_rows(&f, family, index);
    take_numbers(&f, family, index);
    g_autofree char *few =
        g_strdup_printf("%u rows, %u are wanted", f.rows->len, ROWS_PER_NUMBER * f.n);
    remark_all(&f, f.rows->len ? g_intern_string(few) : "no rows");
    if (f.n && f.rows->len >= ROWS_PER_NUMBER * f.n) {
        moe_candidate_init(&f.trial, &c->before.hw, c->before.kernels, NULL);
        moe_candidate_copy(&f.trial, &c->after);
        find_unit(&f);
        solve(&f);
        moe_candidate_clear(&f.trial);
    }
    g_ptr_array_unref(f.rows);
}

void
moe_calibrate_fit_kernels(moe_calibration *c)
{
    const moe_kernels *k = c->before.kernels;
    size_t done = 0, all = k ? k->n_gemm + k->n_experts + k->n_attention : 0;
    for (int family = MOE_FAMILY_GEMM; k && family <= MOE_FAMILY_ATTENTION; family++)
        for (size_t i = 0; i < count_of(&c->before, family); i++) {
            if (c->progress)
                c->progress(c->context, (double)done++ / (double)all);
            fit_kernel(c, family, (int)i);
        }
}
