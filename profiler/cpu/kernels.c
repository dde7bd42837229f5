#include "profiler/cpu/kernels.h"

#include "profiler/cpu/widen.h"

const moe_kernels *const moe_kernels_all[] = {
#ifdef __x86_64__
    &moe_kernels_avx512,
    &moe_kernels_avx2,
#endif
    &moe_kernels_plain,
    NULL,
};

const moe_kernels *
moe_kernels_best(void)
{
    const moe_kernels *const *kernels = moe_kernels_all;
    while (!(*kernels)->usable())
        kernels++;
    return *kernels;
}

float
moe_matrix_at(const moe_matrix *matrix, uint32_t row, uint32_t col)
{
    return widen_element(matrix->type, row_bytes(matrix, row), col * matrix->step);
}
