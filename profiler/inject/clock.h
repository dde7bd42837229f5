/* The clock of a capture. */
#ifndef MOE_PROFILER_INJECT_CLOCK_H
#define MOE_PROFILER_INJECT_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
moe_clock_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t
moe_clock_ns(void)
{
    return moe_clock_of(CLOCK_MONOTONIC);
}

#endif
