/* A GPU measured by way of its backend: that all of it runs, and gives numbers that can be. */
#include "profiler/measure.h"
#include "tests/cuda_backend/device.h"

static void
measures(void)
{
    const moe_gpu_config config = {0};
    g_autoptr(GError) error = NULL;
    moe_gpu *gpu = device_open(config.precision, false);
    if (!gpu)
        return;
    moe_gpu_close(gpu);
    /* On an emulated device, experts so small that 4 tokens of them take a second or two. */
    bool emulated = g_getenv("MOE_TEST_QUICK") != NULL;
    const moe_measure how = {.until = moe_measure_now() + (emulated ? 2 : 10),
                             .memory = emulated ? 4 << 20 : 1u << 30};
    moe_measured_gpu g;
    MOE_CHECK(moe_measure_gpu(&how, emulated ? 128 : 0, emulated ? 64 : 0, &g, &error), "%s",
              error ? error->message : "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(g.name);
    CU_ASSERT(g.bytes > 0 && g.n_copies >= 3);
    CU_ASSERT(g.rate > 0 && g.latency >= 0);
    for (uint32_t i = 1; i < g.n_copies; i++)
        CU_ASSERT(g.copies[i].bytes > g.copies[i - 1].bytes && g.copies[i].seconds.median > 0);
    CU_ASSERT(g.experts.points[0].tokens == 1 && g.experts.points[1].tokens == 4);
    CU_ASSERT(g.experts.stream > 0 && g.experts.peak > 0);
    printf("\n    %s: %.3g GB/s and %.3g us; %.3g GB/s of experts, %.3g GFLOPS\n", g.name,
           g.rate / 1e9, g.latency * 1e6, g.experts.stream / 1e9, g.experts.peak / 1e9);
    moe_measured_gpu_clear(&g);
}

MOE_TESTS({"a GPU by its backend", measures})
