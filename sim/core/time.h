/* Simulated time: int64 picoseconds (106 days), with overflow-checked arithmetic. */
#ifndef MOE_CORE_TIME_H
#define MOE_CORE_TIME_H

#include "sim/base/base.h"

typedef int64_t moe_time;

#define MOE_TIME_NEVER INT64_MAX

static inline moe_time
moe_time_add(moe_time a, moe_time b)
{
    moe_time sum;
    bool overflow = __builtin_add_overflow(a, b, &sum);
    moe_assert(!overflow, "simulated time overflows: %lld ps + %lld ps", (long long)a,
               (long long)b);
    return sum;
}

/* The smallest whole number not below `ps`; inline, as ceil() is a call on plain x86-64. */
static inline moe_time
moe_time_ceil(double ps)
{
    moe_time whole = (moe_time)ps;
    return whole + (ps > (double)whole);
}

/* Time to move `bytes` at `bytes_per_s`, rounded up to the next picosecond. */
moe_time moe_time_of_bytes(double bytes, double bytes_per_s);

#endif
