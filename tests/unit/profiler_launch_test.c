/* How a program is started, and what of it is told. */
#include "profiler/launch.h"

#include "tests/test.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const moe_launch_config whole = {.folder = "x.d",
                                        .inject = "/opt/i.so",
                                        .hook = "/opt/hook",
                                        .trace = MOE_LAUNCH_all,
                                        .engine = "auto"};

static void
sets_the_environment(void)
{
    static const char *const before[] = {"PATH=/bin", "PYTHONPATH=/mine", "A=1", NULL};
    static const char *const set[] = {"A=2", "B=x=y"};
    moe_launch_config config = whole;
    config.set = set;
    config.n_set = 2;
    config.delay_ms = 1500;
    config.range = "nvtx:d/n";
    g_auto(GStrv) env = moe_launch_environment(&config, before);
    g_autofree char *here = g_get_current_dir(), *folder = g_build_filename(here, "x.d", NULL);
    const struct {
        const char *name, *value;
    } wanted[] = {
        {"PATH", "/bin"},
        {"PYTHONPATH", "/opt/hook:/mine"},
        {"A", "2"},
        {"B", "x=y"},
        {"CUDA_INJECTION64_PATH", "/opt/i.so"},
        {"NVTX_INJECTION64_PATH", "/opt/i.so"},
        {"MOESIM_INJECT_LIB", "/opt/i.so"},
        {"MOESIM_CAPTURE", folder},
        {"MOESIM_TRACE", "kernel,memop,api,nvtx,route,graph-node"},
        {"MOESIM_ENGINE", "auto"},
        {"MOESIM_RANGE", "nvtx:d/n"},
        {"MOESIM_DELAY_MS", "1500"},
        {"MOESIM_DURATION_MS", NULL},
    };
    for (size_t i = 0; i < MOE_COUNT(wanted); i++) {
        const char *value = g_environ_getenv(env, wanted[i].name);
        MOE_CHECK(g_strcmp0(value, wanted[i].value) == 0, "%s is '%s'", wanted[i].name, value);
    }
}

static void
sets_only_what_is_asked(void)
{
    static const char *const before[] = {"PATH=/bin", NULL};
    moe_launch_config config = whole;
    config.trace = MOE_LAUNCH_nvtx;
    g_auto(GStrv) ranges = moe_launch_environment(&config, before);
    CU_ASSERT_PTR_NULL(g_environ_getenv(ranges, "CUDA_INJECTION64_PATH"));
    CU_ASSERT_PTR_NULL(g_environ_getenv(ranges, "PYTHONPATH"));
    CU_ASSERT_STRING_EQUAL(g_environ_getenv(ranges, "MOESIM_TRACE"), "nvtx");
    config.trace = MOE_LAUNCH_kernel | MOE_LAUNCH_route;
    config.whole_graphs = true;
    config.engine = "none";
    g_auto(GStrv) kernels = moe_launch_environment(&config, before);
    CU_ASSERT_PTR_NULL(g_environ_getenv(kernels, "NVTX_INJECTION64_PATH"));
    CU_ASSERT_PTR_NULL(g_environ_getenv(kernels, "PYTHONPATH"));
    CU_ASSERT_STRING_EQUAL(g_environ_getenv(kernels, "MOESIM_TRACE"), "kernel,route,graph");
    config.inject = NULL;
    g_auto(GStrv) nothing = moe_launch_environment(&config, before);
    CU_ASSERT_EQUAL(g_strv_length(nothing), 1);
}

static void
names_what_is_taken(void)
{
    static const char *const none[] = {"CUDA_INJECTION64_PATH=", "X_NVTX_INJECTION64_PATH=1", NULL};
    static const char *const both[] = {"CUDA_INJECTION64_PATH=/a", "NVTX_INJECTION64_PATH=/b",
                                       NULL};
    static const char *const set[] = {"NVTX_INJECTION64_PATH=/b"};
    moe_launch_config config = whole;
    CU_ASSERT_PTR_NULL(moe_launch_taken(&config, none));
    g_autofree char *two = moe_launch_taken(&config, both);
    CU_ASSERT_STRING_EQUAL(two, "CUDA_INJECTION64_PATH and NVTX_INJECTION64_PATH");
    config.set = set;
    config.n_set = 1;
    g_autofree char *own = moe_launch_taken(&config, none);
    CU_ASSERT_STRING_EQUAL(own, "NVTX_INJECTION64_PATH");
    config.trace = MOE_LAUNCH_cuda;
    CU_ASSERT_PTR_NULL(moe_launch_taken(&config, none));
}

/* A fresh folder with `plain` (not to be run) and `script` (without "#!"). */
static char *
make_folder(void)
{
    char *folder = g_dir_make_tmp(NULL, NULL);
    const char *const names[] = {"plain", "script"};
    for (size_t i = 0; i < 2; i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        g_file_set_contents(path, "exit $1\n", -1, NULL);
        g_chmod(path, i ? 0700 : 0600);
    }
    return folder;
}

