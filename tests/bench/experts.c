/* The cost function of experts: calls and local experts per second on one core, beside what the sum
 * over the loads alone takes (the least that any function of all loads must do). */
#include "hw/cost.h"

#include <stdio.h>
#include <time.h>

#define CALLS 2000000

static double
bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void
bench_size(uint32_t n)
{
    static const moe_place place = {"hbm", 1LL << 40, 0, 3.35e12};
    static const moe_expert_kernel kernel = {.name = "blocks",
                                             .efficiency = 0.7,
                                             .stream_efficiency = 0.9,
                                             .coarse_stream_efficiency = 0.9,
                                             .pass_efficiency = 0.4,
                                             .exposed = 0.1,
                                             .half_rows = 60,
                                             .alone = 0.1,
                                             .tile = 16,
                                             .coarse_tile = 128,
                                             .columns = 128,
                                             .block_ps = 500000,
                                             .element_ps = 3000};
    moe_device device = {.peak.bf16 = 989e12, .sms = 132, .launch_ps = 1300000};
    moe_hardware hw = {.n_devices = 1, .n_places = 1, .devices = &device, .places = &place};
    moe_expert_shape shape = {3.0 * 4096 * 1536, 6.0 * 4096 * 1536, 4096, 1536, 16, 16};
    uint32_t tokens[256];
    uint64_t sum = 0;
    int64_t total = 0;

    shape.kernel = &kernel;
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = 1 + i * 37 % 100;
    double start = bench_seconds();
    for (uint32_t i = 0; i < CALLS; i++) {
        tokens[i % n] = 1 + i % 200;
        total += moe_cost_experts(&hw, &device, &shape, tokens, n).total_ps;
    }
    double cost = bench_seconds() - start;
    start = bench_seconds();
    for (uint32_t i = 0; i < CALLS; i++) {
        tokens[i % n] = 1 + i % 200;
        for (uint32_t e = 0; e < n; e++)
            sum += tokens[e];
        __asm__ volatile("" : "+r"(sum) : : "memory");
    }
    double bare = bench_seconds() - start;
    printf("%4u experts: %7.1f ns a call, %6.1f M experts/s; the loads' sum alone %6.1f ns, "
           "%6.1f M experts/s (%lld)\n",
           n, 1e9 * cost / CALLS, (double)n * CALLS / cost / 1e6, 1e9 * bare / CALLS,
           (double)n * CALLS / bare / 1e6, (long long)(total + (int64_t)sum) & 1);
}

int
main(void)
{
    bench_size(1);
    bench_size(8);
    bench_size(64);
    bench_size(256);
    return 0;
}
