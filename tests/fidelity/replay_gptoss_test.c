/* Hit rates of a cache per layer on the real decode routing of gpt-oss-20b (703 sequences one
 * after another, 24 layers, 32 experts, top-4, caches start empty and are kept between sequences):
 * one access at a time, and with the k experts of a token-layer tested together. The published
 * figures have three digits; source: facts/engines.md, section "Cache replay". */
#include "sim/machine/replay.h"
#include "sim/policy/policy.h"
#include "tests/fidelity/gptoss.h"
#include "tests/property/policy_config.h"
#include "tests/test.h"

static const struct {
    uint32_t slots;
    const char *policy;
    double access, token_layer;
} expected[] = {
    {4, "lru", .345, .437},    {4, "belady", .554, .437}, {8, "lru", .623, .651},
    {8, "belady", .791, .773}, {16, "lru", .892, .897},   {16, "belady", .952, .951},
};

static double
hit_rate(moe_replay *replay, const char *policy, uint32_t slots)
{
    policy_config evict = policy_config_new(MOE_POLICY_EVICT, policy);
    uint64_t accesses, misses;
    moe_replay_run(replay, evict.variant, evict.config, slots, &accesses, &misses);
    policy_config_free(&evict);
    return 1 - (double)misses / (double)accesses;
}

static void
check(const char *group, const char *policy, uint32_t slots, double want, double got)
{
    printf("\n    %2u slots %-6s %-11s expected %.3f got %.5f, tolerance 0.0005", slots, policy,
           group, want, got);
    MOE_CHECK(got >= want - 0.0005 && got <= want + 0.0005, "%s, %s, %u slots", group, policy,
              slots);
}

static void
hits_as_often_as_published(void)
{
    g_autoptr(moe_routing_file) file = gptoss_open(MOE_SHARED_DATA);
    if (!file) {
        moe_test_skip("no gpt-oss-20b trace in " MOE_SHARED_DATA);
        return;
    }
    const moe_routing *routing = moe_routing_get(file);
    CU_ASSERT_EQUAL(routing->n_tokens, 215438);
    CU_ASSERT_EQUAL(routing->n_sequences, 703);
    moe_replay_config config = {.scope = MOE_SCOPE_LAYER, .to = UINT32_MAX};
    config.group = MOE_GROUP_ACCESS;
    moe_replay *single = moe_replay_new(routing, &config);
    config.group = MOE_GROUP_TOKEN_LAYER;
    moe_replay *grouped = moe_replay_new(routing, &config);
    for (size_t i = 0; i < MOE_COUNT(expected); i++) {
        const char *policy = expected[i].policy;
        uint32_t slots = expected[i].slots;
        check("access", policy, slots, expected[i].access, hit_rate(single, policy, slots));
        check("token-layer", policy, slots, expected[i].token_layer,
              hit_rate(grouped, policy, slots));
    }
    moe_replay_free(single);
    moe_replay_free(grouped);
}

MOE_TESTS({"gpt-oss-20b", hits_as_often_as_published})
