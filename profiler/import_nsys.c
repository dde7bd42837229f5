#include "profiler/import_nsys.h"

#include "sim/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- tables ---- */

static void
nsys_fail(moe_nsys *s)
{
    if (!s->failed)
        moe_diag_error(s->diag, (moe_loc){.file = s->file}, "the database is damaged: %s",
                       sqlite3_errmsg(s->db));
    s->failed = true;
}

bool
moe_nsys_next(moe_nsys *s, sqlite3_stmt *rows)
{
    if (!rows || s->failed || moe_profile_writer_failed(s->writer))
        return false;
    int code = sqlite3_step(rows);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        nsys_fail(s);
    return code == SQLITE_ROW;
}

/* The names of a table's columns; NULL: there is no such table (a view of that name is none). */
static GHashTable *
nsys_columns(moe_nsys *s, const char *table)
{
    static const char sql[] = "SELECT i.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name)"
                              " AS i WHERE m.type = 'table' AND m.name = ?";
    sqlite3_stmt *rows = NULL;
    if (s->failed)
        return NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &rows, NULL) != SQLITE_OK)
        nsys_fail(s);
    else
        sqlite3_bind_text(rows, 1, table, -1, SQLITE_STATIC);
    GHashTable *columns = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    while (moe_nsys_next(s, rows))
        g_hash_table_add(columns, g_strdup((const char *)sqlite3_column_text(rows, 0)));
    sqlite3_finalize(rows);
    if (g_hash_table_size(columns) > 0)
        return columns;
    g_hash_table_unref(columns);
    return NULL;
}

sqlite3_stmt *
moe_nsys_select(moe_nsys *s, const char *table, const char *const *columns, int n_columns,
                int wanted, const char *rest)
{
    g_autoptr(GHashTable) there = nsys_columns(s, table);
    g_autoptr(GString) sql = g_string_new("SELECT ");
    sqlite3_stmt *rows = NULL;
    if (!there)
        return NULL;
    for (int i = 0; i < n_columns; i++) {
        bool has = g_hash_table_contains(there, columns[i]);
        if (!has && i < wanted) {
            moe_profile_note(s->writer, MOE_PROFILE_NULL, MOE_PROFILE_NULL, "foreign_table", 1,
                             "table %s has no column %s: it is not read", table, columns[i]);
            return NULL;
        }
        g_string_append_printf(sql, has ? "%s\"%s\"" : "%sNULL", i ? ", " : "", columns[i]);
    }
    g_string_append_printf(sql, " FROM \"%s\" %s", table, rest);
    if (sqlite3_prepare_v2(s->db, sql->str, -1, &rows, NULL) != SQLITE_OK)
        nsys_fail(s);
    return rows;
}

int64_t
moe_nsys_number(sqlite3_stmt *rows, int column)
{
    return sqlite3_column_type(rows, column) == SQLITE_NULL ? MOE_PROFILE_NULL
                                                            : sqlite3_column_int64(rows, column);
}

bool
moe_nsys_times(moe_nsys *s, sqlite3_stmt *rows, int64_t *start, int64_t *end)
{
    *start = moe_nsys_number(rows, 0);
    *end = moe_nsys_number(rows, 1);
    bool good = *start >= 0 && *end >= *start;
    s->odd += !good;
    return good;
}

uint32_t
moe_nsys_process_of(moe_nsys *s, int64_t global)
{
    int64_t pid = global / 0x1000000 % 0x1000000;
    uint32_t known = s->pids.n, at = moe_index_map_add(&s->pids, (uint64_t)pid);
    moe_assert(at != MOE_NONE, "no memory for %u processes", known);
    if (at == known) {
        moe_nsys_process new = {.pid = pid, .first_ns = UINT64_MAX};
        g_array_append_val(s->processes, new);
    }
    return at;
}

int64_t
moe_nsys_text(moe_nsys *s, int64_t id)
{
    if (id == MOE_PROFILE_NULL || !s->find_text)
        return 0;
    uint32_t known = s->texts.n, at = moe_index_map_add(&s->texts, (uint64_t)id);
    moe_assert(at != MOE_NONE, "no memory for %u texts", known);
    if (at == known) {
        int64_t text = 0;
        sqlite3_reset(s->find_text);
        sqlite3_bind_int64(s->find_text, 1, id);
        if (moe_nsys_next(s, s->find_text))
            text =
                moe_profile_text(s->writer, (const char *)sqlite3_column_text(s->find_text, 0), -1);
        g_array_append_val(s->of_text, text);
    }
    return g_array_index(s->of_text, int64_t, at);
}

/* ---- what is not of time ---- */

static void
nsys_meta(moe_nsys *s)
{
    static const char *const tables[] = {"META_DATA_EXPORT", "META_DATA_CAPTURE"};
    static const char *const columns[] = {"name", "value"};
    for (size_t i = 0; i < MOE_COUNT(tables); i++) {
        sqlite3_stmt *rows = moe_nsys_select(s, tables[i], columns, 2, 2, "ORDER BY name, value");
        while (moe_nsys_next(s, rows)) {
            const char *name = (const char *)sqlite3_column_text(rows, 0);
            g_autofree char *key = g_strconcat("nsys.", name ? name : "", NULL);
            moe_profile_meta(s->writer, key, (const char *)sqlite3_column_text(rows, 1));
        }
        sqlite3_finalize(rows);
    }
}

