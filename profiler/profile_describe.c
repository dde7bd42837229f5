/* What is in a profile, as text. */
#include "profiler/profile_schema.h"
#include "profiler/profile_write.h"
#include "sim/base/error.h"
#include "sim/base/units.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- opening ---- */

/* The first value of a query's first row; -1: it failed. */
static int64_t
describe_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static bool
describe_check(sqlite3 *db, const char *path, GError **error)
{
    int64_t application = describe_number(db, "PRAGMA application_id");
    int64_t version = describe_number(db, "PRAGMA user_version");
    if (application < 0 || version < 0)
        moe_error_path(error, MOE_ERROR_DATABASE, path, 0, "is not a database");
    else if (application != MOE_PROFILE_APPLICATION)
        moe_error_path(error, MOE_ERROR_DATABASE, path, 0,
                       "is no profile; `moesim profile import` makes one of an nsys export or a "
                       "PyTorch trace");
    else if (version != MOE_PROFILE_VERSION)
        moe_error_path(error, MOE_ERROR_DATABASE, path, 0,
                       "is a profile of schema %d; this moesim knows %d", (int)version,
                       MOE_PROFILE_VERSION);
    else
        return true;
    return false;
}

static sqlite3 *
describe_open(const char *path, GError **error)
{
    struct stat status;
    sqlite3 *db = NULL;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot be opened");
        return NULL;
    }
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        moe_error_path(error, MOE_ERROR_DATABASE, path, 0, "cannot be opened: %s",
                       sqlite3_errmsg(db));
    else if (describe_check(db, path, error))
        return db;
    sqlite3_close(db);
    return NULL;
}

/* ---- parts ---- */

typedef void describe_row(sqlite3_stmt *row, GString *out);

static void
describe_each(sqlite3 *db, const char *sql, const char *heading, describe_row *row, GString *out)
{
    sqlite3_stmt *statement = NULL;
    bool first = true;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        g_string_append_printf(out, "%s\n  (%s)\n", heading, sqlite3_errmsg(db));
    while (statement && sqlite3_step(statement) == SQLITE_ROW) {
        if (first)
            g_string_append_printf(out, "%s\n", heading);
        first = false;
        row(statement, out);
    }
    sqlite3_finalize(statement);
}

static const char *
describe_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? text : "";
}

static void
describe_meta(sqlite3_stmt *row, GString *out)
{
    g_string_append_printf(out, "  %-12s %.*s\n", describe_text(row, 0), 400,
                           describe_text(row, 1));
}

static void
describe_process(sqlite3_stmt *row, GString *out)
{
    g_string_append_printf(out, "  %s", describe_text(row, 0));
    if (sqlite3_column_type(row, 1) != SQLITE_NULL)
        g_string_append_printf(out, ", rank %s", describe_text(row, 1));
    g_string_append_printf(out, ": %s", *describe_text(row, 2) ? describe_text(row, 2) : "unnamed");
    if (sqlite3_column_type(row, 3) != SQLITE_NULL) {
        /* of input, so maybe beyond what picoseconds can say */
        double seconds = sqlite3_column_double(row, 3) * 1e-9;
        g_string_append_printf(out, ", %.6g s", seconds);
    }
    g_string_append_printf(out, "; recorded: %s", describe_text(row, 4));
    if (*describe_text(row, 5))
        g_string_append_printf(out, "; ended: %s", describe_text(row, 5));
    g_string_append_c(out, '\n');
}

static void
describe_device(sqlite3_stmt *row, GString *out)
{
    g_string_append_printf(out, "  %s: %s", describe_text(row, 0), describe_text(row, 1));
    if (*describe_text(row, 2))
        g_string_append_printf(out, ", sm_%s", describe_text(row, 2));
    if (sqlite3_column_int64(row, 3))
        g_string_append_printf(out, ", %s SMs", describe_text(row, 3));
    if (sqlite3_column_int64(row, 4) > 0) {
        g_autofree char *bytes = moe_format_bytes(sqlite3_column_int64(row, 4));
        g_string_append_printf(out, ", %s", bytes);
    }
    g_string_append_c(out, '\n');
}

static void
describe_loss(sqlite3_stmt *row, GString *out)
{
    g_string_append_printf(out, "  %12s %s.%s, process %s\n", describe_text(row, 3),
                           describe_text(row, 1), describe_text(row, 2), describe_text(row, 0));
}

static void
describe_diagnostic(sqlite3_stmt *row, GString *out)
{
    const moe_profile_code *code = moe_profile_code_find(describe_text(row, 1));
    g_string_append_printf(out, "  %s: %s: %s", describe_text(row, 0), describe_text(row, 1),
                           describe_text(row, 2));
    if (sqlite3_column_int64(row, 3) > 1)
        g_string_append_printf(out, " (%s times)", describe_text(row, 3));
    if (sqlite3_column_type(row, 4) != SQLITE_NULL)
        g_string_append_printf(out, ", process %s", describe_text(row, 4));
    g_string_append_c(out, '\n');
    if (code && strcmp(code->advice, "nothing") != 0)
        g_string_append_printf(out, "      to do: %s\n", code->advice);
}

static void
describe_counts(sqlite3 *db, GString *out)
{
    static const struct {
        const char *sql, *what;
    } rows[] = {
        {"SELECT count(*) FROM kernel", "kernels"},
        {"SELECT count(*) FROM kernel WHERE stage IS NOT NULL", "  of a stage"},
        {"SELECT count(*) FROM kernel WHERE graph_node IS NOT NULL", "  in CUDA graphs"},
        {"SELECT count(*) FROM graph_launch", "launches of whole graphs"},
        {"SELECT count(*) FROM memop WHERE kind = 'memcpy'", "copies"},
        {"SELECT count(*) FROM memop WHERE kind = 'memset'", "memsets"},
        {"SELECT count(*) FROM api", "API calls"},
        {"SELECT count(*) FROM synchronization", "waits"},
        {"SELECT count(*) FROM range", "ranges"},
        {"SELECT count(*) FROM stage", "  of a stage"},
        {"SELECT count(*) FROM step", "steps"},
        {"SELECT coalesce(sum(tokens), 0) FROM routing", "rows routed, over all layers"},
        {"SELECT count(*) FROM counter", "counter values"},
    };
    g_string_append(out, "holds\n");
    for (size_t i = 0; i < MOE_COUNT(rows); i++) {
        int64_t n = describe_number(db, rows[i].sql);
        if (n > 0)
            g_string_append_printf(out, "  %12lld %s\n", (long long)n, rows[i].what);
    }
}

bool
moe_profile_describe(const char *path, GString *out, GError **error)
{
    sqlite3 *db = describe_open(path, error);
    if (!db)
        return false;
    g_string_append_printf(out, "%s\n", path);
    describe_each(db, "SELECT name, value FROM meta ORDER BY name", "capture", describe_meta, out);
    describe_each(db,
                  "SELECT pid, rank, name, end_ns - start_ns, attach, ended FROM process"
                  " ORDER BY pid",
                  "processes", describe_process, out);
    describe_each(db,
                  "SELECT DISTINCT device, name, capability, sms, memory_bytes FROM device"
                  " ORDER BY device, name",
                  "devices", describe_device, out);
    describe_counts(db, out);
    describe_each(db, "SELECT pid, source, what, n FROM loss ORDER BY pid, source, what", "lost",
                  describe_loss, out);
    describe_each(db,
                  "SELECT severity, code, text, n, pid FROM diagnostic"
                  " ORDER BY CASE severity WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END, id",
                  "diagnostics", describe_diagnostic, out);
    sqlite3_close(db);
    return true;
}
