#include "analysis/store.h"

#include "analysis/schema.h"
#include "analysis/store_sql.h"
#include "sim/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 5000

typedef struct failure {
    int code;
    const char *text;
} failure;

static const failure failures[] = {
    {SQLITE_BUSY, "locked by another program (waited 5 s)"},
    {SQLITE_LOCKED, "locked by another program"},
    {SQLITE_FULL, "the disk is full"},
    {SQLITE_READONLY, "cannot be written: the file or its folder is read-only"},
    {SQLITE_CANTOPEN, "cannot be opened or created"},
    {SQLITE_NOTADB, "is not a database"},
    {SQLITE_CORRUPT, "the database is damaged"},
    {SQLITE_IOERR, "reading or writing failed: disk full, file size limit, or broken disk"},
};

void
moe_store_fail(const moe_store *store, GError **error, const char *doing)
{
    int code = sqlite3_errcode(store->db) & 0xFF;
    int errnum = sqlite3_system_errno(store->db);
    for (size_t i = 0; i < MOE_COUNT(failures); i++)
        if (failures[i].code == code) {
            bool says = code == SQLITE_CANTOPEN || code == SQLITE_IOERR;
            moe_error_path(error, MOE_ERROR_DATABASE, store->path, says ? errnum : 0, "%s",
                           failures[i].text);
            return;
        }
    moe_error_path(error, MOE_ERROR_DATABASE, store->path, 0, "%s: %s", doing,
                   sqlite3_errmsg(store->db));
}

bool
moe_store_exec(moe_store *store, const char *sql, GError **error)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    moe_store_fail(store, error, "database");
    return false;
}

sqlite3_stmt *
moe_store_prepare(moe_store *store, const char *sql, GError **error)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        moe_store_fail(store, error, "database");
    return stmt;
}

