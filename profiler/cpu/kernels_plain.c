/* What every machine runs: SSE2, NEON, or whatever the compiler makes of 16 bytes. */
#define MOE_VECTOR_BYTES 16
#include "profiler/cpu/kernels_body.h"

static bool
usable(void)
{
    return true;
}

const moe_kernels moe_kernels_plain = {
    .name = "plain",
    .usable = usable,
    .widen = widen_row,
    .multiply = multiply,
    .add_scaled = add_scaled,
    .norm = norm,
    .silu = silu,
    .swiglu = swiglu,
    .attend = attend,
};
