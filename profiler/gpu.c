#include "profiler/gpu_state.h"

#include "profiler/ranges.h"
#include "sim/base/error.h"
#include "sim/base/units.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARY "libmoesim_cuda.so"
#define VARIABLE "MOESIM_CUDA_LIB"

const char *const moe_gpu_precision_names[] = {
    [MOE_GPU_BF16] = "bf16",
    [MOE_GPU_F32] = "f32",
    NULL,
};

/* ---- the library ---- */

char *
moe_gpu_library(void)
{
    const char *named = g_getenv(VARIABLE);
    if (named && *named)
        return g_strdup(named);
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = program ? g_path_get_dirname(program) : g_strdup(".");
    return g_build_filename(folder, LIBRARY, NULL);
}

static bool refuse(GError **error, const char *fmt, ...) MOE_PRINTF(2, 3);

static bool
refuse(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error(error, MOE_ERROR, MOE_ERROR_PROGRAM, "no usable CUDA device: %s", text);
    return false;
}

static bool
load(moe_gpu *gpu, GError **error)
{
    const moe_cuda_api *(*get)(uint32_t version) = NULL;
    if (!g_file_test(gpu->path, G_FILE_TEST_EXISTS))
        return refuse(error, "%s is not there: this build has no CUDA backend", gpu->path);
    gpu->library = dlopen(gpu->path, RTLD_NOW | RTLD_LOCAL);
    if (!gpu->library)
        return refuse(error, "%s", dlerror());
    void *symbol = dlsym(gpu->library, MOE_CUDA_API_SYMBOL);
    memcpy(&get, &symbol, sizeof get); /* ISO C has no cast from data to code */
    gpu->api = get ? get(MOE_CUDA_API_VERSION) : NULL;
    return gpu->api || refuse(error, "%s is of another version of moesim", gpu->path);
}

bool
moe_gpu_check(int result, const moe_cuda_failure *failure, GError **error)
{
    if (result == MOE_CUDA_OK)
        return true;
    if (result == MOE_CUDA_NO_DEVICE)
        return refuse(error, "%s", failure->text);
    if (result == MOE_CUDA_NO_MEMORY) {
        g_autofree char *wanted = moe_format_bytes((int64_t)MIN(failure->wanted, INT64_MAX));
        g_autofree char *there = moe_format_bytes((int64_t)MIN(failure->available, INT64_MAX));
        g_set_error(error, MOE_ERROR, MOE_ERROR_MEMORY,
                    "not enough %s memory: %s want %s, %s are available",
                    failure->host ? "pinned" : "device", failure->text, wanted, there);
        return false;
    }
    g_set_error(error, MOE_ERROR, MOE_ERROR_PROGRAM, "CUDA: %s", failure->text);
    return false;
}

/* ---- the device ---- */

static void
push_stage(void *context, uint32_t layer, uint32_t stage)
{
    moe_range_push_stage(layer, (moe_stage)stage);
}

static void
pop_stage(void *context)
{
    moe_range_pop();
}

moe_gpu *
moe_gpu_open(const moe_gpu_config *config, GError **error)
{
    g_autoptr(moe_gpu) gpu = g_new0(moe_gpu, 1);
    moe_cuda_failure failure = {0};
    gpu->config = *config;
    gpu->path = moe_gpu_library();
    gpu->host = (moe_cuda_host){gpu, moe_gpu_fill, push_stage, pop_stage};
    if (!load(gpu, error))
        return NULL;
    int opened = gpu->api->device_open(&gpu->device, &gpu->info, &failure);
    return moe_gpu_check(opened, &failure, error) ? g_steal_pointer(&gpu) : NULL;
}

void
moe_gpu_close(moe_gpu *gpu)
{
    if (!gpu)
        return;
    if (gpu->slots)
        gpu->api->slots_close(gpu->slots);
    if (gpu->device)
        gpu->api->device_close(gpu->device);
    /* The library stays: a profiler may still hold what it knows of it. */
    g_free(gpu->path);
    g_free(gpu);
}

const moe_gpu_config *
moe_gpu_configured(const moe_gpu *gpu)
{
    return &gpu->config;
}

moe_gpu_steps
moe_gpu_count(const moe_gpu *gpu)
{
    return gpu->steps;
}

static char *
version(uint32_t number)
{
    return g_strdup_printf("%u.%u", number / 1000, number % 1000 / 10);
}

char *
moe_gpu_describe(const moe_gpu *gpu)
{
    g_autofree char *runtime = version(gpu->info.runtime), *driver = version(gpu->info.driver);
    return g_strdup_printf("%s, CUDA %s, driver for %s", gpu->info.name, runtime, driver);
}