void
moe_store_bind(sqlite3_stmt *stmt, int at, const char *text)
{
    sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

int
moe_store_step_row(moe_store *store, sqlite3_stmt *stmt, GError **error)
{
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        return 1;
    if (code == SQLITE_DONE)
        return 0;
    moe_store_fail(store, error, "database");
    return -1;
}

bool
moe_store_step_done(moe_store *store, sqlite3_stmt *stmt, GError **error)
{
    int code = sqlite3_step(stmt);
    if (code != SQLITE_DONE)
        moe_store_fail(store, error, "database");
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return code == SQLITE_DONE;
}

bool
moe_store_begin(moe_store *store, GError **error)
{
    return moe_store_exec(store, "BEGIN IMMEDIATE", error);
}

bool
moe_store_end(moe_store *store, bool ok, GError **error)
{
    if (ok && moe_store_exec(store, "COMMIT", error))
        return true;
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

static bool
pragma_int(moe_store *store, const char *sql, int *value, GError **error)
{
    MOE_AUTO_STMT stmt = moe_store_prepare(store, sql, error);
    if (!stmt || moe_store_step_row(store, stmt, error) < 0)
        return false;
    *value = sqlite3_column_int(stmt, 0);
    return true;
}

static bool
refuse_newer(const char *path, int version, GError **error)
{
    if (version <= MOE_SCHEMA_VERSION)
        return false;
    moe_error_path(error, MOE_ERROR_DATABASE, path, 0,
                   "made by a newer moesim (schema %d; this one knows up to %d)", version,
                   MOE_SCHEMA_VERSION);
    return true;
}

static uint32_t
big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Reads the 100-byte header (https://www.sqlite.org/fileformat.html, section 1.3) without SQLite,
 * so that not even a lock file appears beside a file that is not ours. */
static bool
probe(const char *path, GError **error)
{
    unsigned char header[100];
    FILE *file = fopen(path, "rb");
    if (!file) {
        moe_error_path(error, MOE_ERROR_DATABASE, path, errno, "cannot be opened");
        return false;
    }
    size_t n = fread(header, 1, sizeof header, file);
    bool bad = ferror(file) != 0;
    fclose(file);
    if (n == 0 && !bad)
        return true;
    if (bad || n < sizeof header || memcmp(header, "SQLite format 3", 16) != 0) {
        moe_error_path(error, MOE_ERROR_DATABASE, path, 0, "is not a database");
        return false;
    }
    if (big_endian(header + 68) != MOE_SCHEMA_APPLICATION) {
        moe_error_path(error, MOE_ERROR_DATABASE, path, 0,
                       "is a database of another application, not of moesim");
        return false;
    }
    return !refuse_newer(path, (int)big_endian(header + 60), error);
}

static bool
check_file(const char *path, moe_store_mode mode, GError **error)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        if (mode == MOE_STORE_WRITE && errno == ENOENT)
            return true;
        moe_error_path(error, MOE_ERROR_DATABASE, path, errno, "cannot be opened");
        return false;
    }
    if (!S_ISREG(info.st_mode)) {
        moe_error_path(error, MOE_ERROR_DATABASE, path, 0, "is not a regular file");
        return false;
    }
    return probe(path, error);
}

/* A database in a folder that cannot be written has no place for SQLite's shared memory; nobody
 * can be writing it either unless its log is there. */
static bool
immutable(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *log = g_strconcat(path, "-wal", NULL);
    return access(folder, W_OK) != 0 && access(log, F_OK) != 0;
}

static bool
connect_file(moe_store *store, moe_store_mode mode, GError **error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    g_autofree char *name = g_strdup(store->path);
    if (mode == MOE_STORE_WRITE) {
        flags |= SQLITE_OPEN_CREATE;
    } else if (immutable(store->path)) {
        g_autofree char *full = g_canonicalize_filename(store->path, NULL);
        g_autofree char *escaped = g_uri_escape_string(full, "/", TRUE);
        g_free(name);
        name = g_strdup_printf("file:%s?immutable=1", escaped);
        flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
    }
    if (sqlite3_open_v2(name, &store->db, flags, NULL) != SQLITE_OK) {
        moe_store_fail(store, error, "database");
        return false;
    }
    sqlite3_busy_timeout(store->db, BUSY_MS);
    return true;
}

/* Makes or upgrades the schema; version and tables change in one transaction. */
static bool
migrate(moe_store *store, GError **error)
{
    if (!moe_store_begin(store, error))
        return false;
    int version = 0;
    bool ok = pragma_int(store, "PRAGMA user_version", &version, error) &&
              !refuse_newer(store->path, version, error);
    if (ok && version == 0) {
        g_autofree char *sql = moe_schema_create();
        ok = moe_store_exec(store, sql, error);
        version = MOE_SCHEMA_VERSION;
    }
    for (; ok && version < MOE_SCHEMA_VERSION; version++) {
        g_autofree char *set = g_strdup_printf("PRAGMA user_version = %d", version + 1);
        ok = moe_store_exec(store, moe_schema_upgrade(version), error) &&
             moe_store_exec(store, set, error);
    }
    return moe_store_end(store, ok, error);
}

static bool
prepare_file(moe_store *store, moe_store_mode mode, GError **error)
{
    int version = 0;
    if (!pragma_int(store, "PRAGMA user_version", &version, error) ||
        refuse_newer(store->path, version, error))
        return false;
    if (mode == MOE_STORE_READ) {
        if (version == MOE_SCHEMA_VERSION)
            return moe_store_exec(store, "PRAGMA query_only = 1", error);
        moe_error_path(error, MOE_ERROR_DATABASE, store->path, 0,
                       version ? "has an older schema; `moesim run … -o` upgrades it"
                               : "is empty: no run was stored in it");
        return false;
    }
    if (version < MOE_SCHEMA_VERSION && !migrate(store, error))
        return false;
    /* a commit is one write to the log; folding the log back is what costs, so it is done rarely */
    return moe_store_exec(store,
                          "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                          "PRAGMA wal_autocheckpoint = 8000",
                          error);
}

moe_store *
moe_store_open(const char *path, moe_store_mode mode, GError **error)
{
    if (!check_file(path, mode, error))
        return NULL;
    moe_store *store = g_new0(moe_store, 1);
    store->path = g_strdup(path);
    if (connect_file(store, mode, error) && prepare_file(store, mode, error))
        return store;
    moe_store_close(store);
    return NULL;
}

void
moe_store_close(moe_store *store)
{
    if (!store)
        return;
    sqlite3_finalize(store->has);
    sqlite3_finalize(store->measure);
    sqlite3_close(store->db);
    g_free(store->path);
    g_free(store);
}
