#include "sim/base/data.h"

#include <string.h>
#include <unistd.h>

/* <binary>/../share/moesim, or NULL where the system does not tell. */
static char *
data_installed(void)
{
    char binary[4096];
    ssize_t n = readlink("/proc/self/exe", binary, sizeof binary - 1);
    if (n <= 0)
        return NULL;
    binary[n] = '\0';
    g_autofree char *folder = g_path_get_dirname(binary);
    return g_build_filename(folder, "..", "share", "moesim", NULL);
}

/* The data folders in order of preference; yours (g_strfreev). */
static char **
data_roots(void)
{
    g_autoptr(GPtrArray) roots = g_ptr_array_new_with_free_func(g_free);
    const char *named = g_getenv("MOESIM_DATA");
    if (named && *named)
        g_ptr_array_add(roots, g_strdup(named));
    g_ptr_array_add(roots, g_strdup(MOE_DATA_DIR));
    char *installed = data_installed();
    if (installed)
        g_ptr_array_add(roots, installed);
    g_ptr_array_add(roots, NULL);
    return (char **)g_ptr_array_steal(roots, NULL);
}

/* A preset's name is a file name without folders: it cannot lead out of the data folder. */
static bool
data_name_ok(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/');
}

char *
moe_data_preset(const char *folder, const char *name)
{
    if (!data_name_ok(name))
        return NULL;
    g_auto(GStrv) roots = data_roots();
    g_autofree char *file = g_strconcat(name, ".yaml", NULL);
    for (char **root = roots; *root; root++) {
        char *path = g_build_filename(*root, folder, file, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
            return path;
        g_free(path);
    }
    return NULL;
}

char *
moe_data_stem(const char *path)
{
    char *name = g_path_get_basename(path);
    char *dot = strrchr(name, '.');

    if (dot)
        *dot = '\0';
    return name;
}

static void
data_list(const char *root, const char *folder, GPtrArray *names)
{
    g_autofree char *path = g_build_filename(root, folder, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *file = NULL; dir && (file = g_dir_read_name(dir));) {
        if (*file == '.' || !g_str_has_suffix(file, ".yaml"))
            continue;
        g_autofree char *name = g_strndup(file, strlen(file) - strlen(".yaml"));
        if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
            g_ptr_array_add(names, g_steal_pointer(&name));
    }
}

static int
data_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char **
moe_data_presets(const char *folder)
{
    g_auto(GStrv) roots = data_roots();
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (char **root = roots; *root; root++)
        data_list(*root, folder, names);
    g_ptr_array_sort(names, data_compare);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_steal(names, NULL);
}

char *
moe_data_find(const char *path, const char *beside)
{
    if (g_path_is_absolute(path) || g_file_test(path, G_FILE_TEST_EXISTS))
        return g_strdup(path);
    if (beside) {
        char *near = g_build_filename(beside, path, NULL);
        if (g_file_test(near, G_FILE_TEST_EXISTS))
            return near;
        g_free(near);
    }
    g_auto(GStrv) roots = data_roots();
    for (char **root = roots; *root; root++) {
        char *found = g_build_filename(*root, path, NULL);
        if (g_file_test(found, G_FILE_TEST_EXISTS))
            return found;
        g_free(found);
    }
    return NULL;
}
