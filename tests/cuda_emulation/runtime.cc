/* The runtime's calls: errors, devices, memory. */
#include "tests/cuda_emulation/runtime_state.h"

#include <cstdio>
#include <cstdlib>
#include <map>

std::recursive_mutex moe_emulated_lock;
unsigned moe_emulated_captures;
cudaError_t moe_emulated_sticky;

namespace
{

std::map<const char *, size_t> device_memory, host_memory, registered;
size_t used;
cudaError_t last;

size_t
number_of(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

size_t
total_memory()
{
    return number_of("MOE_EMULATED_MEMORY", (size_t)4 << 30);
}

/* A call that must not be made while anything is captured. */
cudaError_t
may_wait()
{
    return moe_emulated_captures ? moe_emulated_answer(cudaErrorStreamCaptureUnsupported)
                                 : cudaSuccess;
}

bool
lies_in(const std::map<const char *, size_t> &memory, const void *at, size_t bytes)
{
    auto next = memory.upper_bound((const char *)at);
    if (next == memory.begin())
        return false;
    --next;
    size_t offset = (size_t)((const char *)at - next->first);
    return offset <= next->second && bytes <= next->second - offset;
}

bool
on_device(const void *at, size_t bytes)
{
    return lies_in(device_memory, at, bytes);
}

bool
pinned(const void *at, size_t bytes)
{
    return lies_in(host_memory, at, bytes) || lies_in(registered, at, bytes);
}

cudaError_t
check_copy(const void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (kind == cudaMemcpyDefault || !bytes)
        return cudaSuccess;
    return on_device(to, bytes) == to_device && on_device(from, bytes) == from_device
               ? cudaSuccess
               : cudaErrorInvalidValue;
}

cudaError_t
allocate(std::map<const char *, size_t> &memory, void **pointer, size_t bytes, bool counted)
{
    LOCKED;
    *pointer = NULL;
    if (moe_emulated_sticky)
        return moe_emulated_answer(moe_emulated_sticky);
    if (counted && bytes > total_memory() - used)
        return moe_emulated_answer(cudaErrorMemoryAllocation);
    if (bytes && posix_memalign(pointer, 256, bytes))
        return moe_emulated_answer(cudaErrorMemoryAllocation);
    if (!bytes)
        return cudaSuccess;
    memset(*pointer, 0xFF, bytes);
    memory[(const char *)*pointer] = bytes;
    used += counted ? bytes : 0;
    return cudaSuccess;
}

cudaError_t
release(std::map<const char *, size_t> &memory, void *pointer, bool counted)
{
    LOCKED;
    if (!pointer)
        return cudaSuccess;
    moe_emulated_drain_all();
    auto found = memory.find((const char *)pointer);
    if (found == memory.end())
        return moe_emulated_answer(cudaErrorInvalidValue);
    used -= counted ? found->second : 0;
    memory.erase(found);
    free(pointer);
    return cudaSuccess;
}

} /* namespace */

cudaError_t
moe_emulated_answer(cudaError_t error)
{
    if (error != cudaSuccess)
        last = error;
    return error;
}

/* ---- errors and devices ---- */

const char *
cudaGetErrorName(cudaError_t error)
{
    switch (error) {
#define NAME(name)                                                                                 \
    case name:                                                                                     \
        return #name
        NAME(cudaSuccess);
        NAME(cudaErrorInvalidValue);
        NAME(cudaErrorMemoryAllocation);
        NAME(cudaErrorInvalidConfiguration);
        NAME(cudaErrorNoDevice);
        NAME(cudaErrorInvalidDevice);
        NAME(cudaErrorNotReady);
        NAME(cudaErrorLaunchFailure);
        NAME(cudaErrorStreamCaptureUnsupported);
        NAME(cudaErrorStreamCaptureInvalidated);
#undef NAME
    default:
        return "an error";
    }
}

const char *
cudaGetErrorString(cudaError_t error)
{
    return cudaGetErrorName(error);
}

cudaError_t
cudaGetLastError()
{
    LOCKED;
    cudaError_t error = last;
    last = moe_emulated_sticky;
    return error;
}

cudaError_t
cudaPeekAtLastError()
{
    return last;
}

cudaError_t
cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t
cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t
cudaGetDeviceCount(int *count)
{
    *count = number_of("MOE_EMULATED_DEVICES", 1) != 0;
    return *count ? cudaSuccess : moe_emulated_answer(cudaErrorNoDevice);
}

cudaError_t
cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}

cudaError_t
cudaSetDevice(int device)
{
    return device == 0 ? cudaSuccess : moe_emulated_answer(cudaErrorInvalidDevice);
}

