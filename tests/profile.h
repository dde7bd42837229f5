/* Folders of raw logs and profiles, for tests. */
#ifndef MOE_TESTS_PROFILE_H
#define MOE_TESTS_PROFILE_H

#include "profiler/profile.h"
#include "tests/rawlog.h"
#include "tests/test.h"

#include <sqlite3.h>

typedef struct profile_folder {
    char *path, *db, *trace;
} profile_folder;

__attribute__((unused)) static profile_folder
profile_folder_new(void)
{
    profile_folder folder = {.path = g_dir_make_tmp("moesim-XXXXXX.d", NULL)};
    folder.db = g_build_filename(folder.path, "x.db", NULL);
    folder.trace = g_build_filename(folder.path, "x.safetensors", NULL);
    return folder;
}

__attribute__((unused)) static void
profile_folder_add(const profile_folder *folder, const char *name, const uint8_t *bytes, size_t n)
{
    g_autofree char *path = g_build_filename(folder->path, name, NULL);
    CU_ASSERT_TRUE(g_file_set_contents(path, (const char *)bytes, (gssize)n, NULL));
}

__attribute__((unused)) static void
profile_folder_log(const profile_folder *folder, const rawlog_config *config)
{
    g_autoptr(GByteArray) log = rawlog_of(config);
    g_autofree char *name = g_strdup_printf("%u.raw", config->pid);
    profile_folder_add(folder, name, log->data, log->len);
}

/* To folder->db, and to folder->trace. */
__attribute__((unused)) static void
profile_folder_decode(const profile_folder *folder, moe_profile_summary *summary)
{
    g_autoptr(GError) error = NULL;
    moe_profile_options options = {.trace = folder->trace};
    bool ok = moe_profile_decode(folder->path, folder->db, &options, summary, &error);
    MOE_CHECK(ok, "%s", error->message);
}

__attribute__((unused)) static void
profile_folder_clear(profile_folder *folder)
{
    GDir *dir = g_dir_open(folder->path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(folder->path, name, NULL);
        remove(path);
    }
    g_dir_close(dir);
    remove(folder->path);
    g_free(folder->path);
    g_free(folder->db);
    g_free(folder->trace);
}

/* The rows of a query: columns joined by '|', each row ended by ';'. */
__attribute__((unused)) static char *
profile_rows(const char *db_path, const char *sql)
{
    GString *out = g_string_new(NULL);
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    if (sqlite3_open_v2(db_path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        g_string_append(out, sqlite3_errmsg(db));
    while (statement && sqlite3_step(statement) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *text = (const char *)sqlite3_column_text(statement, i);
            g_string_append_printf(out, "%s%s", i ? "|" : "", text ? text : "");
        }
        g_string_append_c(out, ';');
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return g_string_free(out, FALSE);
}

#endif
