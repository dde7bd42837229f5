/* The flow network on the all-to-all cases of the reference table: time per case, flows, links
 * relaxed and complete solutions. */
#include "sim/core/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double
bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t
bench_hash(uint64_t i, uint64_t j)
{
    uint64_t z = (i * 65536 + j + 1) + 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static double
bench_size(bool distinct, uint32_t i, uint32_t j)
{
    if (!distinct)
        return 1048576;
    return (double)(65536 * (1 + bench_hash(i, j) % 31) * (j % 8 == 3 ? 4 : 1));
}

static void
bench_landed(void *context, void *owner)
{
    uint64_t *n = context;
    (*n)++;
}

/* A star of n hosts, all ordered pairs at once. */
static void
bench_star(uint32_t n, bool distinct)
{
    moe_flows *flows = moe_flows_new();
    for (uint32_t i = 0; i < 2 * n; i++)
        moe_flow_add_link(flows, 50e9);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++)
            moe_flow_add_path(flows, (uint32_t[]){i, n + j}, 2, 0);
    }
    double best = 1e9;
    uint64_t events = 0, landed = 0, relaxed = 0, solved = 0;
    moe_time now = 0;
    for (int round = 0; round < (distinct && n > 100 ? 1 : 10); round++) {
        moe_time begin = now;
        uint64_t relaxed0 = moe_flow_relaxed(flows), solved0 = moe_flow_solved(flows);
        double t = bench_seconds();
        events = landed = 0;
        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t j = 0; j < n; j++) {
                if (i != j)
                    moe_flow_start(flows, i * n + j, bench_size(distinct, i, j), 0, NULL, now);
            }
        }
        for (moe_time next; (next = moe_flow_solve(flows, now)) != MOE_TIME_NEVER; events++) {
            now = next;
            moe_flow_land(flows, now, bench_landed, &landed);
        }
        t = bench_seconds() - t;
        best = t < best ? t : best;
        relaxed = moe_flow_relaxed(flows) - relaxed0;
        solved = moe_flow_solved(flows) - solved0;
        if (round == 0)
            printf("star %3u %s: makespan %.9f s\n", n, distinct ? "distinct" : "uniform ",
                   1e-12 * (double)(now - begin));
    }
    printf("    %8.3f ms, %llu flows (%.0f ns each), %llu events, %llu relaxed, %llu solved\n",
           1e3 * best, (unsigned long long)landed, 1e9 * best / (double)landed,
           (unsigned long long)events, (unsigned long long)relaxed, (unsigned long long)solved);
    moe_flows_free(flows);
}

int
main(void)
{
    bench_star(64, false);
    bench_star(64, true);
    bench_star(256, false);
    bench_star(256, true);
    return 0;
}
