/* SQLite with GError: the store's own, not for others. */
#ifndef MOE_ANALYSIS_STORE_SQL_H
#define MOE_ANALYSIS_STORE_SQL_H

#include "analysis/store.h"

#include <sqlite3.h>

struct moe_store {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *has, *measure; /* asked for every run; prepared once */
};

/* Sets *error from the connection's last error, in words where the code is a known one. */
void moe_store_fail(const moe_store *store, GError **error, const char *doing);
bool moe_store_exec(moe_store *store, const char *sql, GError **error);
/* NULL with *error set; else finalise it. */
sqlite3_stmt *moe_store_prepare(moe_store *store, const char *sql, GError **error);
void moe_store_bind(sqlite3_stmt *stmt, int at, const char *text); /* borrowed until the reset */
/* Runs a statement that returns no rows and resets it. */
bool moe_store_step_done(moe_store *store, sqlite3_stmt *stmt, GError **error);
/* Fetches a row: 1 a row, 0 no more, -1 *error is set. */
int moe_store_step_row(moe_store *store, sqlite3_stmt *stmt, GError **error);

bool moe_store_begin(moe_store *store, GError **error);
/* Commits when `ok`, else rolls back; returns whether the transaction is in the file. */
bool moe_store_end(moe_store *store, bool ok, GError **error);

static inline void
moe_stmt_clear(sqlite3_stmt **stmt)
{
    sqlite3_finalize(*stmt);
}
#define MOE_AUTO_STMT __attribute__((cleanup(moe_stmt_clear))) sqlite3_stmt *

#endif
