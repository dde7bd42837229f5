/* What the kernels share: launches, shared memory whose size is known at run time, sums over a warp
 * or a block, elements of either type. Compiled by nvcc, and by the host's compiler for emulation
 * (tests/cuda_emulation). */
#ifndef MOE_PROFILER_CUDA_DEVICE_CUH
#define MOE_PROFILER_CUDA_DEVICE_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <tuple>
#include <utility>

constexpr int MOE_WARP = 32;
constexpr unsigned MOE_ALL_LANES = 0xFFFFFFFFu;

/* The dynamic shared memory of the block, 16-byte aligned and more. */
#ifdef __CUDACC__
#define MOE_DYNAMIC_SHARED(type, name)                                                             \
    extern __shared__ __align__(1024) unsigned char moe_dynamic_shared[];                          \
    type *name = reinterpret_cast<type *>(moe_dynamic_shared)
#else
#define MOE_DYNAMIC_SHARED(type, name) type *name = static_cast<type *>(moe_emulated_shared())
#endif

#ifdef __CUDACC__
template <class... P, size_t... I>
static inline cudaError_t
moe_launch_tuple(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                 std::tuple<P...> &values, std::index_sequence<I...>)
{
    void *pointers[sizeof...(P) + 1] = {&std::get<I>(values)..., nullptr};
    return cudaLaunchKernel(reinterpret_cast<const void *>(kernel), grid, block, pointers, shared,
                            stream);
}
#endif

/* kernel<<<grid, block, shared, stream>>>(arguments...), with as much dynamic shared memory as the
 * device allows. Nothing is launched for an empty grid. */
template <class... P, class... A>
static inline cudaError_t
moe_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
           A... arguments)
{
    if (grid.x == 0 || grid.y == 0 || grid.z == 0)
        return cudaSuccess;
    if (shared > 48 * 1024) {
        cudaError_t error = cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
        if (error != cudaSuccess)
            return error;
    }
#ifdef __CUDACC__
    std::tuple<P...> values(arguments...);
    return moe_launch_tuple(kernel, grid, block, shared, stream, values,
                            std::index_sequence_for<P...>());
#else
    return moe_emulated_launch(reinterpret_cast<const void *>(kernel), grid, block, shared, stream,
                               [=] { kernel(arguments...); });
#endif
}

/* ---- elements ---- */

static __device__ __forceinline__ float
moe_widen(float x)
{
    return x;
}
static __device__ __forceinline__ float
moe_widen(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}
static __device__ __forceinline__ void
moe_store(float *at, float x)
{
    *at = x;
}
static __device__ __forceinline__ void
moe_store(__nv_bfloat16 *at, float x)
{
    *at = __float2bfloat16_rn(x);
}

/* Two bf16 of a word, the lower one first. */
static __device__ __forceinline__ float2
moe_unpack(uint32_t pair)
{
    return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xFFFF0000u));
}
static __device__ __forceinline__ uint32_t
moe_pack(float low, float high)
{
    return static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(low))) |
           static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(high))) << 16;
}

/* ---- sums, the same in every lane or thread, in a fixed order ---- */

static __device__ __forceinline__ float
moe_warp_sum(float x)
{
#pragma unroll
    for (int d = MOE_WARP / 2; d > 0; d /= 2)
        x += __shfl_xor_sync(MOE_ALL_LANES, x, d);
    return x;
}

static __device__ __forceinline__ float
moe_warp_max(float x)
{
#pragma unroll
    for (int d = MOE_WARP / 2; d > 0; d /= 2)
        x = fmaxf(x, __shfl_xor_sync(MOE_ALL_LANES, x, d));
    return x;
}

/* Of all threads of a block of whole warps. `parts`: shared, one for each warp; free again only
 * after the next barrier. */
static __device__ __forceinline__ float
moe_block_sum(float x, float *parts)
{
    const unsigned warp = threadIdx.x / MOE_WARP, lane = threadIdx.x % MOE_WARP;
    const unsigned warps = blockDim.x / MOE_WARP;
    x = moe_warp_sum(x);
    if (lane == 0)
        parts[warp] = x;
    __syncthreads();
    return moe_warp_sum(lane < warps ? parts[lane] : 0.0f);
}

#endif
