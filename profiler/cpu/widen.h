/* Weights as they lie in a checkpoint -> floats, exactly. Unaligned reads are fine. Part of
 * kernels_body.h. */
#ifndef MOE_PROFILER_CPU_WIDEN_H
#define MOE_PROFILER_CPU_WIDEN_H

#ifndef MOE_VECTOR_BYTES
#define MOE_VECTOR_BYTES 16
#endif

#include "profiler/weights.h"

#include <string.h>
#if MOE_VECTOR_BYTES == 64
#include <immintrin.h>
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define LANES 16
#define WIDTH (MOE_VECTOR_BYTES / 4) /* floats of a vector */
#define VECTORS (LANES / WIDTH)

typedef float vec __attribute__((vector_size(MOE_VECTOR_BYTES)));
typedef uint32_t uvec __attribute__((vector_size(MOE_VECTOR_BYTES)));
typedef uint16_t hvec __attribute__((vector_size(MOE_VECTOR_BYTES / 2)));
typedef float vec4 __attribute__((vector_size(16)));
typedef float vec8 __attribute__((vector_size(32)));

/* Compilers make several instructions of the plain conversion to 64 bytes. */
static ALWAYS_INLINE uvec
widen_bits(hvec half)
{
#if MOE_VECTOR_BYTES == 64
    return (uvec)_mm512_cvtepu16_epi32((__m256i)half);
#else
    return __builtin_convertvector(half, uvec);
#endif
}

static ALWAYS_INLINE vec
load(const float *from)
{
    vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

/* Sign and magnitude apart; the exponent is moved up, more for infinity and NaN, and subnormal
 * numbers are made normal ones with an additional 2^-14, which is taken off again. */
static ALWAYS_INLINE vec
widen_f16(uvec half)
{
    uvec magnitude = (half & 0x7fff) << 13, exponent = magnitude & 0x0f800000;
    uvec special = (uvec)(exponent == 0x0f800000), small = (uvec)(exponent == 0);
    magnitude += (112u << 23) + (special & (112u << 23)) + (small & (1u << 23));
    vec value = (vec)magnitude - (vec)(small & 0x38800000);
    return (vec)((uvec)value | ((half & 0x8000) << 16));
}

/* Elements col .. col + WIDTH - 1 of a row; not for MXFP4. */
static ALWAYS_INLINE vec
widen_vector(moe_weight_type type, const uint8_t *row, size_t col)
{
    vec v;
    hvec half;
    if (type == MOE_WEIGHT_F32) {
        memcpy(&v, row + 4 * col, sizeof v);
        return v;
    }
    memcpy(&half, row + 2 * col, sizeof half);
    uvec bits = widen_bits(half);
    return type == MOE_WEIGHT_BF16 ? (vec)(bits << 16) : widen_f16(bits);
}

static ALWAYS_INLINE float
widen_element(moe_weight_type type, const uint8_t *row, size_t col)
{
    float value;
    uint16_t half;
    if (type == MOE_WEIGHT_F32) {
        memcpy(&value, row + 4 * col, sizeof value);
        return value;
    }
    memcpy(&half, row + 2 * col, sizeof half);
    uvec bits = {half};
    vec v = type == MOE_WEIGHT_BF16 ? (vec)(bits << 16) : widen_f16(bits);
    return v[0];
}

/* The two values of a byte, low nibble first. */
#define PAIRS(high)                                                                                \
    {0.0f, high}, {0.5f, high}, {1.0f, high}, {1.5f, high}, {2.0f, high}, {3.0f, high},            \
        {4.0f, high}, {6.0f, high}, {-0.0f, high}, {-0.5f, high}, {-1.0f, high}, {-1.5f, high},    \
        {-2.0f, high}, {-3.0f, high}, {-4.0f, high},                                               \
    {                                                                                              \
        -6.0f, high                                                                                \
    }
static const float widen_pairs[256][2] = {
    PAIRS(0.0f),  PAIRS(0.5f),  PAIRS(1.0f),  PAIRS(1.5f),  PAIRS(2.0f),  PAIRS(3.0f),
    PAIRS(4.0f),  PAIRS(6.0f),  PAIRS(-0.0f), PAIRS(-0.5f), PAIRS(-1.0f), PAIRS(-1.5f),
    PAIRS(-2.0f), PAIRS(-3.0f), PAIRS(-4.0f), PAIRS(-6.0f),
};
#undef PAIRS

/* 2^(e - 127); 255 is not a number. */
static ALWAYS_INLINE float
widen_scale(uint8_t e)
{
    uint32_t bits = e == 0 ? 0x00400000u : e == 255 ? 0x7fc00000u : (uint32_t)e << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

/* Blocks of 32 elements in 16 bytes. */
static ALWAYS_INLINE void
widen_mxfp4(const uint8_t *blocks, const uint8_t *scales, uint32_t cols, float *out)
{
    for (uint32_t b = 0; b < cols / 32; b++, blocks += 16, out += 32) {
        float scale = widen_scale(scales[b]);
        for (uint32_t i = 0; i < 16; i++)
            memcpy(out + 2 * i, widen_pairs[blocks[i]], 2 * sizeof(float));
        for (uint32_t i = 0; i < 32; i++)
            out[i] *= scale;
    }
}

static ALWAYS_INLINE const uint8_t *
row_bytes(const moe_matrix *m, uint32_t row)
{
    uint64_t at = row * m->stride;
    const uint8_t *data = m->data;
    switch (m->type) {
    case MOE_WEIGHT_F32:
        return data + 4 * at;
    case MOE_WEIGHT_F16:
    case MOE_WEIGHT_BF16:
        return data + 2 * at;
    case MOE_WEIGHT_MXFP4:
        break;
    }
    return data + at / 2;
}

static ALWAYS_INLINE void
widen_typed(moe_weight_type type, const uint8_t *row, uint64_t step, uint32_t cols, float *out)
{
    uint32_t c = 0;
    for (; step == 1 && c + WIDTH <= cols; c += WIDTH) {
        vec v = widen_vector(type, row, c);
        memcpy(out + c, &v, sizeof v);
    }
    for (; c < cols; c++)
        out[c] = widen_element(type, row, c * step);
}

static inline void
widen_row(const moe_matrix *m, uint32_t row, float *out)
{
    const uint8_t *data = row_bytes(m, row);
    switch (m->type) {
    case MOE_WEIGHT_F32:
        widen_typed(MOE_WEIGHT_F32, data, m->step, m->cols, out);
        break;
    case MOE_WEIGHT_F16:
        widen_typed(MOE_WEIGHT_F16, data, m->step, m->cols, out);
        break;
    case MOE_WEIGHT_BF16:
        widen_typed(MOE_WEIGHT_BF16, data, m->step, m->cols, out);
        break;
    case MOE_WEIGHT_MXFP4:
        widen_mxfp4(data, m->scales + row * m->stride / 32, m->cols, out);
        break;
    }
}

#endif
