/* What was measured of traces. */
#include "analysis/store_sql.h"

#include <math.h>

static bool
delete_statistics(moe_store *store, const char *trace, const char *selection, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(
        store, "DELETE FROM trace_statistic WHERE trace = ? AND selection = ?", error);
    if (!stmt)
        return false;
    moe_store_bind(stmt, 1, trace);
    moe_store_bind(stmt, 2, selection);
    return moe_store_step_done(store, stmt, error);
}

static void
bind_bound(sqlite3_stmt *stmt, int at, double value)
{
    if (isnan(value))
        sqlite3_bind_null(stmt, at);
    else
        sqlite3_bind_double(stmt, at, value);
}

static bool
insert_statistics(moe_store *store, const char *trace, const char *selection,
                  const moe_store_statistic *rows, size_t n, GError **error)
{
    MOE_AUTO_STMT stmt =
        moe_store_prepare(store, "INSERT INTO trace_statistic VALUES(?,?,?,?,?,?,?,?,?)", error);
    for (size_t i = 0; stmt && i < n; i++) {
        moe_store_bind(stmt, 1, trace);
        moe_store_bind(stmt, 2, selection);
        moe_store_bind(stmt, 3, rows[i].statistic);
        sqlite3_bind_int64(stmt, 4, rows[i].layer);
        moe_store_bind(stmt, 5, rows[i].parameter);
        sqlite3_bind_double(stmt, 6, rows[i].value);
        bind_bound(stmt, 7, rows[i].low);
        bind_bound(stmt, 8, rows[i].high);
        moe_store_bind(stmt, 9, rows[i].unit);
        if (!moe_store_step_done(store, stmt, error))
            return false;
    }
    return stmt != NULL;
}

bool
moe_store_set_statistics(moe_store *store, const char *trace, const char *selection,
                         const moe_store_statistic *rows, size_t n, GError **error)
{
    if (!moe_store_begin(store, error))
        return false;
    bool ok = delete_statistics(store, trace, selection, error) &&
              insert_statistics(store, trace, selection, rows, n, error);
    return moe_store_end(store, ok, error);
}
