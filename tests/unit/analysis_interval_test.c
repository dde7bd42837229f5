#include "analysis/interval.h"
#include "sim/base/random.h"
#include "tests/test.h"

enum { SPAN = 64, ROUNDS = 4000 };

/* The same arithmetic point by point. */
typedef struct points {
    bool in[SPAN];
} points;

static points
points_of(const GArray *list)
{
    points p = {{false}};
    for (guint i = 0; i < list->len; i++) {
        moe_interval interval = g_array_index(list, moe_interval, i);
        for (int64_t t = interval.start; t < interval.end; t++)
            p.in[t] = true;
    }
    return p;
}

static int64_t
count(const points *p, int64_t start, int64_t end)
{
    int64_t n = 0;
    for (int64_t t = start; t < end; t++)
        n += p->in[t];
    return n;
}

static bool
is_set(const GArray *set)
{
    for (guint i = 0; i < set->len; i++) {
        moe_interval one = g_array_index(set, moe_interval, i);
        if (one.start >= one.end || (i && one.start <= g_array_index(set, moe_interval, i - 1).end))
            return false;
    }
    return true;
}

static GArray *
random_list(moe_stream *random)
{
    GArray *list = moe_intervals_new();
    uint32_t n = (uint32_t)moe_stream_below(random, 9);
    for (uint32_t i = 0; i < n; i++) {
        int64_t a = (int64_t)moe_stream_below(random, SPAN);
        int64_t b = (int64_t)moe_stream_below(random, SPAN);
        moe_intervals_add(list, MIN(a, b), MAX(a, b));
    }
    return list;
}

static void
agrees(const GArray *set, const points *wanted, const char *what, int round)
{
    points got = points_of(set);
    MOE_CHECK(is_set(set), "%s in round %d is no set", what, round);
    MOE_CHECK(memcmp(&got, wanted, sizeof got) == 0, "%s in round %d", what, round);
    MOE_CHECK(moe_intervals_total(set) == count(wanted, 0, SPAN), "total of %s in round %d", what,
              round);
}

static void
brute_force(void)
{
    moe_stream random = moe_stream_new(7, "intervals", 0);
    for (int round = 0; round < ROUNDS; round++) {
        g_autoptr(GArray) a = random_list(&random), b = random_list(&random);
        points in_a = points_of(a), in_b = points_of(b), both, alone;
        for (int t = 0; t < SPAN; t++) {
            both.in[t] = in_a.in[t] && in_b.in[t];
            alone.in[t] = in_a.in[t] && !in_b.in[t];
        }
        moe_intervals_unite(a);
        moe_intervals_unite(b);
        agrees(a, &in_a, "the union", round);
        g_autoptr(GArray) common = moe_intervals_common(a, b), rest = moe_intervals_without(a, b);
        agrees(common, &both, "the common part", round);
        agrees(rest, &alone, "the rest", round);
        int64_t x = (int64_t)moe_stream_below(&random, SPAN);
        int64_t y = (int64_t)moe_stream_below(&random, SPAN);
        MOE_CHECK(moe_intervals_within(a, MIN(x, y), MAX(x, y)) ==
                      count(&in_a, MIN(x, y), MAX(x, y)),
                  "within %d..%d in round %d", (int)x, (int)y, round);
    }
}

static void
far_apart(void)
{
    const int64_t far = INT64_C(1) << 61;
    g_autoptr(GArray) a = moe_intervals_new(), none = moe_intervals_new();
    moe_intervals_add(a, far - 2, far);
    moe_intervals_add(a, -far, -far + 1);
    moe_intervals_add(a, far, far + 5);
    moe_intervals_unite(a);
    CU_ASSERT_EQUAL(a->len, 2);
    CU_ASSERT_EQUAL(moe_intervals_total(a), 8);
    CU_ASSERT_EQUAL(moe_intervals_within(a, -far, far), 3);
    g_autoptr(GArray) rest = moe_intervals_without(a, none), common = moe_intervals_common(a, none);
    CU_ASSERT_EQUAL(moe_intervals_total(rest), 8);
    CU_ASSERT_EQUAL(common->len, 0);
}

MOE_TESTS({"point by point", brute_force}, {"far apart", far_apart})
