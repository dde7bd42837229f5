#include "profiler/cpu/blas.h"

#include "profiler/cpu/kernels.h"

#include <string.h>

#ifdef MOE_BLAS

#include <cblas.h>

const char *
moe_blas_name(void)
{
    return MOE_BLAS;
}

/* OpenBLAS is a library of kernels for many processors, and of threads of its own. */
const char *
moe_blas_core(void)
{
#ifdef MOE_OPENBLAS
    return openblas_get_corename();
#else
    return NULL;
#endif
}

/* On a processor newer than itself OpenBLAS falls back to SSE3, which is slower than plain C built
 * for wider vectors. */
bool
moe_blas_useful(void)
{
    const char *core = moe_blas_core();
    return !core || strcmp(core, "Prescott") || moe_kernels_best() == &moe_kernels_plain;
}

void
moe_blas_one_thread(void)
{
#ifdef MOE_OPENBLAS
    openblas_set_num_threads(1);
#endif
}

void
moe_blas_multiply(const float *x, size_t x_stride, uint32_t rows, const float *w, uint32_t outputs,
                  uint32_t cols, float *y, size_t y_stride)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)outputs, (int)cols, 1, x,
                (int)x_stride, w, (int)cols, 0, y, (int)y_stride);
}

#else

const char *
moe_blas_name(void)
{
    return NULL;
}

const char *
moe_blas_core(void)
{
    return NULL;
}

bool
moe_blas_useful(void)
{
    return false;
}

void
moe_blas_one_thread(void)
{
}

void
moe_blas_multiply(const float *x, size_t x_stride, uint32_t rows, const float *w, uint32_t outputs,
                  uint32_t cols, float *y, size_t y_stride)
{
    moe_assert(false, "no BLAS was built in; %u rows", rows);
}

#endif
