/* What must hold for collectives on any network, with any bytes. */
#include "hw/collective.h"
#include "sim/base/random.h"
#include "tests/test.h"

#include <math.h>

#define MOST 32

static moe_level levels[3];
static moe_network network = {2, 0, levels, NULL};

static int64_t
microseconds(moe_stream *s, uint64_t most)
{
    return (int64_t)(1000000 * moe_stream_below(s, most));
}

static moe_protocol
protocol(moe_stream *s, double peak)
{
    return (moe_protocol){microseconds(s, 20), microseconds(s, 5),
                          peak * (0.1 + 0.8 * moe_stream_unit(s))};
}

/* Some network of 2 or 4 nodes of 2, 4 or 8 ranks; returns how many ranks it has. */
static int64_t
draw_network(moe_stream *s)
{
    int64_t local = 2 << moe_stream_below(s, 3), nodes = 2 << moe_stream_below(s, 2);
    double near = 100e9 * (1 + 8 * moe_stream_unit(s)), far = 50e9 * (0.2 + moe_stream_unit(s));

    levels[0] = (moe_level){.name = "near",
                            .ranks = local,
                            .peak_bytes_per_s = near,
                            .bytes_per_s = 0.8 * near,
                            .copy_bytes_per_s = near * 3,
                            .chunk_bytes = 4 << 20,
                            .depth = 1 + 5 * moe_stream_unit(s),
                            .ll = protocol(s, near / 2),
                            .ll128 = protocol(s, near),
                            .simple = protocol(s, near),
                            .nvls = protocol(s, near),
                            .message_ps = 100000,
                            .pairs = {microseconds(s, 10), microseconds(s, 20), 4 << 20, 6e9, 3}};
    levels[1] = (moe_level){.name = "far",
                            .ranks = local * nodes,
                            .ports = moe_stream_below(s, 2) ? local / 2 : 0,
                            .peak_bytes_per_s = far,
                            .bytes_per_s = 0.97 * far,
                            .latency_ps = 5000000,
                            .message_ps = 1000000,
                            .ll = protocol(s, far / 2),
                            .ll128 = protocol(s, far),
                            .simple = protocol(s, far)};
    levels[1].rails = !levels[1].ports && moe_stream_below(s, 2);
    return local * nodes;
}

static void
draw_matrix(moe_stream *s, double *matrix, int64_t n)
{
    for (int64_t i = 0; i < n * n; i++)
        matrix[i] = moe_stream_below(s, 4) ? floor(1e7 * moe_stream_unit(s)) : 0;
}

static int64_t
time_of(const char *algorithm, const double *matrix, int64_t n)
{
    moe_collective call = {&network, MOE_ALL_TO_ALL, n, 0, matrix, NULL, true};
    moe_collective_cost cost;

    CU_ASSERT_TRUE_FATAL(moe_collective_time(&call, moe_collective_find(algorithm), &cost));
    MOE_CHECK(cost.total_ps >= moe_collective_floor(&cost, NULL), "%s: %lld", algorithm,
              (long long)cost.total_ps);
    return cost.total_ps;
}

/* Nodes change places, and (off rails) ranks within nodes do. Sums may round otherwise. */
static void
names_do_not_matter(void)
{
    for (uint64_t run = 0; run < 300; run++) {
        moe_stream s = moe_stream_new(1, "permute", run);
        double matrix[MOST * MOST], other[MOST * MOST];
        int64_t n = draw_network(&s), local = levels[0].ranks, to[MOST];
        int64_t turn_node = (int64_t)moe_stream_below(&s, 4);
        int64_t turn_rank = (int64_t)moe_stream_below(&s, 8);

        draw_matrix(&s, matrix, n);
        for (int64_t i = 0; i < n; i++)
            to[i] = (i / local + turn_node) % (n / local) * local + (i + turn_rank) % local;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                other[to[i] * n + to[j]] = matrix[i * n + j];
        static const char *const names[] = {"direct", "2dh"};
        for (size_t a = 0; a < 2; a++) {
            int64_t x = time_of(names[a], matrix, n), y = time_of(names[a], other, n);
            MOE_CHECK(llabs(x - y) <= 2, "run %d, %s: %lld, %lld", (int)run, names[a], (long long)x,
                      (long long)y);
        }
    }
}

/* One byte more between any two ranks makes nothing faster. */
static void
more_is_not_faster(void)
{
    for (uint64_t run = 0; run < 300; run++) {
        moe_stream s = moe_stream_new(2, "more", run);
        double matrix[MOST * MOST];
        int64_t n = draw_network(&s);
        draw_matrix(&s, matrix, n);
        int64_t direct = time_of("direct", matrix, n), two = time_of("2dh", matrix, n);
        matrix[moe_stream_below(&s, (uint64_t)(n * n))] += 5e6;
        MOE_CHECK(time_of("direct", matrix, n) >= direct, "run %d", (int)run);
        MOE_CHECK(time_of("2dh", matrix, n) >= two, "run %d", (int)run);
    }
}

