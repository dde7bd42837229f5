#include "tests/inject/fixture.h"

#include <CUnit/CUnit.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static char **
environment(const char *settings, const char *folder, const char *calls)
{
    char **env = g_get_environ();
    const char *const unset[] = {"MOESIM_TRACE",
                                 "MOESIM_RANGE",
                                 "MOESIM_DELAY_MS",
                                 "MOESIM_DURATION_MS",
                                 "MOESIM_LOG",
                                 "MOESIM_MAX_BUFFER_MIB",
                                 "RANK"};
    for (size_t i = 0; i < G_N_ELEMENTS(unset); i++)
        env = g_environ_unsetenv(env, unset[i]);
    env = g_environ_setenv(env, "MOESIM_CAPTURE", folder, TRUE);
    env = g_environ_setenv(env, "MOESIM_INJECT_LIB", INJECT_LIBRARY, TRUE);
    env = g_environ_setenv(env, "CUDA_INJECTION64_PATH", INJECT_LIBRARY, TRUE);
    env = g_environ_setenv(env, "NVTX_INJECTION64_PATH", INJECT_LIBRARY, TRUE);
    env = g_environ_setenv(env, "MOESIM_CUPTI_LIB", INJECT_FAKES "/cupti/libcupti.so.13", TRUE);
    env = g_environ_setenv(env, "LD_LIBRARY_PATH", INJECT_FAKES "/cuda", TRUE);
    env = g_environ_setenv(env, "FAKE_LOG", calls, TRUE);
    g_auto(GStrv) words = g_strsplit(settings, " ", 0);
    for (size_t i = 0; words[i] != NULL; i++) {
        char *value = strchr(words[i], '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        env = *value != '\0' ? g_environ_setenv(env, words[i], value, TRUE)
                             : g_environ_unsetenv(env, words[i]);
    }
    return env;
}

static int
by_name(const void *a, const void *b)
{
    const raw_log *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void
free_log(void *log)
{
    raw_log_free(log);
}

static GPtrArray *
read_logs(const char *folder)
{
    GPtrArray *logs = g_ptr_array_new_with_free_func(free_log);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_str_has_suffix(name, ".raw"))
            g_ptr_array_add(logs, raw_log_read(path));
        else
            printf("%s: what is this?\n", path);
    }
    g_ptr_array_sort(logs, by_name);
    return logs;
}

static void
remove_folder(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_remove(path) != 0)
            remove_folder(path);
    }
    if (dir != NULL)
        g_dir_close(dir);
    g_rmdir(folder);
}

/* The injector never prints; a sanitizer that does fails the test. */
static void
check_silence(const char *line, const char *complaints)
{
    if (complaints == NULL || *complaints == '\0' || strstr(line, "signal:11") != NULL)
        return;
    printf("%s: printed %s\n", line, complaints);
    CU_FAIL("the program printed to stderr");
}

ran *
run_program(const char *settings, const char *actions)
{
    ran *run = g_new0(ran, 1);
    run->folder = g_dir_make_tmp("moesim-inject-XXXXXX", NULL);
    g_autofree char *logs = g_build_filename(run->folder, "capture.d", NULL);
    g_autofree char *calls = g_build_filename(run->folder, "calls", NULL);
    g_autofree char *line = g_strconcat(INJECT_PROGRAM, " ", actions, NULL);
    g_auto(GStrv) words = g_strsplit(line, " ", 0);
    g_auto(GStrv) env = environment(settings, logs, calls);
    g_autoptr(GError) error = NULL;
    g_autofree char *complaints = NULL;
    if (!g_spawn_sync(NULL, words, env, G_SPAWN_DEFAULT, NULL, NULL, &run->out, &complaints,
                      &run->status, &error))
        printf("%s: %s\n", line, error->message);
    check_silence(line, complaints);
    const char *given = g_environ_getenv(env, "MOESIM_CAPTURE");
    run->logs = read_logs(given != NULL ? given : logs);
    if (!g_file_get_contents(calls, &run->calls, NULL, NULL))
        run->calls = g_strdup("");
    return run;
}

void
ran_free(ran *run)
{
    remove_folder(run->folder);
    g_ptr_array_free(run->logs, TRUE);
    g_free(run->folder);
    g_free(run->calls);
    g_free(run->out);
    g_free(run);
}

const raw_log *
ran_log(const ran *run)
{
    if (run->logs->len == 1)
        return g_ptr_array_index(run->logs, 0);
    printf("%u logs; the program printed: %s\n", run->logs->len, run->out);
    return NULL;
}

int
ran_exit(const ran *run)
{
    return WIFEXITED(run->status) ? WEXITSTATUS(run->status) : -1;
}
