/* The one function that is taken from a BLAS, where CMake found one. It is loaded when it is asked
 * for the first time: a program that computes nothing does not pay for its threads. */
#ifndef MOE_PROFILER_CPU_BLAS_H
#define MOE_PROFILER_CPU_BLAS_H

#include "sim/base/base.h"

/* What is used, and its kernels: "OpenBLAS 0.3.21, SkylakeX". NULL: none was found, or none that
 * knows this processor. */
const char *moe_blas_name(void);
/* y[i * y_stride + o] = x[i] . w[o] over `cols`, i < rows, o < outputs; w is [outputs, cols]. Runs
 * on the caller's thread; needs a name. */
void moe_blas_multiply(const float *x, size_t x_stride, uint32_t rows, const float *w,
                       uint32_t outputs, uint32_t cols, float *y, size_t y_stride);

#endif
