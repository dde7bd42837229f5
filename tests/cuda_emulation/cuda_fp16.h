/* Stands for CUDA's header of the same name: IEEE half precision, rounded to nearest even. */
#ifndef MOE_CUDA_EMULATION_FP16_H
#define MOE_CUDA_EMULATION_FP16_H

#include <cuda_runtime.h>

struct alignas(2) __half {
    unsigned short bits;
    __half() = default;
    __half(float f)
    {
        uint32_t u = __float_as_uint(f), sign = u >> 16 & 0x8000, rest = u & 0x7FFFFFFF;
        if (rest > 0x7F800000) {
            bits = 0x7FFF;
        } else if (rest >= 0x477FF000) { /* rounds to infinity */
            bits = (unsigned short)(sign | 0x7C00);
        } else if (rest < 0x38800000) { /* subnormal: the unit is 2^-24 */
            float small = __uint_as_float(rest) + 0.5f;
            bits = (unsigned short)(sign | (__float_as_uint(small) - 0x3F000000));
        } else {
            rest += 0xFFF + (rest >> 13 & 1);
            bits = (unsigned short)(sign | ((rest >> 13) - (112u << 10)));
        }
    }
    operator float() const
    {
        uint32_t sign = (uint32_t)(bits & 0x8000) << 16, rest = bits & 0x7FFF;
        if (rest >= 0x7C00)
            return __uint_as_float(sign | 0x7F800000 | (rest & 0x3FF) << 13);
        float f = __uint_as_float(rest << 13) * __uint_as_float(0x77800000); /* times 2^112 */
        return __uint_as_float(__float_as_uint(f) | sign);
    }
};
typedef __half half;

static inline float
__half2float(__half a)
{
    return a;
}

static inline __half
__float2half(float a)
{
    return a;
}

static inline __half
__float2half_rn(float a)
{
    return a;
}

#endif
