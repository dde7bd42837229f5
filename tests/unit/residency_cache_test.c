/* A cache in words: the table, and how many slots an amount is. */
#include "sim/residency/cache.h"
#include "tests/test.h"

static void
table(void)
{
    moe_param_check(&moe_cache_table);
}

static void
slots(void)
{
    static const struct {
        const char *amount;
        double objects;
        uint32_t pools;
        double bytes, slots;
    } cases[] = {
        {"25%", 32, 1, 10, 8},   {"25%", 64, 2, 10, 8},      {"100%", 96, 3, 10, 32},
        {"30%", 10, 1, 7, 3},    {"1KiB", 64, 1, 100, 10},   {"1KiB", 64, 2, 100, 5},
        {"1KiB", 64, 8, 100, 1}, {"12 slots", 64, 4, 1, 12}, {"99B", 64, 1, 100, 0},
        {"rest", 64, 1, 100, 0},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_amount amount;
        MOE_CHECK(moe_parse_amount(cases[i].amount, &amount), "%s", cases[i].amount);
        uint32_t got =
            (uint32_t)moe_cache_slots(amount, cases[i].objects, cases[i].pools, cases[i].bytes);
        MOE_CHECK(got == (uint32_t)cases[i].slots, "%zu: %s: %u slots", i, cases[i].amount, got);
    }
}

MOE_TESTS({"table", table}, {"slots", slots})
