/* Compiled for AVX-512; see CMakeLists.txt. */
#ifdef __x86_64__

#define MOE_VECTOR_BYTES 64
#include "profiler/cpu/kernels_body.h"

static bool
usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

const moe_kernels moe_kernels_avx512 = {
    .name = "avx512",
    .usable = usable,
    .widen = widen_row,
    .multiply = multiply,
    .add_scaled = add_scaled,
    .norm = norm,
    .silu = silu,
    .swiglu = swiglu,
    .attend = attend,
};

#endif
