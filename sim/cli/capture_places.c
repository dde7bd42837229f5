/* Where a capture writes: nowhere that it reads, and nowhere twice. Before anything is written. */
#include "sim/base/error.h"
#include "sim/cli/capture.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/cli/trace.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMAND "moesim capture"

static bool
names_file(const char *path)
{
    return !path || (*path && !g_str_has_suffix(path, "/"));
}

int
moe_capture_places_usage(const moe_capture_job *job)
{
    const moe_capture_values *v = job->values;
    if (!names_file(v->output))
        return moe_say_usage(COMMAND, "'-o' wants the name of a file, not '%s'", v->output);
    if (!names_file(v->decisions))
        return moe_say_usage(COMMAND, "'--decisions' wants the name of a file, not '%s'",
                             v->decisions);
    return MOE_EXIT_OK;
}

/* All that is read, the checkpoint's files included; strings are borrowed. */
static GPtrArray *
list_inputs(const moe_capture_job *job)
{
    const moe_capture_values *v = job->values;
    GPtrArray *inputs = g_ptr_array_new();
    const GPtrArray *lists[] = {v->tokens, v->text, moe_weights_paths(job->weights)};
    if (v->follow)
        g_ptr_array_add(inputs, (gpointer)(uintptr_t)v->follow);
    for (size_t l = 0; l < MOE_COUNT(lists); l++)
        for (guint i = 0; i < lists[l]->len; i++)
            g_ptr_array_add(inputs, lists[l]->pdata[i]);
    return inputs;
}

/* One name of one folder, whether the file is there or not. */
static bool
same_name(const char *a, const char *b)
{
    g_autofree char *folder_a = g_path_get_dirname(a), *folder_b = g_path_get_dirname(b);
    g_autofree char *name_a = g_path_get_basename(a), *name_b = g_path_get_basename(b);
    struct stat x, y;
    return !strcmp(name_a, name_b) && stat(folder_a, &x) == 0 && stat(folder_b, &y) == 0 &&
           x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int
check_folder(const char *output)
{
    GError *error = NULL;
    g_autofree char *folder = g_path_get_dirname(output);
    if (g_file_test(output, G_FILE_TEST_IS_DIR))
        moe_error_path(&error, MOE_ERROR_FILE, output, EISDIR, "cannot write");
    else if (access(folder, W_OK | X_OK) != 0)
        moe_error_path(&error, MOE_ERROR_FILE, output, errno, "cannot write");
    return error ? moe_say_error(error) : MOE_EXIT_OK;
}

int
moe_capture_places(const moe_capture_job *job)
{
    const char *decisions = job->values->decisions;
    const char *output = job->values->dry ? NULL : job->output;
    g_autoptr(GPtrArray) inputs = list_inputs(job);
    const char *const *paths = (const char *const *)inputs->pdata;
    bool force = job->values->force;
    int code = MOE_EXIT_OK;
    if (output)
        code = moe_trace_spare_inputs(COMMAND, output, true, paths, inputs->len);
    if (output)
        code = code ? code : check_folder(output);
    if (decisions && !code)
        code = moe_trace_spare(COMMAND, "--decisions", decisions, true, paths, inputs->len);
    if (decisions && output && !code && same_name(decisions, output))
        return moe_say_usage(COMMAND, "'--decisions' and '-o' both name %s", output);
    if (decisions && output && !code)
        code = moe_trace_spare(COMMAND, "--decisions", decisions, true, &output, 1);
    code = code ? code : moe_out_room(output, force);
    return code ? code : moe_out_room(decisions, force);
}
