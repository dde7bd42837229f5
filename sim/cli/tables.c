#include "sim/cli/tables.h"

#include "sim/cli/command.h"
#include "sim/cli/output.h"

#include <string.h>

static bool
is_table(const char *name)
{
    return g_str_has_suffix(name, ".csv") || g_str_has_suffix(name, ".csv.gz") ||
           g_str_has_suffix(name, ".csv.zst");
}

static int
by_name(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Paths of what is in a folder. */
static GPtrArray *
entries_of(const char *folder, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, error);
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
    g_ptr_array_sort(paths, by_name);
    return paths;
}

/* Of a folder: files that are no tables lie there, too. */
static void
read_known(moe_measured *table, const char *path, moe_diag *diag, GError **error)
{
    g_autofree char *lacks = NULL;
    if (moe_measured_understands(path, &lacks))
        moe_measured_read(table, path, diag, error);
    else if (lacks)
        moe_diag_warning(diag, (moe_loc){.file = path}, "left out: %s", lacks);
}

enum { DEEPEST = 8 };

static bool
read_folder(moe_measured *table, const char *folder, int depth, moe_diag *diag, GError **error)
{
    g_autoptr(GPtrArray) paths = entries_of(folder, error);
    for (guint i = 0; i < paths->len && !*error; i++) {
        const char *path = g_ptr_array_index(paths, i);
        if (g_file_test(path, G_FILE_TEST_IS_DIR) && depth < DEEPEST)
            read_folder(table, path, depth + 1, diag, error);
        else if (is_table(path))
            read_known(table, path, diag, error);
    }
    return !*error;
}

bool
moe_tables_read(moe_measured *table, const char *const *paths, size_t n, moe_diag *diag,
                GError **error)
{
    for (size_t i = 0; i < n; i++) {
        size_t before = moe_measured_count(table);
        bool folder = g_file_test(paths[i], G_FILE_TEST_IS_DIR);
        if (folder ? !read_folder(table, paths[i], 0, diag, error)
                   : !moe_measured_read(table, paths[i], diag, error) && *error)
            return false;
        if (moe_measured_count(table) == before && !moe_diag_errors(diag))
            moe_diag_error(diag, (moe_loc){.file = paths[i]}, "%s",
                           folder ? "no table in this folder" : "no row of it is modelled");
    }
    return moe_diag_errors(diag) == 0;
}

int
moe_tables_choose(const char *command, moe_measured *table, const GPtrArray *texts, bool keep)
{
    const char *option = keep ? "--only" : "--not";
    for (guint i = 0; i < texts->len; i++) {
        const char *text = g_ptr_array_index(texts, i), *equals = strchr(text, '=');
        const char *closest = NULL;
        if (!equals)
            return moe_say_usage(command, "'%s %s' wants COLUMN=TEXT", option, text);
        g_autofree char *column = g_strndup(text, (gsize)(equals - text));
        if (!moe_measured_choose(table, column, equals + 1, keep, &closest))
            return moe_say_usage(command, "'%s %s': %s%s%s%s", option, text,
                                 keep || closest ? "no row says so" : "none says so, or all do",
                                 closest ? "; did you mean '" : "", closest ? closest : "",
                                 closest ? "'?" : "");
    }
    return MOE_EXIT_OK;
}
