/* What must hold for collectives on any network, with any bytes. */
#include "hw/collective.h"
#include "sim/base/random.h"
#include "tests/test.h"

#include <math.h>

#define MOST 32

static moe_level levels[2];
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
    MOE_CHECK(cost.total_ps >= moe_collective_floor(&cost), "%s: %lld", algorithm,
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
                MOE_CHECK(cost.total_ps > 0 && cost.total_ps >= moe_collective_floor(&cost),
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

MOE_TESTS({"names do not matter", names_do_not_matter}, {"more is not faster", more_is_not_faster},
          {"every algorithm", every_algorithm}, {"even matrix", even_matrix})
