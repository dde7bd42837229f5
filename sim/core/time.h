/* Simulated time: int64 picoseconds (106 days). Sums and conversions that go beyond are
 * MOE_TIME_NEVER, and stay so whatever is added: a task that would end then never ends (see
 * moe_engine_endless), so that no clock wraps and none is compared that did. */
#ifndef MOE_CORE_TIME_H
#define MOE_CORE_TIME_H

#include "sim/base/base.h"

typedef int64_t moe_time;

#define MOE_TIME_NEVER INT64_MAX

/* Of a >= 0 and b >= 0. */
static inline moe_time
moe_time_add(moe_time a, moe_time b)
{
    moe_time sum;
    return MOE_UNLIKELY(__builtin_add_overflow(a, b, &sum)) ? MOE_TIME_NEVER : sum;
}

/* n times a >= 0. */
static inline moe_time
moe_time_times(moe_time a, uint32_t n)
{
    moe_time product;
    return MOE_UNLIKELY(__builtin_mul_overflow(a, n, &product)) ? MOE_TIME_NEVER : product;
}

/* The smallest whole number not below `ps`, which is no NaN; inline, as ceil() is a call on plain
 * x86-64. */
static inline moe_time
moe_time_ceil(double ps)
{
    if (MOE_UNLIKELY(ps >= 0x1p63))
        return MOE_TIME_NEVER;
    moe_time whole = (moe_time)ps;
    return whole + (ps > (double)whole);
}

/* Time to move `bytes` >= 0 at `bytes_per_s` > 0, rounded up to the next picosecond. */
moe_time moe_time_of_bytes(double bytes, double bytes_per_s);

#endif
