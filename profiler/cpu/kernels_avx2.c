/* Compiled for AVX2; see CMakeLists.txt. */
#ifdef __x86_64__

#define MOE_VECTOR_BYTES 32
#include "profiler/cpu/kernels_body.h"

static bool
usable(void)
{
    return __builtin_cpu_supports("avx2");
}

const moe_kernels moe_kernels_avx2 = {
    .name = "avx2",
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
