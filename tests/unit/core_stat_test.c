#include "sim/core/stat.h"

#include "tests/test.h"

#include <math.h>

static void
empty(void)
{
    moe_stat *stat = moe_stat_new();
    MOE_CHECK(moe_stat_count(stat) == 0 && moe_stat_mean(stat) == 0 && moe_stat_min(stat) == 0 &&
                  moe_stat_max(stat) == 0 && moe_stat_percentile(stat, 0.5) == 0,
              "an empty one is not all zero");
    moe_stat_free(stat);
}

static void
nearest_rank(void)
{
    static const struct {
        size_t n;
        double q;
        int64_t want;
    } rows[] = {
        {1, 0.5, 10},    {1, 1, 10},       {4, 0.25, 10},       {4, 0.26, 20},
        {4, 0.5, 20},    {4, 1, 40},       {5, 0.5, 30},        {100, 0.99, 990},
        {100, 0.07, 70}, {100, 0.001, 10}, {1000, 0.999, 9990}, {3, 1.0 / 3, 10},
    };
    for (size_t r = 0; r < MOE_COUNT(rows); r++) {
        moe_stat *stat = moe_stat_new();
        for (size_t i = rows[r].n; i > 0; i--) /* 10, 20, ..., backwards */
            moe_stat_add(stat, 10 * (int64_t)i);
        int64_t got = moe_stat_percentile(stat, rows[r].q);
        MOE_CHECK(got == rows[r].want, "row %zu: %lld, not %lld", r, (long long)got,
                  (long long)rows[r].want);
        MOE_CHECK(moe_stat_exact(stat), "row %zu is not exact", r);
        MOE_CHECK(moe_stat_min(stat) == 10 && moe_stat_max(stat) == 10 * (int64_t)rows[r].n,
                  "row %zu: extremes", r);
        moe_stat_free(stat);
    }
}

/* Adding after asking must not spoil the order. */
static void
asked_between(void)
{
    moe_stat *stat = moe_stat_new();
    for (int64_t i = 100; i > 0; i--) {
        moe_stat_add(stat, i);
        MOE_CHECK(moe_stat_percentile(stat, 1) == 100 && moe_stat_percentile(stat, 0.0001) == i,
                  "after %lld", (long long)i);
    }
    MOE_CHECK(moe_stat_sum(stat) == 5050 && moe_stat_mean(stat) == 50.5, "sum %g",
              moe_stat_sum(stat));
    moe_stat_free(stat);
}

/* Beyond a million: within 2^-7 of the exact value, over many magnitudes; small ones exact. */
static void
histogram(void)
{
    static const double quantiles[] = {0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.9999, 1};
    const int64_t n = 1500000;
    moe_stat *stat = moe_stat_new(), *small = moe_stat_new();
    for (int64_t i = 1; i <= n; i++) {
        int64_t k = i * 700001 % n + 1; /* 1..n in some order */
        moe_stat_add(stat, k * k * 1000);
        moe_stat_add(small, k % 200);
    }
    MOE_CHECK(!moe_stat_exact(stat) && moe_stat_count(stat) == (uint64_t)n, "not folded");
    MOE_CHECK(moe_stat_max(stat) == n * n * 1000 && moe_stat_min(stat) == 1000, "extremes");
    for (size_t i = 0; i < MOE_COUNT(quantiles); i++) {
        double rank = ceil(quantiles[i] * (double)n - 1e-6), exact = rank * rank * 1000;
        double got = (double)moe_stat_percentile(stat, quantiles[i]);
        MOE_CHECK(fabs(got / exact - 1) <= 1.0 / 128, "q %g: %g, not %g", quantiles[i], got, exact);
    }
    MOE_CHECK(moe_stat_percentile(small, 0.5) == 99, "median %lld",
              (long long)moe_stat_percentile(small, 0.5));
    MOE_CHECK(moe_stat_percentile(small, 1) == 199, "largest %lld",
              (long long)moe_stat_percentile(small, 1));
    moe_stat_free(stat);
    moe_stat_free(small);
}

MOE_TESTS({"empty", empty}, {"nearest rank", nearest_rank}, {"asked between", asked_between},
          {"histogram", histogram})
