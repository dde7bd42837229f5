/* moesim capture --check: what can be recorded on this machine. */
#include "sim/cli/capture_program.h"

#include "sim/base/text.h"
#include "sim/base/units.h"
#include "sim/cli/output.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROBE_SECONDS = 30 };
#define NVIDIA_PARAMETERS "/proc/driver/nvidia/params"

/* What a program prints, until it ends or for `PROBE_SECONDS`; NULL: it failed or hangs. */
static char *
output_of(const char *const *argv, const char *const *env)
{
    g_autofree char *limit = g_strdup_printf("%d", PROBE_SECONDS);
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_autofree char *timeout = g_find_program_in_path("timeout");
    if (timeout) {
        g_ptr_array_add(words, timeout);
        g_ptr_array_add(words, limit);
    }
    for (; *argv; argv++)
        g_ptr_array_add(words, (gpointer)(uintptr_t)*argv);
    g_ptr_array_add(words, NULL);
    char *out = NULL;
    int status = 0;
    GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL;
    if (!g_spawn_sync(NULL, (char **)words->pdata, (char **)(uintptr_t)env, flags, NULL, NULL, &out,
                      NULL, &status, NULL))
        return NULL;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return out;
    g_free(out);
    return NULL;
}

moe_probe *
moe_capture_probe(const char *const *env)
{
    static const char *const foreign[] = {"CUDA_INJECTION64_PATH", "NVTX_INJECTION64_PATH",
                                          "MOESIM_CAPTURE"};
    g_auto(GStrv) bare = g_strdupv((char **)(uintptr_t)env);
    for (size_t i = 0; i < MOE_COUNT(foreign); i++)
        bare = g_environ_unsetenv(bare, foreign[i]);
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *const argv[] = {self, "capture", "--probe", NULL};
    g_autofree char *said = self ? output_of(argv, (const char *const *)bare) : NULL;
    if (said)
        return moe_probe_read(said);
    moe_say("the driver cannot be asked: `moesim capture --probe` crashed, or did not end in %d s",
            PROBE_SECONDS);
    return NULL;
}

/* ---- the rows ---- */

static void
say_injector(const moe_program_job *job, moe_grid *grid)
{
    moe_grid_add(grid, "injector");
    if (job->inject)
        moe_grid_add(grid, job->inject);
    else
        moe_grid_add(grid, "libmoesim_inject.so was found neither beside moesim nor in "
                           "MOESIM_INJECT_LIB");
}

static void
say_driver(const moe_probe *probe, moe_grid *grid)
{
    moe_grid_add(grid, "driver");
    if (probe->driver_version && probe->driver == MOE_DRIVER_OK)
        moe_grid_addf(grid, "CUDA %d.%d", probe->driver_version / 1000,
                      probe->driver_version % 1000 / 10);
    else if (probe->driver_says)
        moe_grid_add(grid, probe->driver_says);
    else
        moe_grid_addf(grid, "cuInit says %d", probe->cuda_error);
    moe_grid_add(grid, "device");
    if (probe->device)
        moe_grid_addf(grid, "%s%s", probe->device, probe->devices > 1 ? ", and more" : "");
    else
        moe_grid_add(grid, "none");
}

static void
say_cupti(const moe_probe *probe, moe_grid *grid)
{
    int cuda = moe_probe_cuda_of_cupti(probe);
    moe_grid_add(grid, "CUPTI");
    if (!probe->cupti)
        moe_grid_add(grid, "not found; MOESIM_CUPTI_LIB may name it");
    else if (probe->cupti_version >= 130000)
        moe_grid_addf(grid, "%d.%d.%d, %s", cuda / 1000, cuda % 1000 / 10,
                      probe->cupti_version % 100, probe->cupti);
    else
        moe_grid_addf(grid, "API %d, %s", probe->cupti_version, probe->cupti);
    moe_grid_add(grid, "held by");
    if (probe->subscribe < 0)
        moe_grid_add(grid, "not asked, for lack of a driver or CUPTI");
    else if (probe->subscriber)
        moe_grid_add(grid, probe->subscriber);
    else if (probe->subscribe > 0)
        moe_grid_addf(grid, "unknown: cuptiSubscribe says %d", probe->subscribe);
    else
        moe_grid_add(grid, "nobody");
}

