/* The names of CUDA's API calls by the numbers that CUPTI gives them (cbid), which no version has
 * changed; with the version suffix, as nsys and CUPTI have them: cudaLaunchKernel_v7000. NULL: not
 * known. The list is profiler/cuda_calls.def; a test compares it with the headers. */
#ifndef MOE_PROFILER_CUDA_CALLS_H
#define MOE_PROFILER_CUDA_CALLS_H

#include "sim/base/base.h"

/* runtime: cudaLaunchKernel and its like; else the driver's (cuLaunchKernel). Static text. */
const char *moe_cuda_call(bool runtime, uint32_t cbid);

#endif
