/* The processor: the expert kernels of the execution core's own backend, and its threads. */
#include "profiler/cpu/blas.h"
#include "profiler/cpu/kernels.h"
#include "profiler/cpu/threads.h"
#include "profiler/measure_experts.h"

#include <string.h>

#define HIDDEN 2048u
#define WIDTH 1024u
#define PARAMS (3ull * HIDDEN * WIDTH)
/* All experts together are so many times the largest cache, or as many as memory allows. */
#define TIMES_CACHE 2
enum { GROUP = 4, HANDOVERS = 64 };

static const uint32_t tokens_of[] = {1, 2, 4, 8, 16, 64, 256};

static void
nothing(void *context, uint32_t task, uint32_t thread)
{
}

static double
hand_over(void *context)
{
    uint32_t n = *(const uint32_t *)context;
    g_autoptr(GError) error = NULL;
    moe_threads *threads = moe_threads_new(n, &error);
    if (!threads)
        return 0;
    double began = moe_measure_now();
    for (int i = 0; i < HANDOVERS; i++)
        moe_threads_run(threads, nothing, NULL, n);
    double seconds = (moe_measure_now() - began) / HANDOVERS;
    moe_threads_free(threads);
    return seconds;
}

static char *
processor_name(void)
{
    g_autofree char *text = NULL;
    g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL);
    const char *line = text ? strstr(text, "model name") : NULL, *colon = NULL;
    if (line)
        colon = strchr(line, ':');
    if (!colon)
        return g_strdup("a processor");
    g_autofree char *name = g_strndup(colon + 1, strcspn(colon + 1, "\n"));
    g_strstrip(name);
    return g_utf8_validate(name, -1, NULL) ? g_steal_pointer(&name) : g_strdup("a processor");
}

/* Whole groups, at least one. */
static uint32_t
number_of_experts(const moe_measure *how, uint64_t bytes)
{
    uint64_t wanted = MIN(TIMES_CACHE * moe_measure_cache(), how->memory) / (PARAMS * bytes);
    return (uint32_t)CLAMP(wanted / GROUP * GROUP, GROUP, MOE_BENCH_EXPERTS);
}

bool
moe_measure_cpu(const moe_measure *how, moe_measured_cpu *out, GError **error)
{
    uint32_t threads = moe_measure_threads(how);
    moe_experts_bench what = {
        .ops = &moe_backend_cpu,
        .threads = threads,
        .type = MOE_WEIGHT_BF16,
        .hidden = HIDDEN,
        .width = WIDTH,
        .experts = number_of_experts(how, 2),
        .group = GROUP,
        .tokens = tokens_of,
        .n_tokens = MOE_COUNT(tokens_of),
        .name = "processor",
        .share = 0.5,
    };
    *out = (moe_measured_cpu){.name = processor_name(),
                              .kernels = moe_kernels_best()->name,
                              .blas = moe_blas_name(),
                              .threads = threads,
                              .launch = moe_measure_repeat(hand_over, &threads, 0)};
    if (!moe_measure_experts(how, &what, &out->bf16, error))
        return false;
    what.type = MOE_WEIGHT_F32;
    what.experts = number_of_experts(how, 4);
    what.from = 0.5;
    return moe_measure_experts(how, &what, &out->fp32, error);
}

void
moe_measured_cpu_clear(moe_measured_cpu *cpu)
{
    g_free(cpu->name);
    *cpu = (moe_measured_cpu){0};
}
