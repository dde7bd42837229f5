/* The device of these tests: the emulated one, or a real one, as $MOESIM_CUDA_LIB says. Where
 * $MOE_TEST_DEVICE is set it must be there; else a test is skipped with the reason. */
#ifndef MOE_TESTS_CUDA_BACKEND_DEVICE_H
#define MOE_TESTS_CUDA_BACKEND_DEVICE_H

#include "profiler/gpu.h"
#include "tests/test.h"

static inline moe_gpu *
device_open(moe_gpu_precision precision, bool eager)
{
    const moe_gpu_config config = {.precision = precision, .eager = eager};
    g_autoptr(GError) error = NULL;
    moe_gpu *gpu = moe_gpu_open(&config, &error);
    if (!gpu && g_getenv("MOE_TEST_DEVICE"))
        MOE_CHECK(gpu, "%s", error->message);
    else if (!gpu)
        moe_test_skip(error->message);
    return gpu;
}

#endif
