#include "analysis/schema.h"
#include "analysis/store_sql.h"

#include <math.h>

static void
bind_cell(sqlite3_stmt *stmt, int at, const moe_cell *cell)
{
    switch (cell->kind) {
    case MOE_CELL_NULL:
        sqlite3_bind_null(stmt, at);
        break;
    case MOE_CELL_INT:
        sqlite3_bind_int64(stmt, at, cell->integer);
        break;
    case MOE_CELL_REAL: /* NAN is stored as NULL */
        sqlite3_bind_double(stmt, at, cell->real);
        break;
    case MOE_CELL_TEXT:
        moe_store_bind(stmt, at, cell->text);
        break;
    }
}

static sqlite3_stmt *
prepare_insert(moe_store *store, const moe_table *table, GError **error)
{
    g_autoptr(GString) sql = g_string_new(NULL);
    g_string_printf(sql, "INSERT INTO %s VALUES(?", table->name);
    for (size_t i = 0; i < table->n_columns; i++)
        g_string_append(sql, ",?");
    g_string_append_c(sql, ')');
    return moe_store_prepare(store, sql->str, error);
}

static bool
insert_table(moe_store *store, const char *identity, const moe_result *result, size_t t,
             GError **error)
{
    const moe_table *table = moe_schema_find(moe_result_table(result, t));
    moe_assert(table, "a run has rows of table '%s'", moe_result_table(result, t));
    MOE_AUTO_STMT stmt = prepare_insert(store, table, error);
    for (size_t row = 0; stmt && row < moe_result_rows(result, t); row++) {
        size_t n = 0;
        const moe_cell *cells = moe_result_row(result, t, row, &n);
        moe_assert(n == table->n_columns, "table '%s': %zu cells for %zu columns", table->name, n,
                   table->n_columns);
        moe_store_bind(stmt, 1, identity);
        for (size_t i = 0; i < n; i++)
            bind_cell(stmt, (int)i + 2, &cells[i]);
        if (!moe_store_step_done(store, stmt, error))
            return false;
    }
    return stmt != NULL;
}

bool
moe_store_add_source(moe_store *store, const char *hash, const char *overrides, const char *text,
                     GError **error)
{
    MOE_AUTO_STMT stmt =
        moe_store_prepare(store, "INSERT OR IGNORE INTO source VALUES(?,?,?)", error);
    if (!stmt)
        return false;
    moe_store_bind(stmt, 1, hash);
    moe_store_bind(stmt, 2, overrides);
    moe_store_bind(stmt, 3, text);
    return moe_store_step_done(store, stmt, error);
}

static bool
insert_run(moe_store *store, const moe_store_run *run, bool *added, GError **error)
{
    MOE_AUTO_STMT stmt =
        moe_store_prepare(store, "INSERT OR IGNORE INTO run VALUES(?,?,?,?,?,?,?,?,?,?)", error);
    if (!stmt)
        return false;
    moe_store_bind(stmt, 1, run->identity);
    moe_store_bind(stmt, 2, run->scenario);
    moe_store_bind(stmt, 3, run->path);
    moe_store_bind(stmt, 4, run->version);
    sqlite3_bind_int64(stmt, 5, run->semantics);
    sqlite3_bind_int64(stmt, 6, (sqlite3_int64)run->seed);
    moe_store_bind(stmt, 7, run->source);
    moe_store_bind(stmt, 8, run->host);
    sqlite3_bind_double(stmt, 9, run->wall_s);
    sqlite3_bind_int(stmt, 10, run->counterfactual);
    if (!moe_store_step_done(store, stmt, error))
        return false;
    *added = sqlite3_changes(store->db) == 1;
    return true;
}

static bool
insert_keys(moe_store *store, const char *identity, const char *const *keys,
            const char *const *values, size_t n, GError **error)
{
    MOE_AUTO_STMT stmt =
        moe_store_prepare(store, "INSERT OR IGNORE INTO parameter VALUES(?,?,?)", error);
    for (size_t i = 0; stmt && i < n; i++) {
        moe_store_bind(stmt, 1, identity);
        moe_store_bind(stmt, 2, keys[i]);
        moe_store_bind(stmt, 3, values[i]);
        if (!moe_store_step_done(store, stmt, error))
            return false;
    }
    return stmt != NULL;
}

