/* A database without a journal under a name of its own, in one transaction, is as safe as one with:
 * nobody opens it before it is whole. */
#include "profiler/profile_write.h"

#include "profiler/profile_schema.h"
#include "profiler/profile_write_private.h"
#include "sim/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- failures ---- */

void
moe_profile_writer_fail(moe_profile_writer *w)
{
    if (w->failure)
        return;
    int code = sqlite3_extended_errcode(w->db), errnum = sqlite3_system_errno(w->db);
    bool full = (code & 0xFF) == SQLITE_FULL;
    bool disk = full || (code & 0xFF) == SQLITE_IOERR;
    moe_error_path(&w->failure, MOE_ERROR_DATABASE, w->path, disk && !full ? errnum : 0, "%s",
                   full ? "cannot be written: the disk is full" : sqlite3_errmsg(w->db));
}

bool
moe_profile_writer_failed(const moe_profile_writer *w)
{
    return w->failure != NULL;
}

static void
write_exec(moe_profile_writer *w, const char *sql)
{
    if (!w->failure && sqlite3_exec(w->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        moe_profile_writer_fail(w);
}

/* ---- statements ---- */

static const char *const inserts[PROFILE_INSERTS] = {
    [INSERT_STRING] = "INSERT INTO string VALUES(?, ?)",
    [INSERT_META] = "INSERT INTO meta VALUES(?, ?)",
    [INSERT_LOSS] = "INSERT INTO loss VALUES(?, ?, ?, ?)",
    [INSERT_DIAGNOSTIC] = "INSERT INTO diagnostic VALUES(NULL, ?, ?, ?, ?, ?, ?)",
    [INSERT_PROCESS] = "INSERT INTO process VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [INSERT_DEVICE] = "INSERT OR IGNORE INTO device VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
    [INSERT_NAMED] = "INSERT OR REPLACE INTO named VALUES(?, ?, ?, ?, ?)",
    [INSERT_KERNEL] = "INSERT INTO kernel VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                      " ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [INSERT_MEMOP] = "INSERT INTO memop VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                     " ?)",
    [INSERT_API] = "INSERT INTO api VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [INSERT_GRAPH] = "INSERT INTO graph_launch VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [INSERT_OVERHEAD] = "INSERT INTO overhead VALUES(NULL, ?, ?, ?, ?, ?)",
    [INSERT_SYNCHRONIZATION] = "INSERT INTO synchronization VALUES(NULL, ?, ?, ?, ?, ?, ?, ?)",
    [INSERT_EXTERNAL] = "INSERT OR IGNORE INTO external VALUES(?, ?, ?, ?)",
    [INSERT_RANGE] = "INSERT INTO range VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [INSERT_STAGE] = "INSERT INTO stage VALUES(?, ?, ?, ?, ?, ?, ?)",
    [INSERT_STEP] = "INSERT OR IGNORE INTO step VALUES(?, ?, ?, ?, ?, ?, ?)",
    [INSERT_ROUTING] = "INSERT OR IGNORE INTO routing VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
    [INSERT_TOKEN] = "INSERT OR IGNORE INTO token VALUES(?, ?, ?, ?, ?, ?, ?)",
    [INSERT_LOAD] = "INSERT INTO load VALUES(?, ?, ?, ?, ?)",
    [INSERT_COUNTER] = "INSERT INTO counter VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
};

/* One value of a row, by a letter: i a number, x the id of a text (0: none), t a text, r a double,
 * b bytes and how many of them. */
static void
write_value(sqlite3_stmt *statement, int at, char type, va_list *args)
{
    const char *text;
    int64_t number;
    switch (type) {
    case 'i':
    case 'x':
        number = va_arg(*args, int64_t);
        if (number == (type == 'i' ? MOE_PROFILE_NULL : 0))
            sqlite3_bind_null(statement, at);
        else
            sqlite3_bind_int64(statement, at, number);
        break;
    case 't':
        text = va_arg(*args, const char *);
        sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
        break;
    case 'r':
        sqlite3_bind_double(statement, at, va_arg(*args, double));
        break;
    default:
        text = va_arg(*args, const char *);
        sqlite3_bind_blob64(statement, at, text, va_arg(*args, uint64_t), SQLITE_STATIC);
    }
}

bool
moe_profile_row(moe_profile_writer *w, profile_insert table, const char *types, ...)
{
    if (w->failure)
        return false;
    sqlite3_stmt *statement = w->statements[table];
    if (!statement) {
        if (sqlite3_prepare_v3(w->db, inserts[table], -1, SQLITE_PREPARE_PERSISTENT, &statement,
                               NULL) != SQLITE_OK) {
            moe_profile_writer_fail(w);
            return false;
        }
        w->statements[table] = statement;
    }
    va_list args;
    va_start(args, types);
    for (int i = 0; types[i]; i++)
        write_value(statement, i + 1, types[i], &args);
    va_end(args);
    if (sqlite3_step(statement) != SQLITE_DONE)
        moe_profile_writer_fail(w);
    sqlite3_reset(statement);
    return !w->failure && sqlite3_changes(w->db) > 0;
}

/* ---- life ---- */

static void
write_free_note(gpointer data)
{
    profile_note *note = data;
    g_free(note->code);
    g_free(note->text);
    g_free(note);
}

/* The database under a name that is nobody's, in the same folder. */
static bool
write_create(moe_profile_writer *w, GError **error)
{
    if (!w->temporary)
        return sqlite3_open(":memory:", &w->db) == SQLITE_OK;
    int fd = g_mkstemp_full(w->temporary, O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0) {
        moe_error_path(error, MOE_ERROR_FILE, w->path, errno, "cannot create");
        return false;
    }
    close(fd);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(w->temporary, &w->db, flags, NULL) != SQLITE_OK) {
        moe_error_path(error, MOE_ERROR_DATABASE, w->path, 0, "cannot create: %s",
                       sqlite3_errmsg(w->db));
        return false;
    }
    return true;
}