/* Every algorithm, every operation: never below its floor, and twice the bytes never faster (but
 * for those that leave it to NCCL, whose choice is not the fastest). */
static void
every_algorithm(void)
{
    unsigned done = 0;
    for (uint64_t run = 0; run < 200; run++) {
        moe_stream s = moe_stream_new(3, "every", run);
        int64_t n = draw_network(&s);
        if (moe_stream_below(&s, 2))
            n = levels[0].ranks;
        for (size_t a = 1; a < moe_collective_n_algorithms; a++)
            for (int op = 0; op < MOE_COLLECTIVE_OPS; op++) {
                moe_collective call = {.network = &network,
                                       .op = op,
                                       .ranks = n,
                                       .bytes = 1e3 + 1e8 * moe_stream_unit(&s),
                                       .addable = true};
                moe_collective_cost cost, twice;
                if (!moe_collective_time(&call, &moe_collective_algorithms[a], &cost))
                    continue;
                done++;
                call.bytes *= 2;
                CU_ASSERT_TRUE(moe_collective_time(&call, &moe_collective_algorithms[a], &twice));
                int64_t floor = moe_collective_floor(&cost, NULL);
                MOE_CHECK(cost.total_ps > 0 && cost.total_ps >= floor && floor > 0 &&
                              floor >= moe_collective_floor(&cost, call.network),
                          "%s: %lld", moe_collective_algorithms[a].name, (long long)cost.total_ps);
                MOE_CHECK(twice.total_ps >= cost.total_ps ||
                              cost.algorithm != &moe_collective_algorithms[a],
                          "%s", moe_collective_algorithms[a].name);
            }
    }
    MOE_CHECK(done > 2000, "%u", done);
}

/* Even traffic by a matrix is what is computed without one. */
static void
even_matrix(void)
{
    for (uint64_t run = 0; run < 100; run++) {
        moe_stream s = moe_stream_new(4, "even", run);
        double matrix[MOST * MOST];
        int64_t n = draw_network(&s);
        levels[0].kind = (int)moe_stream_below(&s, 4);
        if (moe_stream_below(&s, 2))
            n = 1 + (int64_t)moe_stream_below(&s, (uint64_t)levels[0].ranks);
        for (int64_t i = 0; i < n * n; i++)
            matrix[i] = 65536;
        static const char *const names[] = {"direct", "2dh"};
        for (size_t a = 0; a < 2; a++) {
            moe_collective call = {&network, MOE_ALL_TO_ALL, n,   65536.0 * (double)n,
                                   NULL,     NULL,           true};
            moe_collective_cost cost;
            if (!moe_collective_time(&call, moe_collective_find(names[a]), &cost)) {
                MOE_CHECK(a == 1 && n <= levels[0].ranks, "run %d", (int)run);
                continue; /* two dimensions want nodes */
            }
            MOE_CHECK(llabs(cost.total_ps - time_of(names[a], matrix, n)) <= 1, "run %d, %s",
                      (int)run, names[a]);
        }
    }
}

/* The last group of a level may be a part of one: even traffic by a matrix is what is computed
 * without one there, too. */
static void
parts_of_groups(void)
{
    for (uint64_t run = 0; run < 300; run++) {
        moe_stream s = moe_stream_new(5, "parts", run);
        double matrix[MOST * MOST];
        int64_t n = draw_network(&s);
        levels[1].rails = false;
        n = 1 + (int64_t)moe_stream_below(&s, (uint64_t)n);
        for (int64_t i = 0; i < n * n; i++)
            matrix[i] = 65536;
        moe_collective call = {&network, MOE_ALL_TO_ALL, n, 65536.0 * (double)n, NULL, NULL, true};
        moe_collective_cost cost;
        CU_ASSERT_TRUE_FATAL(moe_collective_time(&call, moe_collective_find("direct"), &cost));
        int64_t by_matrix = time_of("direct", matrix, n);
        MOE_CHECK(llabs(cost.total_ps - by_matrix) <= 1, "run %d, %lld of %lld by %lld: %lld, %lld",
                  (int)run, (long long)n, (long long)levels[1].ranks, (long long)levels[0].ranks,
                  (long long)cost.total_ps, (long long)by_matrix);
    }
}

