/* Measured rows, and by how much they were foretold wrongly. */
#include "analysis/store_sql.h"

#include <math.h>

static void
bind_number(sqlite3_stmt *stmt, int at, double value)
{
    if (isnan(value))
        sqlite3_bind_null(stmt, at);
    else
        sqlite3_bind_double(stmt, at, value);
}

/* What the store has of the families in question goes. */
static bool
delete_from(moe_store *store, const char *sql, const moe_store_error *errors, size_t n,
            GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(store, sql, error);
    for (size_t i = 0; stmt && i < n; i++) {
        moe_store_bind(stmt, 1, errors[i].machine);
        moe_store_bind(stmt, 2, errors[i].kernels);
        moe_store_bind(stmt, 3, errors[i].fit);
        moe_store_bind(stmt, 4, errors[i].family);
        if (!moe_store_step_done(store, stmt, error))
            return false;
    }
    return stmt != NULL;
}

static bool
insert_rows(moe_store *store, const moe_store_validated *rows, size_t n, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        store, "INSERT OR REPLACE INTO validation_row VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        error);
    for (size_t i = 0; stmt && i < n; i++) {
        const moe_store_validated *row = &rows[i];
        const char *const texts[] = {row->machine, row->kernels, row->fit, row->family, row->file};
        for (int t = 0; t < (int)MOE_COUNT(texts); t++)
            moe_store_bind(stmt, t + 1, texts[t]);
        sqlite3_bind_int64(stmt, 6, row->line);
        moe_store_bind(stmt, 7, row->kernel);
        moe_store_bind(stmt, 8, row->kind);
        moe_store_bind(stmt, 9, row->shape);
        sqlite3_bind_double(stmt, 10, row->measured_us);
        bind_number(stmt, 11, row->predicted_us);
        bind_number(stmt, 12, row->roofline_us);
        sqlite3_bind_int64(stmt, 13, row->merged);
        sqlite3_bind_int(stmt, 14, row->fitted);
        moe_store_bind(stmt, 15, row->bound);
        moe_store_bind(stmt, 16, row->odd);
        if (!moe_store_step_done(store, stmt, error))
            return false;
    }
    return stmt != NULL;
}

static bool
insert_errors(moe_store *store, const moe_store_error *errors, size_t n, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        store, "INSERT OR REPLACE INTO validation_error VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", error);
    for (size_t i = 0; stmt && i < n; i++) {
        const moe_store_error *e = &errors[i];
        const char *const texts[] = {e->machine, e->kernels,   e->fit,
                                     e->family,  e->dimension, e->label};
        const double numbers[] = {e->mean, e->median, e->p90, e->bias, e->roofline};
        for (int t = 0; t < (int)MOE_COUNT(texts); t++)
            moe_store_bind(stmt, t + 1, texts[t]);
        sqlite3_bind_int64(stmt, 7, e->rows);
        for (int k = 0; k < (int)MOE_COUNT(numbers); k++)
            bind_number(stmt, 8 + k, numbers[k]);
        if (!moe_store_step_done(store, stmt, error))
            return false;
    }
    return stmt != NULL;
}

bool
moe_store_set_validation(moe_store *store, const moe_store_validated *rows, size_t n,
                         const moe_store_error *errors, size_t n_errors, GError **error)
{
    static const char of_rows[] = "DELETE FROM validation_row WHERE machine = ? AND kernels = ? "
                                  "AND fit = ? AND family = ?",
                      of_errors[] = "DELETE FROM validation_error WHERE machine = ? AND kernels = "
                                    "? AND fit = ? AND family = ?";
    if (!moe_store_begin(store, error))
        return false;
    bool ok = delete_from(store, of_rows, errors, n_errors, error) &&
              delete_from(store, of_errors, errors, n_errors, error) &&
              insert_rows(store, rows, n, error) && insert_errors(store, errors, n_errors, error);
    return moe_store_end(store, ok, error);
}