moe_profile_writer *
moe_profile_writer_new(const char *path, GError **error)
{
    g_autoptr(moe_profile_writer) w = g_new0(moe_profile_writer, 1);
    w->path = g_strdup(path);
    w->temporary = path ? g_strconcat(path, ".XXXXXX", NULL) : NULL;
    w->texts =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    w->by_id = g_ptr_array_new_with_free_func(g_free);
    w->losses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    w->notes = g_ptr_array_new_with_free_func(write_free_note);
    w->note_keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    w->meta = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (!write_create(w, error))
        return NULL;
    g_autofree char *pragmas = g_strdup_printf(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;"
        "PRAGMA temp_store = FILE; PRAGMA cache_size = -65536;"
        "PRAGMA application_id = %d; PRAGMA user_version = %d; BEGIN",
        MOE_PROFILE_APPLICATION, MOE_PROFILE_VERSION);
    write_exec(w, pragmas);
    write_exec(w, moe_profile_sql);
    if (w->failure) {
        g_propagate_error(error, g_steal_pointer(&w->failure));
        return NULL;
    }
    return g_steal_pointer(&w);
}

static void
write_close(moe_profile_writer *w)
{
    for (int i = 0; i < PROFILE_INSERTS; i++) {
        sqlite3_finalize(w->statements[i]);
        w->statements[i] = NULL;
    }
    sqlite3_close(w->db);
    w->db = NULL;
}

void
moe_profile_writer_discard(moe_profile_writer *w)
{
    if (!w)
        return;
    write_close(w);
    if (w->temporary && !w->kept)
        unlink(w->temporary);
    g_clear_error(&w->failure);
    g_hash_table_unref(w->texts);
    g_ptr_array_unref(w->by_id);
    g_hash_table_unref(w->losses);
    g_ptr_array_unref(w->notes);
    g_hash_table_unref(w->note_keys);
    g_hash_table_unref(w->meta);
    g_free(w->path);
    g_free(w->temporary);
    g_free(w);
}

/* Synced and renamed, the rename too. */
static bool
write_keep(moe_profile_writer *w, GError **error)
{
    int fd = open(w->temporary, O_RDWR | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int problem = ok ? 0 : errno;
    if (fd >= 0)
        close(fd);
    if (ok && rename(w->temporary, w->path) != 0)
        problem = errno;
    if (problem) {
        moe_error_path(error, MOE_ERROR_FILE, w->path, problem, "cannot write");
        return false;
    }
    w->kept = true;
    g_autofree char *folder = g_path_get_dirname(w->path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    return true;
}

bool
moe_profile_writer_finish(moe_profile_writer *writer, moe_profile_summary *summary, GError **error)
{
    g_autoptr(moe_profile_writer) w = writer;
    moe_profile_write_notes(w);
    write_exec(w, moe_profile_index_sql);
    write_exec(w, "COMMIT");
    if (w->failure) {
        g_propagate_error(error, g_steal_pointer(&w->failure));
        return false;
    }
    if (summary)
        *summary = w->summary;
    write_close(w);
    return !w->temporary || write_keep(w, error);
}

sqlite3 *
moe_profile_writer_database(moe_profile_writer *w)
{
    return w->db;
}

moe_profile_summary *
moe_profile_writer_summary(moe_profile_writer *w)
{
    return &w->summary;
}