/* A level between makes nothing faster than without it, however slow it is. */
static void
slow_between(void)
{
    unsigned done = 0;
    for (uint64_t run = 0; run < 100; run++) {
        moe_stream s = moe_stream_new(6, "between", run);
        int64_t n = draw_network(&s), local = levels[0].ranks;
        levels[1].rails = false;
        levels[1].ports = 0;
        levels[2] = levels[1];
        levels[2].ranks = 2 * n;
        for (size_t a = 1; a < moe_collective_n_algorithms; a++)
            for (int op = 0; op < MOE_COLLECTIVE_OPS; op++) {
                moe_collective call = {&network, op, 2 * n, 1e9, NULL, NULL, true};
                moe_collective_cost even, slow;
                network.n_levels = 3;
                bool can = moe_collective_time(&call, &moe_collective_algorithms[a], &even);
                double rate = levels[1].bytes_per_s;
                levels[1].bytes_per_s = 1e6;
                levels[1].ll.bytes_per_s = levels[1].ll128.bytes_per_s = 1e5;
                bool can_slow = moe_collective_time(&call, &moe_collective_algorithms[a], &slow);
                levels[1].bytes_per_s = rate;
                levels[1].ll = levels[2].ll;
                levels[1].ll128 = levels[2].ll128;
                network.n_levels = 2;
                MOE_CHECK(can == can_slow, "%s", moe_collective_algorithms[a].name);
                /* at the very least, a node's share of the bytes passes its ports */
                double least = 1e9 / (double)(2 * n) / 1e6 / (double)local;
                done += can;
                MOE_CHECK(!can || (double)slow.total_ps >= least * 1e12, "%s, %s: %lld",
                          moe_collective_algorithms[a].name, moe_collective_op_name(op),
                          (long long)slow.total_ps);
                MOE_CHECK(!can || slow.total_ps > 2 * even.total_ps, "%s, %s: %lld, %lld",
                          moe_collective_algorithms[a].name, moe_collective_op_name(op),
                          (long long)slow.total_ps, (long long)even.total_ps);
            }
    }
    MOE_CHECK(done > 500, "%u", done);
}

/* No network joins more ranks than its outermost level. */
static void
too_many_ranks(void)
{
    moe_stream s = moe_stream_new(7, "many", 0);
    int64_t n = draw_network(&s);
    for (size_t a = 0; a < moe_collective_n_algorithms; a++)
        for (int op = 0; op < MOE_COLLECTIVE_OPS; op++) {
            moe_collective call = {&network, op, n + 1, 1e6, NULL, NULL, true};
            moe_collective_cost cost;
            CU_ASSERT_FALSE(moe_collective_time(&call, &moe_collective_algorithms[a], &cost));
            CU_ASSERT_EQUAL(cost.total_ps, 0);
        }
}

/* The most of everything that a description may say is 53 days at most, never less than nothing. */
static void
ends_of_the_clock(void)
{
    moe_stream s = moe_stream_new(8, "clock", 0);
    draw_network(&s);
    levels[0].bytes_per_s = levels[1].bytes_per_s = 1e6;
    levels[0].ll.bytes_per_s = levels[0].ll128.bytes_per_s = 1;
    levels[0].simple.step_ps = levels[0].ll.step_ps = levels[0].nvls.step_ps = (int64_t)1e12;
    levels[0].message_ps = levels[1].message_ps = (int64_t)1e12;
    levels[1].ranks = 10000000 / levels[0].ranks * levels[0].ranks;
    for (size_t a = 0; a < moe_collective_n_algorithms; a++)
        for (int op = 0; op < MOE_COLLECTIVE_OPS; op++) {
            moe_collective call = {&network, op, levels[1].ranks, 1e18, NULL, NULL, true};
            moe_collective_cost cost;
            if (moe_collective_time(&call, &moe_collective_algorithms[a], &cost))
                MOE_CHECK(cost.total_ps > (int64_t)1e18 && cost.total_ps <= (int64_t)1 << 62,
                          "%s: %lld", moe_collective_algorithms[a].name, (long long)cost.total_ps);
        }
}

/* More bytes over two levels are not faster when the other level's ports become the busiest. */
static void
latency_stays(void)
{
    for (uint64_t run = 0; run < 200; run++) {
        moe_stream s = moe_stream_new(9, "latency", run);
        int64_t n = draw_network(&s), last = 0;
        levels[0].bytes_per_s = 5e9 * (0.2 + moe_stream_unit(&s));
        for (double bytes = 64; bytes < 1e9; bytes *= 1.1) {
            moe_collective call = {&network, MOE_ALL_TO_ALL, n, bytes, NULL, NULL, true};
            moe_collective_cost cost;
            moe_collective_time(&call, moe_collective_find("direct"), &cost);
            MOE_CHECK(cost.total_ps >= last, "run %d, %g bytes: %lld after %lld", (int)run, bytes,
                      (long long)cost.total_ps, (long long)last);
            last = cost.total_ps;
        }
    }
}

MOE_TESTS({"names do not matter", names_do_not_matter}, {"more is not faster", more_is_not_faster},
          {"every algorithm", every_algorithm}, {"even matrix", even_matrix},
          {"parts of groups", parts_of_groups}, {"slow between", slow_between},
          {"too many ranks", too_many_ranks}, {"ends of the clock", ends_of_the_clock},
          {"latency stays", latency_stays})
