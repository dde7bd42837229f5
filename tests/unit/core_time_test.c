#include "sim/core/time.h"

#include "tests/test.h"

#include <math.h>

/* Rounded up, exactly for integral bytes and rates. */
static void
time_of_bytes(void)
{
    static const struct {
        double bytes, rate;
        moe_time ps;
    } rows[] = {
        {0, 1e9, 0},
        {1, 1e12, 1},
        {1, 1e9, 1000},
        {3e8, 1e9, 300000000000},
        {1, 3e12, 1},
        {4, 3e12, 2},
        {1, 7, 142857142858},
        {1048576, 24.7e9, 42452470},
        {9007199254740991, 1e12, 9007199254740991},
        {9007199254740991, 999999999999, 9007199254749999},
        {1e6, 7, 142857142857142858},
        {1.5, 1e12, 2},
        {5e8, 0.5e9, 1000000000000},
        {0.3, 0.1, 3000000000000},
        {2.5, 1e11, 25},
        {9.2e18, 1e12, 9199999999999995904},
        {9.3e18, 1e12, MOE_TIME_NEVER},
        {1e300, 1e-300, MOE_TIME_NEVER},
    };
    for (size_t i = 0; i < MOE_COUNT(rows); i++) {
        moe_time got = moe_time_of_bytes(rows[i].bytes, rows[i].rate);
        MOE_CHECK(got == rows[i].ps, "row %zu: %lld ps, not %lld", i, (long long)got,
                  (long long)rows[i].ps);
    }
}

static void
sums(void)
{
    MOE_CHECK(moe_time_add(1, 2) == 3, "a small sum");
    MOE_CHECK(moe_time_add(MOE_TIME_NEVER - 5, 5) == MOE_TIME_NEVER, "the largest sum");
    MOE_CHECK(moe_time_add(MOE_TIME_NEVER - 5, 6) == MOE_TIME_NEVER, "a sum beyond");
    MOE_CHECK(moe_time_add(MOE_TIME_NEVER, MOE_TIME_NEVER) == MOE_TIME_NEVER, "twice never");
    MOE_CHECK(moe_time_times(3, 4) == 12, "a product");
    MOE_CHECK(moe_time_times(MOE_TIME_NEVER / 2, 3) == MOE_TIME_NEVER, "a product beyond");
    MOE_CHECK(moe_time_ceil(0x1p62 + 0x1p10) == ((moe_time)1 << 62) + 1024, "a large double");
    MOE_CHECK(moe_time_ceil(0x1p63) == MOE_TIME_NEVER, "a double beyond");
    MOE_CHECK(moe_time_ceil(HUGE_VAL) == MOE_TIME_NEVER, "infinity");
}

MOE_TESTS({"time of bytes", time_of_bytes}, {"sums", sums})