/* Of a run that was stored already, only the tables it lacks: the rest would be the same. */
static bool
insert_results(moe_store *store, const char *identity, const moe_result *result, bool added,
               GError **error)
{
    bool ok = true;
    for (size_t t = 0; ok && t < moe_result_tables(result); t++) {
        bool there = false;
        if (!added)
            ok = moe_store_has_rows(store, moe_result_table(result, t), identity, &there, error);
        if (ok && !there)
            ok = insert_table(store, identity, result, t, error);
    }
    return ok;
}

bool
moe_store_add(moe_store *store, const moe_store_run *run, const moe_result *result, GError **error)
{
    if (!moe_store_begin(store, error))
        return false;
    bool added = false;
    bool ok = insert_run(store, run, &added, error) &&
              insert_results(store, run->identity, result, added, error);
    ok = ok && insert_keys(store, run->identity, run->keys, run->values, run->n_swept, error);
    return moe_store_end(store, ok, error);
}

static bool
insert_point(moe_store *store, const moe_frame *frame, size_t point, GError **error)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    g_autoptr(GPtrArray) values = g_ptr_array_new();
    for (size_t key = 0; key < moe_frame_keys(frame); key++) {
        const char *value = moe_frame_value(frame, point, key);
        if (!value)
            continue;
        g_ptr_array_add(keys, (gpointer)(uintptr_t)moe_frame_key(frame, key));
        g_ptr_array_add(values, (gpointer)(uintptr_t)value);
    }
    return insert_keys(store, moe_frame_identity(frame, point), (const char *const *)keys->pdata,
                       (const char *const *)values->pdata, keys->len, error);
}

bool
moe_store_add_keys(moe_store *store, const moe_frame *frame, GError **error)
{
    if (!moe_store_begin(store, error))
        return false;
    bool ok = true;
    for (size_t point = 0; ok && point < moe_frame_points(frame); point++) {
        bool has = false;
        ok = moe_store_has(store, moe_frame_identity(frame, point), &has, error) &&
             (!has || insert_point(store, frame, point, error));
    }
    return moe_store_end(store, ok, error);
}

static void
bind_real(sqlite3_stmt *stmt, int at, double value)
{
    sqlite3_bind_double(stmt, at, value);
}

static bool
insert_expectation(moe_store *store, sqlite3_stmt *stmt, const char *scenario,
                   const moe_store_expectation *row, GError **error)
{
    moe_store_bind(stmt, 1, scenario);
    sqlite3_bind_int(stmt, 2, row->number);
    sqlite3_bind_int(stmt, 3, row->pair);
    moe_store_bind(stmt, 4, row->metric);
    moe_store_bind(stmt, 5, row->of);
    moe_store_bind(stmt, 6, row->over);
    moe_store_bind(stmt, 7, row->agg);
    bind_real(stmt, 8, row->expected);
    bind_real(stmt, 9, row->within);
    moe_store_bind(stmt, 10, row->bound);
    bind_real(stmt, 11, row->got);
    moe_store_bind(stmt, 12, row->verdict);
    moe_store_bind(stmt, 13, row->basis);
    moe_store_bind(stmt, 14, row->source);
    moe_store_bind(stmt, 15, row->note);
    return moe_store_step_done(store, stmt, error);
}

static bool
replace_expectations(moe_store *store, const char *scenario, const moe_store_expectation *rows,
                     size_t n, GError **error)
{
    MOE_AUTO_STMT clear =
        moe_store_prepare(store, "DELETE FROM expectation WHERE scenario = ?", error);
    if (!clear)
        return false;
    moe_store_bind(clear, 1, scenario);
    if (!moe_store_step_done(store, clear, error))
        return false;
    MOE_AUTO_STMT stmt = moe_store_prepare(
        store, "INSERT INTO expectation VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", error);
    for (size_t i = 0; stmt && i < n; i++)
        if (!insert_expectation(store, stmt, scenario, &rows[i], error))
            return false;
    return stmt != NULL;
}

bool
moe_store_set_expectations(moe_store *store, const char *scenario,
                           const moe_store_expectation *rows, size_t n, GError **error)
{
    if (!moe_store_begin(store, error))
        return false;
    return moe_store_end(store, replace_expectations(store, scenario, rows, n, error), error);
}
