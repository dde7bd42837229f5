#include "profiler/launch.h"

#include "sim/base/data.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INJECT_NAME "libmoesim_inject.so"
#define KIND(name, bit, what) #name,
const char *const moe_launch_kinds[] = {MOE_LAUNCH_KINDS(KIND) NULL};
#undef KIND

/* ---- where things are ---- */

char *
moe_launch_find_inject(void)
{
    const char *named = g_getenv("MOESIM_INJECT_LIB");
    if (named && *named)
        return g_file_test(named, G_FILE_TEST_IS_REGULAR) ? g_canonicalize_filename(named, NULL)
                                                          : NULL;
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    if (!self)
        return NULL;
    g_autofree char *folder = g_path_get_dirname(self);
    char *path = g_build_filename(folder, INJECT_NAME, NULL);
    if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return path;
    g_free(path);
    return NULL;
}

char *
moe_launch_find_hook(void)
{
    g_autofree char *file = moe_data_find("profiler/hook/sitecustomize.py", NULL);
    if (!file)
        return NULL;
    g_autofree char *whole = g_canonicalize_filename(file, NULL);
    return g_path_get_dirname(whole);
}

/* ---- environment ---- */

static bool
sets(const char *const *list, size_t n, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < n && list[i]; i++)
        if (!strncmp(list[i], name, length) && list[i][length] == '=' && list[i][length + 1])
            return true;
    return false;
}

/* Whether CUDA loads the injector: the profiler's start and stop are calls of CUDA. */
static bool
wants_cuda(const moe_launch_config *config)
{
    return (config->trace & MOE_LAUNCH_cuda) || config->counters ||
           (config->range && !strcmp(config->range, "profiler-api"));
}

char *
moe_launch_taken(const moe_launch_config *config, const char *const *env)
{
    const struct {
        const char *name;
        bool wanted;
    } variables[] = {
        {"CUDA_INJECTION64_PATH", wants_cuda(config)},
        {"NVTX_INJECTION64_PATH", config->trace & MOE_LAUNCH_nvtx},
    };
    g_autoptr(GString) names = g_string_new(NULL);
    for (size_t i = 0; i < MOE_COUNT(variables); i++) {
        const char *name = variables[i].name;
        bool wanted = config->inject && variables[i].wanted;
        if (wanted && (sets(env, SIZE_MAX, name) || sets(config->set, config->n_set, name)))
            g_string_append_printf(names, "%s%s", names->len ? " and " : "", name);
    }
    return names->len ? g_string_free(g_steal_pointer(&names), FALSE) : NULL;
}

static char *
trace_list(const moe_launch_config *config)
{
    g_autoptr(GString) list = g_string_new(NULL);
    for (unsigned i = 0; moe_launch_kinds[i]; i++)
        if (config->trace >> i & 1)
            g_string_append_printf(list, "%s%s", list->len ? "," : "", moe_launch_kinds[i]);
    if (config->trace & MOE_LAUNCH_kernel)
        g_string_append(list, config->whole_graphs ? ",graph" : ",graph-node");
    if (config->counters)
        g_string_append(list, ",counters");
    return g_string_free(g_steal_pointer(&list), FALSE);
}

static char **
set_number(char **env, const char *name, int64_t value)
{
    if (value <= 0)
        return env;
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);
    return g_environ_setenv(env, name, text, TRUE);
}

/* The hook's folder comes first; what was there stays behind it. */
static char **
set_hook(char **env, const moe_launch_config *config)
{
    if (!config->hook || !(config->trace & MOE_LAUNCH_route) || !strcmp(config->engine, "none"))
        return env;
    const char *before = g_environ_getenv(env, "PYTHONPATH");
    g_autofree char *path =
        before && *before ? g_strconcat(config->hook, ":", before, NULL) : g_strdup(config->hook);
    return g_environ_setenv(env, "PYTHONPATH", path, TRUE);
}

char **
moe_launch_environment(const moe_launch_config *config, const char *const *env)
{
    char **out = g_strdupv((char **)(uintptr_t)env);
    for (size_t i = 0; i < config->n_set; i++) {
        const char *equals = strchr(config->set[i], '=');
        if (!equals)
            continue;
        g_autofree char *name = g_strndup(config->set[i], (gsize)(equals - config->set[i]));
        out = g_environ_setenv(out, name, equals + 1, TRUE);
    }
    if (!config->inject)
        return out;
    g_autofree char *folder = g_canonicalize_filename(config->folder, NULL);
    g_autofree char *trace = trace_list(config);
    out = g_environ_setenv(out, "MOESIM_CAPTURE", folder, TRUE);
    out = g_environ_setenv(out, "MOESIM_TRACE", trace, TRUE);
    out = g_environ_setenv(out, "MOESIM_INJECT_LIB", config->inject, TRUE);
    out = g_environ_setenv(out, "MOESIM_ENGINE", config->engine, TRUE);
    if (config->range)
        out = g_environ_setenv(out, "MOESIM_RANGE", config->range, TRUE);
    out = set_number(out, "MOESIM_DELAY_MS", config->delay_ms);
    out = set_number(out, "MOESIM_DURATION_MS", config->duration_ms);
    out = set_number(out, "MOESIM_MAX_BUFFER_MIB", config->max_buffer_mib);
    if (config->counters)
        out = g_environ_setenv(out, "MOESIM_COUNTERS", config->counters, TRUE);
    if (wants_cuda(config))
        out = g_environ_setenv(out, "CUDA_INJECTION64_PATH", config->inject, TRUE);
    if (config->trace & MOE_LAUNCH_nvtx)
        out = g_environ_setenv(out, "NVTX_INJECTION64_PATH", config->inject, TRUE);
    return set_hook(out, config);
}