cudaError_t
cudaGetDeviceProperties(cudaDeviceProp *properties, int device)
{
    if (device)
        return moe_emulated_answer(cudaErrorInvalidDevice);
    *properties = {};
    snprintf(properties->name, sizeof properties->name, "emulated");
    properties->totalGlobalMem = total_memory();
    properties->sharedMemPerBlock = 48 << 10;
    properties->sharedMemPerBlockOptin = 227 << 10;
    properties->sharedMemPerMultiprocessor = 228 << 10;
    properties->regsPerBlock = 65536;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->maxThreadsPerMultiProcessor = 2048;
    properties->major = 9;
    properties->multiProcessorCount = 2;
    properties->l2CacheSize = 50 << 20;
    properties->asyncEngineCount = 2;
    properties->concurrentKernels = 1;
    return cudaSuccess;
}

cudaError_t
cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    cudaDeviceProp p;
    cudaError_t error = cudaGetDeviceProperties(&p, device);
    if (error)
        return error;
    switch (attribute) {
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = (int)p.sharedMemPerBlock;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = p.multiProcessorCount;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = p.major;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = p.minor;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)p.sharedMemPerBlockOptin;
        break;
    }
    return cudaSuccess;
}

cudaError_t
cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

cudaError_t
cudaDeviceSynchronize()
{
    LOCKED;
    cudaError_t error = may_wait();
    return error ? error : moe_emulated_drain_all();
}

cudaError_t
cudaDeviceReset()
{
    LOCKED;
    moe_emulated_drain_all();
    last = moe_emulated_sticky = cudaSuccess;
    return cudaSuccess;
}

/* ---- memory ---- */

cudaError_t
cudaMemGetInfo(size_t *free, size_t *total)
{
    *total = total_memory();
    *free = *total - used;
    return cudaSuccess;
}

cudaError_t
cudaMalloc(void **pointer, size_t bytes)
{
    return allocate(device_memory, pointer, bytes, true);
}

cudaError_t
cudaFree(void *pointer)
{
    return release(device_memory, pointer, true);
}

cudaError_t
cudaMallocHost(void **pointer, size_t bytes)
{
    return allocate(host_memory, pointer, bytes, false);
}

cudaError_t
cudaHostAlloc(void **pointer, size_t bytes, unsigned)
{
    return allocate(host_memory, pointer, bytes, false);
}

cudaError_t
cudaFreeHost(void *pointer)
{
    return release(host_memory, pointer, false);
}

cudaError_t
cudaHostRegister(void *pointer, size_t bytes, unsigned)
{
    LOCKED;
    if (!pointer || !bytes)
        return moe_emulated_answer(cudaErrorInvalidValue);
    if (lies_in(registered, pointer, 1))
        return moe_emulated_answer(cudaErrorHostMemoryAlreadyRegistered);
    registered[(const char *)pointer] = bytes;
    return cudaSuccess;
}

cudaError_t
cudaHostUnregister(void *pointer)
{
    LOCKED;
    moe_emulated_drain_all();
    return registered.erase((const char *)pointer)
               ? cudaSuccess
               : moe_emulated_answer(cudaErrorHostMemoryNotRegistered);
}

/* Pageable memory is read before the call returns, and was written when it does; pinned memory when
 * the stream comes to it. */
cudaError_t
cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    LOCKED;
    cudaError_t error = check_copy(to, from, bytes, kind);
    if (error)
        return moe_emulated_answer(error);
    bool capturing = moe_emulated_capturing(stream);
    if (!capturing && !on_device(from, bytes) && !pinned(from, bytes)) {
        auto taken =
            std::make_shared<std::vector<char>>((const char *)from, (const char *)from + bytes);
        return moe_emulated_enqueue(stream, [=] {
            memmove(to, taken->data(), bytes);
            return cudaSuccess;
        });
    }
    error = moe_emulated_enqueue(stream, [=] {
        memmove(to, from, bytes);
        return cudaSuccess;
    });
    if (!error && !capturing && !on_device(to, bytes) && !pinned(to, bytes))
        error = moe_emulated_drain(stream);
    return error;
}

cudaError_t
cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                  size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
    LOCKED;
    cudaError_t error = cudaSuccess;
    if (width > to_pitch || width > from_pitch)
        error = cudaErrorInvalidValue;
    if (!error && height)
        error = check_copy(to, from, width, kind);
    if (!error && height)
        error = check_copy((char *)to + to_pitch * (height - 1),
                           (const char *)from + from_pitch * (height - 1), width, kind);
    if (error)
        return moe_emulated_answer(error);
    return moe_emulated_enqueue(stream, [=] {
        for (size_t i = 0; i < height; i++)
            memmove((char *)to + i * to_pitch, (const char *)from + i * from_pitch, width);
        return cudaSuccess;
    });
}

cudaError_t
cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    cudaError_t error = may_wait();
    return error ? error : cudaMemcpyAsync(to, from, bytes, kind, NULL);
}

cudaError_t
cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t stream)
{
    LOCKED;
    if (bytes && !on_device(at, bytes))
        return moe_emulated_answer(cudaErrorInvalidValue);
    return moe_emulated_enqueue(stream, [=] {
        memset(at, value, bytes);
        return cudaSuccess;
    });
}

cudaError_t
cudaMemset(void *at, int value, size_t bytes)
{
    cudaError_t error = may_wait();
    return error ? error : cudaMemsetAsync(at, value, bytes, NULL);
}
