/* Speed of cache-only replays: M accesses/s of each policy's tight loop on stream A, beside a bare
 * loop written for that policy alone, in the same run; and of groups through the residency.
 *
 *     bench_replay [policy]
 *
 * fifo stands against two: a ring, and ages without a queue.
 * Best of five runs each, policy and bare loop in turns. The time of a policy is that of its
 * replay() hook: opening and closing its state, and for belady finding the next uses. */
#include "sim/machine/replay.h"
#include "sim/policy/policy.h"
#include "tests/bench/replay_bare.h"
#include "tests/fidelity/replay_stream.h"
#include "tests/property/policy_config.h"

#include <stdio.h>
#include <time.h>

typedef uint64_t bare_loop(const uint32_t *objects, size_t n, uint32_t n_objects, uint32_t slots);

static const struct {
    const char *policy;
    bare_loop *bare; /* NULL: none */
} rows[] = {
    {"lru", bare_lru},       {"fifo", bare_fifo},     {"fifo", bare_fifo_ages},
    {"lfu", bare_lfu},       {"sieve", bare_sieve},   {"arc", bare_arc},
    {"s3fifo", bare_s3fifo}, {"belady", bare_belady}, {"static", NULL},
};
static const uint32_t slots[] = {166, 416, 832};
enum { ROUNDS = 5 };

struct recording {
    uint32_t *objects;
    uint32_t *popularity;
    size_t n;
    moe_routing_builder *builder;
};

static void
record(void *context, uint32_t t, const uint16_t *ids)
{
    struct recording *recording = context;
    for (uint32_t l = 0; l < moe_stream_a.n_layers; l++) {
        for (uint32_t j = 0; j < moe_stream_a.k; j++) {
            uint32_t object = l * moe_stream_a.n_experts + ids[l * moe_stream_a.k + j];
            recording->objects[recording->n++] = object;
            recording->popularity[object]++;
        }
    }
    moe_routing_builder_add(recording->builder, 0, t, MOE_DECODE, ids, NULL);
}

static double
seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void
bench_loop(const struct recording *stream, uint32_t n_objects, const char *name, bare_loop *bare,
           uint32_t n_slots)
{
    policy_config policy = policy_config_new(MOE_POLICY_EVICT, name);
    const moe_evict_ops *ops = policy.variant->ops;
    moe_evict_setup setup = {n_objects, n_slots, NULL, stream->popularity};
    moe_evict_stream accesses = {stream->objects, stream->n};
    double best = 1e9, best_bare = 1e9;
    uint64_t misses = 0, bare_misses = 0, fills;
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = seconds();
        misses = ops->replay(&setup, policy.config, &accesses, &fills);
        double middle = seconds();
        if (bare)
            bare_misses = bare(stream->objects, stream->n, n_objects, n_slots);
        double end = seconds();
        best = MIN(best, middle - start);
        best_bare = MIN(best_bare, end - middle);
    }
    double rate = (double)stream->n / best / 1e6, bare_rate = (double)stream->n / best_bare / 1e6;
    printf("%-8s %6u %9.1f", name, n_slots, rate);
    if (bare)
        printf(" %9.1f %6.2f", bare_rate, rate / bare_rate);
    else
        printf(" %9s %6s", "-", "-");
    printf(" %10llu%s\n", (unsigned long long)misses,
           bare && bare_misses != misses ? "  the bare loop counts otherwise" : "");
    policy_config_free(&policy);
}

/* Token-layer groups of 6 with one cache: ns per group, hits, misses and all. */
static void
bench_groups(const moe_routing *routing, const char *name, uint32_t n_slots)
{
    policy_config policy = policy_config_new(MOE_POLICY_EVICT, name);
    moe_replay_config config = {.group = MOE_GROUP_TOKEN_LAYER, .to = UINT32_MAX};
    moe_replay *replay = moe_replay_new(routing, &config);
    uint64_t accesses, misses;
    double best = 1e9;
    for (unsigned round = 0; round < 2; round++) {
        double start = seconds();
        moe_replay_run(replay, policy.variant, policy.config, n_slots, &accesses, &misses);
        best = MIN(best, seconds() - start);
    }
    double groups = (double)routing->n_tokens * routing->n_layers;
    printf("%-8s %6u %9.1f %10llu\n", name, n_slots, best / groups * 1e9,
           (unsigned long long)misses);
    moe_replay_free(replay);
    policy_config_free(&policy);
}

int
main(int argc, char **argv)
{
    const moe_zipf_stream *a = &moe_stream_a;
    uint32_t n_objects = a->n_layers * a->n_experts;
    struct recording stream = {.objects = g_new(uint32_t, (size_t)a->n_tokens * a->n_layers * a->k),
                               .popularity = g_new0(uint32_t, n_objects),
                               .builder = moe_routing_builder_new(a->n_layers, a->n_experts, a->k)};
    moe_zipf_generate(a, record, &stream);
    g_autoptr(moe_routing_file) file = moe_routing_builder_finish(stream.builder, "stream A");
    printf("%-8s %6s %9s %9s %6s %10s\n", "policy", "slots", "M/s", "bare M/s", "ratio", "misses");
    for (size_t r = 0; r < MOE_COUNT(rows); r++)
        for (size_t s = 0; s < MOE_COUNT(slots); s++)
            if (argc < 2 || !strcmp(argv[1], rows[r].policy))
                bench_loop(&stream, n_objects, rows[r].policy, rows[r].bare, slots[s]);
    printf("\n%-8s %6s %9s %10s\n", "policy", "slots", "ns/group", "misses");
    for (size_t r = 0; r < MOE_COUNT(rows); r++)
        if (rows[r].bare != bare_fifo_ages && (argc < 2 || !strcmp(argv[1], rows[r].policy)))
            bench_groups(moe_routing_get(file), rows[r].policy, slots[1]);
    g_free(stream.objects);
    g_free(stream.popularity);
    return 0;
}