static void
nsys_devices(moe_nsys *s)
{
    static const char *const columns[] = {"cuDevice", "name",        "computeMajor", "computeMinor",
                                          "smCount",  "totalMemory", "uuid",         "id"};
    sqlite3_stmt *rows = moe_nsys_select(s, "TARGET_INFO_GPU", columns, 8, 0, "ORDER BY id");
    while (moe_nsys_next(s, rows)) {
        int64_t device = moe_nsys_number(rows, 0);
        g_autofree char *capability =
            moe_nsys_number(rows, 2) == MOE_PROFILE_NULL
                ? NULL
                : g_strdup_printf("%lld.%lld", (long long)moe_nsys_number(rows, 2),
                                  (long long)moe_nsys_number(rows, 3));
        moe_profile_device row = {.device = device == MOE_PROFILE_NULL ? moe_nsys_number(rows, 7)
                                                                       : device,
                                  .uuid = (const char *)sqlite3_column_text(rows, 6),
                                  .name = (const char *)sqlite3_column_text(rows, 1),
                                  .capability = capability,
                                  .sms = moe_nsys_number(rows, 4),
                                  .memory_bytes = moe_nsys_number(rows, 5),
                                  .memory_clock_khz = MOE_PROFILE_NULL};
        /* nsys says once what every process sees */
        for (guint i = 0; i < s->processes->len && row.device != MOE_PROFILE_NULL; i++) {
            row.pid = g_array_index(s->processes, moe_nsys_process, i).pid;
            moe_profile_add_device(s->writer, &row);
        }
    }
    sqlite3_finalize(rows);
}

static void
nsys_diagnostics(moe_nsys *s)
{
    static const char *const columns[] = {"text", "timestamp", "severity", "globalPid"};
    enum { WARNING = 2, ERROR = 3 };
    sqlite3_stmt *rows =
        moe_nsys_select(s, "DIAGNOSTIC_EVENT", columns, 4, 1, "ORDER BY timestamp, text");
    while (moe_nsys_next(s, rows)) {
        int64_t severity = moe_nsys_number(rows, 2), global = moe_nsys_number(rows, 3);
        const char *text = (const char *)sqlite3_column_text(rows, 0);
        moe_profile_note_as(s->writer,
                            global == MOE_PROFILE_NULL ? MOE_PROFILE_NULL
                                                       : global / 0x1000000 % 0x1000000,
                            moe_nsys_number(rows, 1),
                            severity >= ERROR     ? MOE_PROFILE_ERROR
                            : severity == WARNING ? MOE_PROFILE_WARN
                                                  : MOE_PROFILE_INFO,
                            "foreign_note", 1, text);
    }
    sqlite3_finalize(rows);
}

/* Times count from here. */
static int64_t
nsys_epoch(moe_nsys *s)
{
    static const char *const columns[] = {"utcEpochNs"};
    sqlite3_stmt *rows = moe_nsys_select(s, "TARGET_INFO_SESSION_START_TIME", columns, 1, 1, "");
    int64_t epoch = moe_nsys_next(s, rows) ? moe_nsys_number(rows, 0) : MOE_PROFILE_NULL;
    sqlite3_finalize(rows);
    return epoch;
}

static void
nsys_processes(moe_nsys *s)
{
    static const char *const columns[] = {"globalPid", "name"};
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    int64_t epoch = nsys_epoch(s);
    sqlite3_stmt *rows = moe_nsys_select(s, "PROCESSES", columns, 2, 2, "ORDER BY globalPid, name");
    g_ptr_array_set_size(names, (gint)s->processes->len);
    while (moe_nsys_next(s, rows)) {
        uint64_t pid = (uint64_t)(moe_nsys_number(rows, 0) / 0x1000000 % 0x1000000);
        uint32_t at = s->pids.n ? s->pids.values[moe_index_map_slot(&s->pids, pid)] : MOE_NONE;
        if (at != MOE_NONE && !names->pdata[at])
            names->pdata[at] = g_strdup((const char *)sqlite3_column_text(rows, 1));
    }
    sqlite3_finalize(rows);
    for (guint i = 0; i < s->processes->len; i++) {
        const moe_nsys_process *p = &g_array_index(s->processes, moe_nsys_process, i);
        bool known = p->first_ns <= p->last_ns;
        moe_profile_process row = {.pid = p->pid,
                                   .parent = MOE_PROFILE_NULL,
                                   .rank = MOE_PROFILE_NULL,
                                   .name = names->pdata[i],
                                   .start_ns = known ? (int64_t)p->first_ns : MOE_PROFILE_NULL,
                                   .end_ns = known ? (int64_t)p->last_ns : MOE_PROFILE_NULL,
                                   .realtime_offset_ns = epoch,
                                   .attach = "full"};
        moe_profile_add_process(s->writer, &row);
    }
}

