/* The one function that is taken from a BLAS, where CMake found one. */
#ifndef MOE_PROFILER_CPU_BLAS_H
#define MOE_PROFILER_CPU_BLAS_H

#include "sim/base/base.h"

/* "OpenBLAS 0.3.21" or the like; NULL: built without. */
const char *moe_blas_name(void);
/* The processor whose kernels it chose; NULL: it does not say. */
const char *moe_blas_core(void);
/* Whether it is worth calling: there is one, and it knows this processor. */
bool moe_blas_useful(void);
/* The library keeps to the thread that calls it. */
void moe_blas_one_thread(void);
/* y[i * y_stride + o] = x[i] . w[o] over `cols`, i < rows, o < outputs; w is [outputs, cols]. */
void moe_blas_multiply(const float *x, size_t x_stride, uint32_t rows, const float *w,
                       uint32_t outputs, uint32_t cols, float *y, size_t y_stride);

#endif
