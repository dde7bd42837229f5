/* Miss counts on stream A against those on which independent programs agree (libCacheSim and
 * dense-array simulators; unit sizes, one access at a time), through a routing trace built in
 * memory, as `moesim trace mrc` would count them. */
#include "sim/machine/replay.h"
#include "sim/policy/policy.h"
#include "tests/fidelity/replay_stream.h"
#include "tests/property/policy_config.h"
#include "tests/test.h"

static const uint32_t slots[] = {166, 416, 832};

static const struct {
    const char *policy;
    uint64_t misses[MOE_COUNT(slots)];
} expected[] = {
    {"lru", {11916217, 8528589, 4729415}},   {"fifo", {14440320, 9779988, 5645573}},
    {"lfu", {18017676, 11932397, 6387930}},  {"sieve", {18017676, 11932397, 6387930}},
    {"arc", {12954050, 9349708, 4729395}},   {"s3fifo", {14194968, 8833969, 4324646}},
    {"belady", {7996254, 4366804, 1837172}},
};

static void
add_token(void *context, uint32_t t, const uint16_t *ids)
{
    moe_routing_builder_add(context, 0, t, MOE_DECODE, ids, NULL);
}

static moe_routing_file *
stream_a(void)
{
    const moe_zipf_stream *a = &moe_stream_a;
    moe_routing_builder *builder = moe_routing_builder_new(a->n_layers, a->n_experts, a->k);
    moe_zipf_generate(a, add_token, builder);
    return moe_routing_builder_finish(builder, "stream A");
}

/* sha256 of the object ids as little-endian 32-bit words. */
static void
is_the_reference_stream(const moe_routing *routing)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    uint64_t n = 0;
    for (uint64_t row = 0; row < routing->n_tokens; row++) {
        for (uint32_t l = 0; l < routing->n_layers; l++) {
            for (uint32_t j = 0; j < routing->k; j++, n++) {
                uint32_t id = l * routing->n_experts + moe_routing_id(routing, row, l, j);
                uint32_t word = GUINT32_TO_LE(id);
                g_checksum_update(checksum, (const guchar *)&word, sizeof word);
            }
        }
    }
    MOE_CHECK(n == 20280000, "%llu accesses", (unsigned long long)n);
    CU_ASSERT_STRING_EQUAL(g_checksum_get_string(checksum),
                           "2ab86ddef4f0d0b22a1e1cd3fc024d28dbe3cdaf5310758a1edcde37e615c95a");
}

static void
counts_misses_of_stream_a(void)
{
    g_autoptr(moe_routing_file) file = stream_a();
    is_the_reference_stream(moe_routing_get(file));
    moe_replay_config config = {.group = MOE_GROUP_ACCESS, .to = 1};
    moe_replay *replay = moe_replay_new(moe_routing_get(file), &config);
    for (size_t p = 0; p < MOE_COUNT(expected); p++) {
        policy_config evict = policy_config_new(MOE_POLICY_EVICT, expected[p].policy);
        for (size_t s = 0; s < MOE_COUNT(slots); s++) {
            uint64_t accesses, misses, want = expected[p].misses[s];
            moe_replay_run(replay, evict.variant, evict.config, slots[s], &accesses, &misses);
            printf("\n    %-7s %4u slots: expected %9llu got %9llu, tolerance 0",
                   expected[p].policy, slots[s], (unsigned long long)want,
                   (unsigned long long)misses);
            CU_ASSERT_EQUAL(misses, want);
        }
        policy_config_free(&evict);
    }
    moe_replay_free(replay);
}

MOE_TESTS({"stream A", counts_misses_of_stream_a})
