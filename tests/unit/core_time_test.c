#include "sim/core/time.h"

#include "tests/test.h"

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
}

MOE_TESTS({"time of bytes", time_of_bytes}, {"sums", sums})
