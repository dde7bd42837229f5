#include "profiler/cpu/blas.h"

#ifdef MOE_BLAS

#include <cblas.h>

const char *
moe_blas_name(void)
{
    return MOE_BLAS;
}

void
moe_blas_one_thread(void)
{
#ifdef MOE_BLAS_THREADS
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