static void
say_counters(moe_grid *grid)
{
    g_autofree char *params = NULL;
    g_file_get_contents(NVIDIA_PARAMETERS, &params, NULL, NULL);
    moe_grid_add(grid, "counters");
    switch (moe_probe_permission(params, geteuid() == 0)) {
    case MOE_COUNTERS_UNKNOWN:
        moe_grid_add(grid, params ? "unknown: " NVIDIA_PARAMETERS " has no RmProfilingAdminOnly"
                                  : "unknown: there is no " NVIDIA_PARAMETERS);
        break;
    case MOE_COUNTERS_OPEN:
        moe_grid_add(grid, "for every user");
        break;
    case MOE_COUNTERS_ADMIN:
        moe_grid_add(grid, "for root, who this is");
        break;
    case MOE_COUNTERS_FORBIDDEN:
        moe_grid_addf(grid, "forbidden: %s", moe_profile_code_find("counters_forbidden")->advice);
        break;
    }
}

static void
say_hook(const moe_program_job *job, const char *const *env, moe_grid *grid)
{
    static const char *const argv[] = {"python3", "-c", "import moesim_hook; moesim_hook.check()",
                                       NULL};
    moe_grid_add(grid, "Python");
    if (!job->hook) {
        moe_grid_add(grid, "the hook (profiler/hook) was not found below the data folder");
        return;
    }
    g_autofree char *said = output_of(argv, env);
    if (!said) {
        moe_grid_addf(grid, "python3 is absent, or does not load the hook in %s", job->hook);
        return;
    }
    g_strchomp(said);
    g_autofree char *shown = moe_text_visible(said, strlen(said));
    moe_grid_add(grid, shown);
}

static void
say_disk(const moe_program_job *job, moe_grid *grid)
{
    g_autofree char *folder = g_path_get_dirname(job->folder);
    struct statvfs room;
    moe_grid_add(grid, "disk");
    if (statvfs(folder, &room) < 0) {
        moe_grid_addf(grid, "%s: %s", folder, g_strerror(errno));
        return;
    }
    g_autofree char *free_bytes =
        moe_format_bytes((int64_t)((uint64_t)room.f_bavail * (uint64_t)room.f_frsize));
    bool writable = access(folder, W_OK) == 0;
    moe_grid_addf(grid, "%s free in %s%s", free_bytes, folder,
                  writable ? "" : ", which cannot be written");
}

static void
say_verdict(const moe_program_job *job, const char *kernels)
{
    const char *routing = !job->inject ? "no: the injector is absent"
                          : job->hook  ? "yes, of Hugging Face transformers, vLLM and SGLang"
                                       : "from programs that call the routing ABI";
    moe_out("kernels, copies, calls of CUDA: %s\n", kernels ? kernels : "yes");
    moe_out("ranges of NVTX: %s\n", job->inject ? "yes" : "no: the injector is absent");
    moe_out("routing: %s\n", routing);
}

int
moe_capture_check(const moe_program_job *job)
{
    g_auto(GStrv) env = moe_launch_environment(&job->launch, job->environment);
    env = g_environ_unsetenv(env, "MOESIM_CAPTURE");
    g_autoptr(moe_probe) probe = moe_capture_probe((const char *const *)env);
    g_autoptr(moe_grid) grid = moe_grid_new(2);
    say_injector(job, grid);
    if (probe) {
        say_driver(probe, grid);
        say_cupti(probe, grid);
    }
    say_counters(grid);
    say_hook(job, (const char *const *)env, grid);
    say_disk(job, grid);
    moe_grid_print(grid, false, "");
    const char *obstacle = probe ? moe_probe_obstacle(probe) : "no_driver";
    g_autofree char *why =
        probe ? moe_probe_explain(probe) : g_strdup("the driver cannot be asked");
    g_autofree char *kernels = NULL;
    if (obstacle || !job->inject)
        kernels = g_strdup_printf("no: %s", obstacle ? why : "the injector is absent");
    moe_out("\n");
    say_verdict(job, kernels);
    return kernels ? MOE_EXIT_NOT_CAPTURED : MOE_EXIT_OK;
}
