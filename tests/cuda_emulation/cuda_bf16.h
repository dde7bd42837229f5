/* Stands for CUDA's header of the same name: bf16, rounded to nearest even. */
#ifndef MOE_CUDA_EMULATION_BF16_H
#define MOE_CUDA_EMULATION_BF16_H

#include <cuda_runtime.h>

struct alignas(2) __nv_bfloat16_raw {
    unsigned short x;
};

struct alignas(2) __nv_bfloat16 {
    unsigned short bits;
    __nv_bfloat16() = default;
    __nv_bfloat16(__nv_bfloat16_raw raw) : bits(raw.x) {}
    __nv_bfloat16(float f)
    {
        uint32_t u = __float_as_uint(f);
        bits = f != f ? 0x7FFF : (unsigned short)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
    }
    operator float() const { return __uint_as_float((uint32_t)bits << 16); }
};
typedef __nv_bfloat16 nv_bfloat16;

struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
    __nv_bfloat162() = default;
    __nv_bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) : x(a), y(b) {}
};
typedef __nv_bfloat162 nv_bfloat162;

static inline float
__bfloat162float(__nv_bfloat16 a)
{
    return a;
}

static inline __nv_bfloat16
__float2bfloat16(float a)
{
    return a;
}

static inline __nv_bfloat16
__float2bfloat16_rn(float a)
{
    return a;
}

static inline __nv_bfloat162
__floats2bfloat162_rn(float a, float b)
{
    return __nv_bfloat162(a, b);
}

static inline __nv_bfloat162
__float22bfloat162_rn(float2 a)
{
    return __nv_bfloat162(a.x, a.y);
}

static inline float2
__bfloat1622float2(__nv_bfloat162 a)
{
    return {a.x, a.y};
}

static inline float
__low2float(__nv_bfloat162 a)
{
    return a.x;
}

static inline float
__high2float(__nv_bfloat162 a)
{
    return a.y;
}

static inline unsigned short
__bfloat16_as_ushort(__nv_bfloat16 a)
{
    return a.bits;
}

static inline __nv_bfloat16
__ushort_as_bfloat16(unsigned short a)
{
    return __nv_bfloat16_raw{a};
}

#endif
