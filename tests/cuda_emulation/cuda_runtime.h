/* Stands for CUDA's header of the same name; see emulation.h. Of the runtime there is what the
 * project uses. Environment: MOE_EMULATED_DEVICES (0 or 1), MOE_EMULATED_MEMORY (bytes of the
 * device's memory), MOE_EMULATED_STREAMS (eager, else as late as possible). */
#ifndef MOE_CUDA_EMULATION_RUNTIME_H
#define MOE_CUDA_EMULATION_RUNTIME_H

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "tests/cuda_emulation/emulation.h"

#define MOE_CUDA_EMULATED 1
#define CUDART_VERSION 13000

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__

/* ---- vectors ---- */

#define MOE_VECTORS(type, name, align)                                                             \
    struct alignas(align) name##2                                                                  \
    {                                                                                              \
        type x, y;                                                                                 \
    };                                                                                             \
    struct alignas(2 * (align) > 16 ? 16 : 2 * (align)) name##4                                    \
    {                                                                                              \
        type x, y, z, w;                                                                           \
    };                                                                                             \
    static inline name##2 make_##name##2(type x, type y)                                           \
    {                                                                                              \
        return {x, y};                                                                             \
    }                                                                                              \
    static inline name##4 make_##name##4(type x, type y, type z, type w)                           \
    {                                                                                              \
        return {x, y, z, w};                                                                       \
    }
MOE_VECTORS(float, float, 8)
MOE_VECTORS(int, int, 8)
MOE_VECTORS(unsigned, uint, 8)
MOE_VECTORS(unsigned short, ushort, 4)
MOE_VECTORS(unsigned char, uchar, 2)
MOE_VECTORS(double, double, 16)
#undef MOE_VECTORS
struct float3 {
    float x, y, z;
};

/* ---- bits and numbers ---- */

template <class To, class From>
static inline To
moe_emulated_bits(From from)
{
    To to;
    static_assert(sizeof to == sizeof from, "as many bits");
    memcpy(&to, &from, sizeof to);
    return to;
}
static inline float
__uint_as_float(unsigned x)
{
    return moe_emulated_bits<float>(x);
}
static inline unsigned
__float_as_uint(float x)
{
    return moe_emulated_bits<unsigned>(x);
}
static inline float
__int_as_float(int x)
{
    return moe_emulated_bits<float>(x);
}
static inline int
__float_as_int(float x)
{
    return moe_emulated_bits<int>(x);
}

template <class A, class B>
static inline std::common_type_t<A, B>
min(A a, B b)
{
    typedef std::common_type_t<A, B> T;
    return (T)b < (T)a ? (T)b : (T)a;
}
template <class A, class B>
static inline std::common_type_t<A, B>
max(A a, B b)
{
    typedef std::common_type_t<A, B> T;
    return (T)a < (T)b ? (T)b : (T)a;
}
/* clang-format off */
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __frcp_rn(float a) { return 1 / a; }
static inline float rsqrtf(float a) { return 1 / sqrtf(a); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __trap() { moe_emulated_fault("traps"); }
template <class T> static inline T __ldg(const T *p) { return *p; }
template <class T> static inline T __ldcg(const T *p) { return *p; }
template <class T> static inline T __ldcs(const T *p) { return *p; }
template <class T> static inline void __stcg(T *p, T v) { *p = v; }
template <class T> static inline void __stcs(T *p, T v) { *p = v; }
/* clang-format on */

/* Macros: the C library has functions of these names. */
#define __expf(a) expf(a)
#define __logf(a) logf(a)

/* ---- atomics: nothing runs beside the thread ---- */

#define MOE_ATOMIC(name, expression)                                                               \
    template <class T> static inline T name(T *at, std::common_type_t<T> v)                        \
    {                                                                                              \
        T old = *at;                                                                               \
        *at = (T)(expression);                                                                     \
        return old;                                                                                \
    }
MOE_ATOMIC(atomicAdd, old + v)
MOE_ATOMIC(atomicSub, old - v)
MOE_ATOMIC(atomicMax, old < v ? v : old)
MOE_ATOMIC(atomicMin, v < old ? v : old)
MOE_ATOMIC(atomicOr, old | v)
MOE_ATOMIC(atomicAnd, old &v)
MOE_ATOMIC(atomicXor, old ^ v)
MOE_ATOMIC(atomicExch, v)
#undef MOE_ATOMIC
template <class T>
static inline T
atomicCAS(T *at, std::common_type_t<T> compare, std::common_type_t<T> v)
{
    T old = *at;
    if (old == compare)
        *at = v;
    return old;
}

/* ---- meetings of threads ---- */

#define MOE_SITE_LINE(line) #line
#define MOE_SITE(file, line) file ":" MOE_SITE_LINE(line)
#define __syncthreads() ((void)moe_emulated_barrier(MOE_SITE(__FILE__, __LINE__), 0))
#define __syncthreads_count(v) ((int)moe_emulated_barrier(MOE_SITE(__FILE__, __LINE__), (v)))
#define __syncthreads_or(v) ((int)(moe_emulated_barrier(MOE_SITE(__FILE__, __LINE__), (v)) != 0))
#define __syncthreads_and(v) ((int)(moe_emulated_barrier(MOE_SITE(__FILE__, __LINE__), !(v)) == 0))

void __syncwarp(unsigned mask = 0xFFFFFFFF);
unsigned __ballot_sync(unsigned mask, int predicate);
int __any_sync(unsigned mask, int predicate);
int __all_sync(unsigned mask, int predicate);
unsigned __match_any_sync(unsigned mask, unsigned value);
unsigned __reduce_add_sync(unsigned mask, unsigned value);
unsigned __reduce_max_sync(unsigned mask, unsigned value);
unsigned __reduce_min_sync(unsigned mask, unsigned value);
unsigned __reduce_or_sync(unsigned mask, unsigned value);
/* The value of lane `source` of the mask. */
uint64_t moe_emulated_shuffle(unsigned mask, uint64_t value, unsigned source);

template <class T>
static inline T
moe_emulated_shuffle_of(unsigned mask, T value, unsigned source)
{
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "8 bytes at most");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = moe_emulated_shuffle(mask, bits, source);
    memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T>
static inline T
__shfl_sync(unsigned mask, T value, int source, int width = 32)
{
    unsigned lane = moe_emulated.lane, w = (unsigned)width;
    return moe_emulated_shuffle_of(mask, value, (lane & ~(w - 1)) | ((unsigned)source & (w - 1)));
}
template <class T>
static inline T
__shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32)
{
    unsigned lane = moe_emulated.lane, within = lane & ((unsigned)width - 1);
    return moe_emulated_shuffle_of(mask, value, within >= delta ? lane - delta : lane);
}
template <class T>
static inline T
__shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32)
{
    unsigned lane = moe_emulated.lane, within = lane & ((unsigned)width - 1);
    return moe_emulated_shuffle_of(mask, value,
                                   within + delta < (unsigned)width ? lane + delta : lane);
}
template <class T>
static inline T
__shfl_xor_sync(unsigned mask, T value, int bits, int width = 32)
{
    unsigned lane = moe_emulated.lane, other = lane ^ (unsigned)bits;
    bool outside = (other & ~((unsigned)width - 1)) > (lane & ~((unsigned)width - 1));
    return moe_emulated_shuffle_of(mask, value, outside ? lane : other);
}

#include "tests/cuda_emulation/runtime_api.h"

#endif
