/* The device, and what fails about it. */
#include "profiler/cuda/state.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

int
moe_cuda_fail(moe_cuda_failure *failure, int result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(failure->text, sizeof failure->text, format, args);
    va_end(args);
    return result;
}

int
moe_cuda_failed(moe_cuda_failure *failure, int error, const char *call)
{
    cudaGetLastError(); /* what is not sticky is told once */
    /* The call's name, without its arguments. */
    int length = (int)strcspn(call, "(");
    return moe_cuda_fail(failure, MOE_CUDA_FAILED, "%.*s: %s (%d)", length, call,
                         cudaGetErrorString((cudaError_t)error), error);
}

void *
moe_cuda_take(moe_cuda_arena *arena, uint64_t count, uint64_t size)
{
    uint64_t at = arena->used;
    arena->used += (count * size + 255) / 256 * 256;
    return arena->base && count != 0 && size != 0 ? arena->base + at : nullptr;
}

/* Why there is no device, as far as can be told. */
static int
no_device(moe_cuda_failure *failure, int error)
{
    int driver = 0, runtime = 0;
    cudaRuntimeGetVersion(&runtime);
    if (cudaDriverGetVersion(&driver) != cudaSuccess)
        driver = 0;
    cudaGetLastError();
    const char *text = cudaGetErrorString((cudaError_t)error);
    if (error == 34) /* cudaErrorStubLibrary */
        return moe_cuda_fail(failure, MOE_CUDA_NO_DEVICE,
                             "%s (%d); libcuda.so.1 is the toolkit's stub: remove .../stubs from "
                             "LD_LIBRARY_PATH",
                             text, error);
    if (error == cudaErrorInsufficientDriver && driver > 0)
        return moe_cuda_fail(failure, MOE_CUDA_NO_DEVICE,
                             "%s (%d); the NVIDIA driver is for CUDA %d.%d, this build is of CUDA "
                             "%d.%d: a newer driver is needed",
                             text, error, driver / 1000, driver % 1000 / 10, runtime / 1000,
                             runtime % 1000 / 10);
    if (error == cudaErrorInsufficientDriver)
        return moe_cuda_fail(failure, MOE_CUDA_NO_DEVICE,
                             "%s (%d); is the NVIDIA driver installed? (libcuda.so.1)", text,
                             error);
    return moe_cuda_fail(failure, MOE_CUDA_NO_DEVICE, "%s (%d)", text, error);
}

static int
read_info(moe_cuda_info *info, moe_cuda_failure *failure)
{
    cudaDeviceProp properties;
    int driver = 0, runtime = 0;
    MOE_TRY(cudaGetDeviceProperties(&properties, 0));
    MOE_TRY(cudaDriverGetVersion(&driver));
    MOE_TRY(cudaRuntimeGetVersion(&runtime));
    snprintf(info->name, sizeof info->name, "%s", properties.name);
    info->major = (uint32_t)properties.major;
    info->minor = (uint32_t)properties.minor;
    info->processors = (uint32_t)properties.multiProcessorCount;
    info->bytes = properties.totalGlobalMem;
    info->driver = (uint32_t)driver;
    info->runtime = (uint32_t)runtime;
    if (info->major < 8)
        return moe_cuda_fail(failure, MOE_CUDA_NO_DEVICE,
                             "%s has compute capability %u.%u, the kernels want 8.0 or newer",
                             info->name, info->major, info->minor);
    return MOE_CUDA_OK;
}

static int
make_streams(moe_cuda_device *device, moe_cuda_failure *failure)
{
    int least = 0, greatest = 0;
    MOE_TRY(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    MOE_TRY(cudaStreamCreateWithPriority(&device->compute, cudaStreamNonBlocking, greatest));
    MOE_TRY(cudaStreamCreateWithFlags(&device->copy, cudaStreamNonBlocking));
    MOE_TRY(cudaEventCreateWithFlags(&device->computed, cudaEventDisableTiming));
    return MOE_CUDA_OK;
}

void
moe_cuda_device_close(moe_cuda_device *device)
{
    if (!device)
        return;
    if (device->computed)
        cudaEventDestroy(device->computed);
    if (device->copy)
        cudaStreamDestroy(device->copy);
    if (device->compute)
        cudaStreamDestroy(device->compute);
    delete device;
}

int
moe_cuda_device_open(moe_cuda_device **device, moe_cuda_info *info, moe_cuda_failure *failure)
{
    int count = 0; /* which a failure does not write */
    int error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess)
        return no_device(failure, error);
    if (count < 1)
        return moe_cuda_fail(failure, MOE_CUDA_NO_DEVICE, "the driver sees none");
    error = cudaSetDevice(0);
    if (error != cudaSuccess)
        return no_device(failure, error);
    MOE_PASS(read_info(info, failure));
    *device = new moe_cuda_device();
    (*device)->info = *info;
    int made = make_streams(*device, failure);
    if (made != MOE_CUDA_OK)
        moe_cuda_device_close(*device);
    return made;
}
