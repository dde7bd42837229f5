/* The real decode routing of gpt-oss-20b in the shared data, where there is any. */
#ifndef MOE_TESTS_GPTOSS_H
#define MOE_TESTS_GPTOSS_H

#include "tests/import.h"
#include "tests/test.h"

#define GPTOSS "data/routing/gpt-oss-20b"

/* `data`: the shared data (MOE_SHARED_DATA). NULL when it is not there. */
__attribute__((unused)) static moe_routing_file *
gptoss_open(const char *data)
{
    g_autofree char *place = g_build_filename(data, GPTOSS, NULL);
    g_autoptr(GDir) folder = g_dir_open(place, 0, NULL);
    if (!folder)
        return NULL;
    g_autofree char *path = NULL;
    for (const char *name; !path && (name = g_dir_read_name(folder));)
        if (strstr(name, ".csv.") && !strstr(name, "mini"))
            path = g_build_filename(place, name, NULL);
    if (!path)
        return NULL;
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_routing_builder *builder = import_file(&moe_importer_csv, path, diag, &error);
    g_autofree char *messages = moe_diag_render(diag);
    MOE_CHECK(builder, "%s: %s", path, error ? error->message : messages);
    return builder ? moe_routing_builder_finish(builder, "gpt-oss-20b") : NULL;
}

/* The first n sequences whose answer does not repeat itself, as the set's index says; how many were
 * found. Recorded numbers are the places in the trace. */
__attribute__((unused)) static uint32_t
gptoss_select(const char *data, uint32_t *sequences, uint32_t n)
{
    g_autofree char *text = NULL;
    uint32_t found = 0;
    g_autofree char *index = g_build_filename(data, GPTOSS, "index.csv", NULL);
    if (!g_file_get_contents(index, &text, NULL, NULL))
        return 0;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 1; lines[i] && found < n; i++)
        if (g_str_has_suffix(g_strchomp(lines[i]), ",False"))
            sequences[found++] = (uint32_t)g_ascii_strtoull(lines[i], NULL, 10);
    return found;
}

#endif