/* ---- the program ---- */

static int64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* 0, or the errno that says why it is nothing to run. */
static int
runnable(const char *path)
{
    struct stat info;
    if (stat(path, &info) < 0)
        return errno;
    if (!S_ISREG(info.st_mode))
        return EACCES;
    return access(path, X_OK) < 0 ? errno : 0;
}

/* Where `name` is, by env's PATH as execvp looks; NULL with the errno. */
static char *
find_program(const char *name, const char *const *env, int *failed)
{
    if (strchr(name, '/')) {
        *failed = runnable(name);
        return *failed ? NULL : g_strdup(name);
    }
    const char *path = g_environ_getenv((char **)(uintptr_t)env, "PATH");
    g_auto(GStrv) folders = g_strsplit(path ? path : "/usr/bin:/bin", ":", -1);
    *failed = ENOENT;
    for (char **folder = folders; *folder && *name; folder++) {
        char *file = g_build_filename(**folder ? *folder : ".", name, NULL);
        int why = runnable(file);
        if (!why)
            return file;
        if (why == EACCES)
            *failed = EACCES;
        g_free(file);
    }
    return NULL;
}

int
moe_launch_missing(const char *name, const char *const *env)
{
    int failed = 0;
    g_autofree char *path = find_program(name, env, &failed);
    return path ? 0 : failed;
}

/* Signals that are sent on, and the one that says that the program ended. */
static void
watched(sigset_t *set)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD};
    sigemptyset(set);
    for (size_t i = 0; i < MOE_COUNT(signals); i++)
        sigaddset(set, signals[i]);
}

/* A script without its "#!" line is the shell's. */
static int
spawn(const char *path, const char *const *argv, const char *const *env, const sigset_t *mask,
      pid_t *pid)
{
    posix_spawnattr_t attributes;
    int failed = posix_spawnattr_init(&attributes);
    if (failed)
        return failed;
    posix_spawnattr_setsigmask(&attributes, mask);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    char **words = (char **)(uintptr_t)argv, **variables = (char **)(uintptr_t)env;
    failed = posix_spawn(pid, path, NULL, &attributes, words, variables);
    if (failed == ENOEXEC) {
        g_autoptr(GPtrArray) shell = g_ptr_array_new();
        g_ptr_array_add(shell, (gpointer)(uintptr_t) "/bin/sh");
        g_ptr_array_add(shell, (gpointer)(uintptr_t)path);
        for (size_t i = 1; argv[i]; i++)
            g_ptr_array_add(shell, (gpointer)(uintptr_t)argv[i]);
        g_ptr_array_add(shell, NULL);
        failed = posix_spawn(pid, "/bin/sh", NULL, &attributes, (char **)shell->pdata, variables);
    }
    posix_spawnattr_destroy(&attributes);
    return failed;
}

/* Whether the program has ended. What a terminal sends goes to the program's group as well, which
 * is ours. */
static bool
take_signal(const siginfo_t *info, moe_launch_end *end)
{
    if (info->si_signo == SIGCHLD)
        return waitpid(end->pid, &end->status, WNOHANG) == end->pid;
    if (info->si_code == SI_KERNEL)
        return false;
    end->forwarded = info->si_signo;
    kill(end->pid, info->si_signo);
    return false;
}

static void
wait_for(moe_launch_end *end, const sigset_t *set)
{
    siginfo_t info;
    if (waitpid(end->pid, &end->status, WNOHANG) == end->pid)
        return;
    while (sigwaitinfo(set, &info) < 0 || !take_signal(&info, end)) {
    }
}

/* What is pending would be taken as meant for us: it was for the program. */
static void
drop_pending(const sigset_t *set)
{
    static const struct timespec none = {0, 0};
    while (sigtimedwait(set, NULL, &none) > 0) {
    }
}

void
moe_launch_run(const char *const *argv, const char *const *env, moe_launch_end *end)
{
    *end = (moe_launch_end){.failed = 0};
    g_autofree char *path = find_program(argv[0], env, &end->failed);
    if (!path)
        return;
    sigset_t set, before;
    struct sigaction child = {.sa_handler = SIG_DFL}, child_before;
    watched(&set);
    sigemptyset(&child.sa_mask);
    sigaction(SIGCHLD, &child, &child_before);
    sigprocmask(SIG_BLOCK, &set, &before);
    int64_t start = now_ns();
    pid_t pid = 0;
    end->failed = spawn(path, argv, env, &before, &pid);
    end->pid = pid;
    if (!end->failed) {
        wait_for(end, &set);
        end->wall_ns = now_ns() - start;
        drop_pending(&set);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGCHLD, &child_before, NULL);
}

int
moe_launch_exit_status(const moe_launch_end *end)
{
    switch (end->failed) {
    case 0:
        return WIFSIGNALED(end->status) ? 128 + WTERMSIG(end->status) : WEXITSTATUS(end->status);
    case ENOENT:
    case ENOTDIR:
        return 127;
    case EACCES:
    case ENOEXEC:
    case EISDIR:
    case ELIBBAD:
    case ETXTBSY:
    case ENOTSUP:
        return 126;
    default:
        return 125;
    }
}
