#include "analysis/store_sql.h"

#include <math.h>

bool
moe_store_has_rows(moe_store *store, const char *table, const char *identity, bool *has,
                   GError **error)
{
    g_autofree char *sql = g_strdup_printf("SELECT 1 FROM %s WHERE run = ? LIMIT 1", table);
    MOE_AUTO_STMT stmt = moe_store_prepare(store, sql, error);
    if (!stmt)
        return false;
    moe_store_bind(stmt, 1, identity);
    int row = moe_store_step_row(store, stmt, error);
    *has = row == 1;
    return row >= 0;
}

bool
moe_store_has(moe_store *store, const char *identity, bool *has, GError **error)
{
    if (!store->has)
        store->has = moe_store_prepare(store, "SELECT 1 FROM run WHERE identity = ?", error);
    if (!store->has)
        return false;
    moe_store_bind(store->has, 1, identity);
    int row = moe_store_step_row(store, store->has, error);
    sqlite3_reset(store->has);
    *has = row == 1;
    return row >= 0;
}

static double
column_real(sqlite3_stmt *stmt, int at)
{
    return sqlite3_column_type(stmt, at) == SQLITE_NULL ? (double)NAN
                                                        : sqlite3_column_double(stmt, at);
}

bool
moe_store_measure(moe_store *store, const char *identity, const char *metric, moe_measure *measure,
                  GError **error)
{
    *measure = (moe_measure){NAN, NAN, NAN, NAN};
    if (!store->measure)
        store->measure =
            moe_store_prepare(store,
                              "SELECT value, contention_free, perfect_cache, roofline FROM metric"
                              " WHERE run = ? AND name = ?",
                              error);
    if (!store->measure)
        return false;
    sqlite3_stmt *stmt = store->measure;
    moe_store_bind(stmt, 1, identity);
    moe_store_bind(stmt, 2, metric);
    int row = moe_store_step_row(store, stmt, error);
    if (row == 1)
        *measure = (moe_measure){column_real(stmt, 0), column_real(stmt, 1), column_real(stmt, 2),
                                 column_real(stmt, 3)};
    sqlite3_reset(stmt);
    return row >= 0;
}

bool
moe_store_counterfactual(moe_store *store, const char *identity, bool *is, GError **error)
{
    *is = false;
    MOE_AUTO_STMT stmt =
        moe_store_prepare(store, "SELECT counterfactual FROM run WHERE identity = ?", error);
    if (!stmt)
        return false;
    moe_store_bind(stmt, 1, identity);
    int row = moe_store_step_row(store, stmt, error);
    *is = row == 1 && sqlite3_column_int(stmt, 0);
    return row >= 0;
}

bool
moe_store_unit(moe_store *store, const char *metric, char **unit, GError **error)
{
    MOE_AUTO_STMT stmt =
        moe_store_prepare(store, "SELECT unit FROM metric WHERE name = ? LIMIT 1", error);
    if (!stmt)
        return false;
    moe_store_bind(stmt, 1, metric);
    int row = moe_store_step_row(store, stmt, error);
    *unit = row == 1 ? g_strdup((const char *)sqlite3_column_text(stmt, 0)) : NULL;
    return row >= 0;
}

char **
moe_store_metrics(moe_store *store, GError **error)
{
    MOE_AUTO_STMT stmt =
        moe_store_prepare(store, "SELECT DISTINCT name FROM metric ORDER BY name", error);
    if (!stmt)
        return NULL;
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    int row;
    while ((row = moe_store_step_row(store, stmt, error)) == 1)
        g_ptr_array_add(names, g_strdup((const char *)sqlite3_column_text(stmt, 0)));
    g_ptr_array_add(names, NULL);
    if (row == 0)
        return (char **)g_ptr_array_free(names, FALSE);
    g_ptr_array_free(names, TRUE);
    return NULL;
}

bool
moe_store_blame(moe_store *store, const char *identity, moe_store_blame_row *row, void *context,
                GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        store,
        "SELECT kind, cause, sum(ps) FROM blame WHERE run = ? GROUP BY kind, cause"
        " ORDER BY kind, cause",
        error);
    if (!stmt)
        return false;
    moe_store_bind(stmt, 1, identity);
    int step;
    while ((step = moe_store_step_row(store, stmt, error)) == 1)
        row(context, (const char *)sqlite3_column_text(stmt, 0),
            (const char *)sqlite3_column_text(stmt, 1), sqlite3_column_int64(stmt, 2));
    return step == 0;
}

moe_frame *
moe_store_frame(moe_store *store, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        store,
        "SELECT r.identity, p.key, p.value FROM v_run r LEFT JOIN parameter p ON p.run = r.identity"
        " ORDER BY r.scenario, r.parameters, r.identity, p.key",
        error);
    if (!stmt)
        return NULL;
    g_autoptr(moe_frame) frame = moe_frame_new();
    g_autofree char *last = NULL;
    int step;
    while ((step = moe_store_step_row(store, stmt, error)) == 1) {
        const char *identity = (const char *)sqlite3_column_text(stmt, 0);
        const char *key = (const char *)sqlite3_column_text(stmt, 1);
        if (g_strcmp0(last, identity) != 0) {
            moe_frame_add(frame, identity, NULL, NULL, 0);
            g_free(last);
            last = g_strdup(identity);
        }
        if (key)
            moe_frame_set(frame, key, (const char *)sqlite3_column_text(stmt, 2));
    }
    return step == 0 ? g_steal_pointer(&frame) : NULL;
}
