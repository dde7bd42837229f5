/* Rows and errors of a validation into the database of results. */
#include "sim/cli/validate_report.h"

#include "analysis/store.h"

#include <math.h>

typedef struct texts {
    GStringChunk *chunk;
    const char *fit;
} texts;

static void
add_error(GArray *out, const moe_store_error *of, const char *dimension, const char *label,
          const moe_score *s)
{
    moe_store_error e = *of;
    e.dimension = dimension;
    e.label = label;
    e.rows = (int64_t)s->rows;
    e.mean = s->rows ? s->mean : NAN;
    e.median = s->rows ? s->median : NAN;
    e.p90 = s->rows ? s->p90 : NAN;
    e.bias = s->rows ? s->bias : NAN;
    e.roofline = s->rows && s->roofline >= 0 ? s->roofline : NAN;
    g_array_append_val(out, e);
}

static void
add_family(GArray *out, const moe_family *family, const texts *t)
{
    const moe_store_error of = {.machine = family->preset,
                                .kernels = family->kernels,
                                .fit = t->fit,
                                .family = family->name};
    add_error(out, &of, "all", "", &family->all);
    add_error(out, &of, "with odd rows", "", &family->odd);
    if (family->fitted.rows) {
        add_error(out, &of, "fitted", "", &family->fitted);
        add_error(out, &of, "foretold", "", &family->held);
    }
    for (guint i = 0; i < family->regimes->len; i++) {
        const moe_regime *regime = &g_array_index(family->regimes, moe_regime, i);
        add_error(out, &of, regime->dimension, regime->label, &regime->score);
    }
    if (!family->sign.pairs)
        return;
    moe_score sign = {.rows = family->sign.pairs, .roofline = -1};
    sign.mean = 1 - (double)family->sign.right / (double)family->sign.pairs;
    sign.median = sign.p90 = sign.bias = NAN;
    add_error(out, &of, "sign", "wrong", &sign);
}

static void
add_row(GArray *out, const moe_validation *v, const moe_measured *table,
        const moe_validated_row *row, const texts *t)
{
    size_t n = 0;
    const moe_validated_group *group = &moe_validation_groups(v, &n)[row->group];
    g_autoptr(GString) shape = g_string_new(NULL);
    moe_measured_describe(row->row, shape);
    moe_store_validated stored = {
        .machine = group->preset,
        .kernels = group->kernels,
        .fit = t->fit,
        .family = row->family,
        .file = moe_measured_file(table, row->row->file),
        .line = (int64_t)row->row->line,
        .kernel = row->row->kernel,
        .kind = moe_measured_kind_name(row->row->kind),
        .shape = g_string_chunk_insert(t->chunk, shape->str),
        .measured_us = row->measured_us,
        .predicted_us = row->predicted_us > 0 ? row->predicted_us : NAN,
        .roofline_us = row->roofline_us > 0 ? row->roofline_us : NAN,
        .merged = row->merged,
        .fitted = row->fitted,
        .bound = row->predicted_us > 0 ? moe_bound_name(row->bound) : "",
        .odd = row->odd,
    };
    g_array_append_val(out, stored);
}

bool
moe_validate_store(const moe_validation *v, const moe_measured *table, const char *fit,
                   const char *path, GError **error)
{
    texts t = {.chunk = g_string_chunk_new(1 << 16), .fit = fit};
    g_autoptr(moe_store) store = moe_store_open(path, MOE_STORE_WRITE, error);
    g_autoptr(GArray) rows = g_array_new(false, false, sizeof(moe_store_validated));
    g_autoptr(GArray) errors = g_array_new(false, false, sizeof(moe_store_error));
    size_t n_rows = 0, n_families = 0;
    const moe_validated_row *all = moe_validation_rows(v, &n_rows);
    const moe_family *families = moe_validation_families(v, &n_families);
    for (size_t i = 0; store && i < n_rows; i++)
        add_row(rows, v, table, &all[i], &t);
    for (size_t i = 0; store && i < n_families; i++)
        add_family(errors, &families[i], &t);
    bool stored =
        store && moe_store_set_validation(
                     store, (const moe_store_validated *)(const void *)rows->data, rows->len,
                     (const moe_store_error *)(const void *)errors->data, errors->len, error);
    g_string_chunk_free(t.chunk);
    return stored;
}
