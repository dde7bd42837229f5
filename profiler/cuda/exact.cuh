/* moe_expf of sim/base/elementary.h on the device: the same operations in the same order, none of
 * them fused, hence the same bits. */
#ifndef MOE_PROFILER_CUDA_EXACT_CUH
#define MOE_PROFILER_CUDA_EXACT_CUH

#include "profiler/cuda/device.cuh"

static __device__ __forceinline__ float
moe_exact_step(float p, float r, float c)
{
    return __fadd_rn(__fmul_rn(p, r), c);
}

static __device__ __forceinline__ float
moe_exact_expf(float x)
{
    const float round = 12582912.0f; /* 1.5 * 2^23 */
    float clamped = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
    float shifted = moe_exact_step(clamped, 0x1.715476p0f, round), k = __fsub_rn(shifted, round);
    float r =
        __fsub_rn(__fsub_rn(clamped, __fmul_rn(k, 0x1.63p-1f)), __fmul_rn(k, -0x1.bd0106p-13f));
    float p = moe_exact_step(0x1.a0d2cep-13f, r, 0x1.6e879cp-10f);
    p = moe_exact_step(p, r, 0x1.1112cap-7f);
    p = moe_exact_step(p, r, 0x1.555502p-5f);
    p = moe_exact_step(p, r, 0x1.555554p-3f);
    p = moe_exact_step(p, r, 0x1.000000p-1f);
    p = __fadd_rn(moe_exact_step(p, __fmul_rn(r, r), r), 1.0f);
    int exponent = static_cast<int>(__float_as_uint(shifted) - 0x4B400000u), half = exponent >> 1;
    float a = __uint_as_float(static_cast<uint32_t>(half + 127) << 23);
    float b = __uint_as_float(static_cast<uint32_t>(exponent - half + 127) << 23);
    return x == x ? __fmul_rn(__fmul_rn(p, a), b) : x;
}

#endif