static void
clear_folder(char *folder)
{
    const char *const names[] = {"plain", "script"};
    for (size_t i = 0; i < 2; i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_free(folder);
}

static int
run_words(const char *path_variable, const char *a, const char *b, const char *c)
{
    const char *argv[] = {a, b, c, NULL};
    const char *env[] = {path_variable, NULL};
    moe_launch_end end;
    moe_launch_run(argv, env, &end);
    return moe_launch_exit_status(&end);
}

static void
tells_how_it_ended(void)
{
    char *folder = make_folder();
    g_autofree char *path = g_strdup_printf("PATH=%s:/bin:/usr/bin", folder);
    g_autofree char *plain = g_build_filename(folder, "plain", NULL);
    g_autofree char *below = g_build_filename(plain, "x", NULL);
    CU_ASSERT_EQUAL(run_words(path, "sh", "-c", "exit 0"), 0);
    CU_ASSERT_EQUAL(run_words(path, "sh", "-c", "exit 33"), 33);
    CU_ASSERT_EQUAL(run_words(path, "sh", "-c", "kill -SEGV $$"), 128 + SIGSEGV);
    CU_ASSERT_EQUAL(run_words(path, "sh", "-c", "kill -PIPE $$"), 128 + SIGPIPE);
    CU_ASSERT_EQUAL(run_words(path, "script", "7", NULL), 7);
    CU_ASSERT_EQUAL(run_words(path, "plain", "7", NULL), 126);
    CU_ASSERT_EQUAL(run_words(path, plain, "7", NULL), 126);
    CU_ASSERT_EQUAL(run_words(path, folder, NULL, NULL), 126);
    CU_ASSERT_EQUAL(run_words(path, "no-such-program", NULL, NULL), 127);
    CU_ASSERT_EQUAL(run_words(path, "", NULL, NULL), 127);
    CU_ASSERT_EQUAL(run_words(path, "/no/such/program", NULL, NULL), 127);
    CU_ASSERT_EQUAL(run_words(path, below, NULL, NULL), 127);
    CU_ASSERT_EQUAL(run_words("PATH=/nowhere", "sh", NULL, NULL), 127);
    clear_folder(folder);
}

/* Signals to this process are the program's, and leave this process as it was. */
static void
sends_signals_on(void)
{
    g_autofree char *script =
        g_strdup_printf("trap 'exit 9' TERM; kill -TERM %d; while :; do sleep "
                        "0.01; done",
                        (int)getpid());
    const char *argv[] = {"sh", "-c", script, NULL};
    const char *env[] = {"PATH=/bin:/usr/bin", NULL};
    moe_launch_end end;
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, NULL, &before);
    moe_launch_run(argv, env, &end);
    sigprocmask(SIG_SETMASK, NULL, &after);
    CU_ASSERT_EQUAL(moe_launch_exit_status(&end), 9);
    CU_ASSERT_EQUAL(end.forwarded, SIGTERM);
    CU_ASSERT_TRUE(end.wall_ns > 0);
    CU_ASSERT_EQUAL(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
    CU_ASSERT_EQUAL(waitpid(end.pid, NULL, WNOHANG), -1);
}

/* cudaProfilerStart is seen by CUDA's injection alone, also where no kernels are asked for. */
static void
windows_of_the_profiler_want_cuda(void)
{
    static const char *const before[] = {"PATH=/bin", NULL};
    static const char *const other[] = {"CUDA_INJECTION64_PATH=/opt/o.so", NULL};
    moe_launch_config config = whole;
    config.trace = MOE_LAUNCH_nvtx;
    config.range = "profiler-api";
    g_auto(GStrv) env = moe_launch_environment(&config, before);
    CU_ASSERT_STRING_EQUAL(g_environ_getenv(env, "CUDA_INJECTION64_PATH"), "/opt/i.so");
    g_autofree char *taken = moe_launch_taken(&config, other);
    CU_ASSERT_STRING_EQUAL(taken, "CUDA_INJECTION64_PATH");
}

static void
handle_signal(int signal)
{
    (void)signal;
}

/* What this process was told to ignore, the program ignores; what it handles, it does not. */
static void
hands_signals_down(void)
{
    struct sigaction ours = {.sa_handler = SIG_IGN}, before;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGPIPE, &ours, &before);
    CU_ASSERT_EQUAL(run_words("PATH=/bin:/usr/bin", "sh", "-c", "kill -PIPE $$; exit 3"), 3);
    ours.sa_handler = handle_signal;
    sigaction(SIGPIPE, &ours, NULL);
    CU_ASSERT_EQUAL(run_words("PATH=/bin:/usr/bin", "sh", "-c", "kill -PIPE $$; exit 3"),
                    128 + SIGPIPE);
    sigaction(SIGPIPE, &before, NULL);
}

static void
says_what_is_missing(void)
{
    static const char *const env[] = {"PATH=/bin:/usr/bin", NULL};
    CU_ASSERT_EQUAL(moe_launch_missing("sh", env), 0);
    CU_ASSERT_EQUAL(moe_launch_missing("no-such-program", env), ENOENT);
    CU_ASSERT_EQUAL(moe_launch_missing("/etc/passwd", env), EACCES);
}

MOE_TESTS({"environment", sets_the_environment}, {"asked", sets_only_what_is_asked},
          {"taken", names_what_is_taken}, {"ends", tells_how_it_ended},
          {"signals", sends_signals_on}, {"handed down", hands_signals_down},
          {"missing", says_what_is_missing}, {"profiler", windows_of_the_profiler_want_cuda})