/* ---- the file ---- */

/* A first look without SQLite, for the messages that help. */
static bool
nsys_is_database(const char *file, moe_diag *diag, GError **error)
{
    char head[16] = {0};
    struct stat status;
    FILE *stream = fopen(file, "rb");
    if (!stream || fstat(fileno(stream), &status) != 0 || S_ISDIR(status.st_mode)) {
        moe_error_path(error, MOE_ERROR_FILE, file, stream ? EISDIR : errno, "cannot be opened");
        if (stream)
            fclose(stream);
        return false;
    }
    size_t n = fread(head, 1, sizeof head, stream);
    fclose(stream);
    if (n == sizeof head && memcmp(head, "SQLite format 3", 16) == 0)
        return true;
    moe_diag_error(diag, (moe_loc){.file = file},
                   "is not a database; export a report with: nsys export --type sqlite REPORT");
    return false;
}

static bool
nsys_is_export(moe_nsys *s)
{
    static const char *const any[] = {
        "META_DATA_EXPORT",           "META_DATA_CAPTURE",          "NVTX_EVENTS",
        "CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_MEMCPY", "CUPTI_ACTIVITY_KIND_RUNTIME"};
    for (size_t i = 0; i < MOE_COUNT(any) && !s->failed; i++) {
        g_autoptr(GHashTable) columns = nsys_columns(s, any[i]);
        if (columns)
            return true;
    }
    if (!s->failed)
        moe_diag_error(s->diag, (moe_loc){.file = s->file},
                       "has none of the tables of an nsys export, such as META_DATA_EXPORT");
    s->failed = true;
    return false;
}

static void
nsys_prepare(moe_nsys *s)
{
    static const char *const text_columns[] = {"value", "id"};
    /* the schema is the input's: no functions or virtual tables by way of it */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_exec(s->db, "PRAGMA cell_size_check = ON; PRAGMA query_only = ON", NULL, NULL, NULL);
    if (nsys_is_export(s))
        s->find_text = moe_nsys_select(s, "StringIds", text_columns, 2, 2, "WHERE id = ?");
}

static void
nsys_clear(moe_nsys *s)
{
    for (guint i = 0; i < s->processes->len; i++)
        moe_nest_free(g_array_index(s->processes, moe_nsys_process, i).nest);
    g_array_unref(s->processes);
    g_array_unref(s->of_text);
    g_array_unref(s->of_domain);
    g_array_unref(s->of_node);
    moe_index_map_clear(&s->pids);
    moe_index_map_clear(&s->texts);
    moe_index_map_clear(&s->domains);
    moe_index_map_clear(&s->nodes);
    moe_calls_free(s->calls);
    sqlite3_finalize(s->find_text);
    sqlite3_close(s->db);
}

static void
nsys_read(moe_nsys *s)
{
    nsys_meta(s);
    moe_nsys_ranges(s);
    moe_nsys_activity(s);
    nsys_processes(s);
    nsys_devices(s);
    nsys_diagnostics(s);
    if (s->odd)
        moe_profile_note(s->writer, MOE_PROFILE_NULL, MOE_PROFILE_NULL, "foreign_row", s->odd,
                         "rows without times, or that end before they start, are left out");
    moe_profile_loss(s->writer, 0, "nsys", "odd_rows", s->odd);
}

bool
moe_nsys_import(sqlite3 *db, const char *file, moe_profile_writer *writer, moe_diag *diag)
{
    moe_nsys s = {.db = db, .file = file, .writer = writer, .diag = diag, .calls = moe_calls_new()};
    s.processes = g_array_new(FALSE, FALSE, sizeof(moe_nsys_process));
    s.of_text = g_array_new(FALSE, FALSE, sizeof(int64_t));
    s.of_domain = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    s.of_node = g_array_new(FALSE, FALSE, sizeof(moe_nsys_node));
    nsys_prepare(&s);
    if (!s.failed)
        nsys_read(&s);
    nsys_clear(&s);
    return !s.failed;
}

bool
moe_profile_import_nsys(const char *file, const char *path, const moe_profile_options *options,
                        moe_profile_summary *summary, moe_diag *diag, GError **error)
{
    sqlite3 *db = NULL;
    if (!nsys_is_database(file, diag, error))
        return false;
    g_autoptr(moe_profile_writer) writer = moe_profile_writer_new(path, error);
    if (!writer)
        return false;
    moe_profile_begin(writer, "nsys", options);
    moe_profile_meta(writer, "clock", "nsys");
    if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        moe_error_path(error, MOE_ERROR_DATABASE, file, 0, "cannot be opened: %s",
                       sqlite3_errmsg(db));
        sqlite3_close(db);
        return false;
    }
    return moe_nsys_import(db, file, writer, diag) &&
           moe_profile_writer_finish(g_steal_pointer(&writer), summary, error);
}
