/* A folder of raw logs, one after another by the number of the process. */
#include "profiler/profile_decode.h"
#include "profiler/profile_routing.h"
#include "sim/base/error.h"

#include <errno.h>
#include <string.h>

enum { MOST_IMAGES = 10000 }; /* as profiler/inject/chunk.c names them */

typedef struct folder_log {
    char *name;
    int64_t pid, image; /* PID.raw, PID.1.raw … */
} folder_log;

static void
folder_clear_log(gpointer data)
{
    g_free(((folder_log *)data)->name);
}

static gint
folder_by_pid(gconstpointer a, gconstpointer b)
{
    const folder_log *x = a, *y = b;
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    return (x->image > y->image) - (x->image < y->image);
}

/* PID.raw and PID.N.raw; other names are none of ours. */
static bool
folder_parse(const char *name, folder_log *out)
{
    char *end;
    if (!g_ascii_isdigit(*name))
        return false;
    out->pid = g_ascii_strtoll(name, &end, 10);
    out->image = 0;
    if (*end == '.' && g_ascii_isdigit(end[1]))
        out->image = g_ascii_strtoll(end + 1, &end, 10);
    return strcmp(end, ".raw") == 0 && out->pid > 0 && out->pid < MOE_PROFILE_IMAGE &&
           out->image < MOST_IMAGES;
}

static GArray *
folder_logs(const char *folder, GError **error)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    if (!dir) {
        moe_error_path(error, MOE_ERROR_FILE, folder, errno, "cannot be opened");
        return NULL;
    }
    GArray *names = g_array_new(FALSE, FALSE, sizeof(folder_log));
    g_array_set_clear_func(names, folder_clear_log);
    for (const char *name; (name = g_dir_read_name(dir));) {
        folder_log found;
        if (!folder_parse(name, &found))
            continue;
        found.name = g_build_filename(folder, name, NULL);
        g_array_append_val(names, found);
    }
    g_dir_close(dir);
    g_array_sort(names, folder_by_pid);
    return names;
}

static bool
folder_decode(const GArray *names, moe_profile_writer *writer, GError **error)
{
    for (guint i = 0; i < names->len; i++) {
        const folder_log *name = &g_array_index(names, folder_log, i);
        g_autoptr(moe_raw_file) file = moe_rawread_open(name->name, error);
        if (!file)
            return false;
        moe_decode_process(file, name->pid + name->image * MOE_PROFILE_IMAGE, writer);
    }
    return true;
}

void
moe_profile_begin(moe_profile_writer *writer, const char *source,
                  const moe_profile_options *options)
{
    moe_profile_meta(writer, "tool", "moesim");
    moe_profile_meta(writer, "version", MOE_VERSION);
    moe_profile_meta(writer, "source", source);
    for (size_t i = 0; options && i < options->n_meta; i++)
        moe_profile_meta(writer, options->meta[i].name, options->meta[i].value);
    for (size_t i = 0; options && i < options->n_diagnostics; i++) {
        const moe_profile_pair *pair = &options->diagnostics[i];
        const moe_profile_code *code = moe_profile_code_find(pair->name);
        moe_profile_note_as(writer, MOE_PROFILE_NULL, MOE_PROFILE_NULL,
                            code ? code->severity : MOE_PROFILE_WARN, pair->name, 1, pair->value);
    }
}

bool
moe_profile_decode(const char *folder, const char *path, const moe_profile_options *options,
                   moe_profile_summary *summary, GError **error)
{
    g_autoptr(GArray) names = folder_logs(folder, error);
    g_autoptr(moe_profile_writer) writer = names ? moe_profile_writer_new(path, error) : NULL;
    if (!writer)
        return false;
    moe_profile_begin(writer, "moesim", options);
    moe_profile_meta(writer, "clock", "monotonic");
    if (names->len == 0)
        moe_profile_note(writer, MOE_PROFILE_NULL, MOE_PROFILE_NULL, "not_loaded", 1, NULL);
    if (!folder_decode(names, writer, error))
        return false;
    moe_profile_add_loads(writer);
    if (options && options->trace && !moe_profile_routing(writer, options, error))
        return false;
    return moe_profile_writer_finish(g_steal_pointer(&writer), summary, error);
}
