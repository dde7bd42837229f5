/* Statistics of the real decode routing of gpt-oss-20b: what is known of it, and hit rates of a
 * cache per layer, all capacities in one pass, as generic cache simulators and grouped replays have
 * them (facts/engines.md, section "Cache replay"). */
#include "tests/fidelity/gptoss.h"

#include "traces/stats/curve.h"
#include "traces/stats/overlap.h"

enum { SELECTED = 120 };

static void
near(const char *what, double want, double got, double tolerance)
{
    printf("\n    %-44s expected %.3f got %.5f, tolerance %g", what, want, got, tolerance);
    MOE_CHECK(got >= want - tolerance && got <= want + tolerance, "%s", what);
}

static double
layer_hits(const moe_pick *pick, moe_curve_config config, uint32_t slots)
{
    config.per_layer = true;
    moe_curve *curve = moe_curve_new(pick, &config, NULL, NULL);
    double rate = moe_curve_hit_rate(curve, MOE_NONE, slots);
    moe_curve_free(curve);
    return rate;
}

/* Tokens share about .45 of their experts with the one before, about .21 with an unrelated one; the
 * busiest expert of a layer has about three times the mean; eight slots per layer hit .64 to .67,
 * as accesses are grouped and first fills counted. */
static void
selected(void)
{
    g_autoptr(moe_routing_file) file = gptoss_open(MOE_SHARED_DATA);
    uint32_t sequences[SELECTED];
    if (!file || gptoss_select(MOE_SHARED_DATA, sequences, SELECTED) < SELECTED) {
        moe_test_skip("no gpt-oss-20b trace in " MOE_SHARED_DATA);
        return;
    }
    const moe_routing *routing = moe_routing_get(file);
    moe_pick pick = {.routing = routing, .sequences = sequences, .n = SELECTED};
    CU_ASSERT_EQUAL(moe_pick_tokens(&pick), 45706);
    moe_popularity *popularity = moe_popularity_new(routing);
    moe_overlap *overlap = moe_overlap_new(routing);
    const moe_block_user users[] = {{moe_popularity_add, popularity}, {moe_overlap_add, overlap}};
    moe_sweep(&pick, users, 2, NULL, NULL);
    double busiest = 0;
    for (uint32_t l = 0; l < routing->n_layers; l++)
        busiest += moe_popularity_spread(popularity->counts + (size_t)l * routing->n_experts,
                                         routing->n_experts, popularity->tokens[l])
                       .max_over_mean /
                   routing->n_layers;
    near("overlap of consecutive tokens", .45, moe_overlap_at(overlap, MOE_NONE, 1), .005);
    near("overlap of unrelated tokens", .21, moe_overlap_independent(popularity, MOE_NONE), .005);
    near("busiest over mean", 3, busiest, .1);
    moe_popularity_free(popularity);
    moe_overlap_free(overlap);
    moe_curve_config config = {.policy = MOE_CURVE_LRU, .cold = true, .first_fill_hit = true};
    near("LRU, 8 slots, one by one, cold", .64, layer_hits(&pick, config, 8), .005);
    config.together = true;
    near("LRU, 8 slots, together, cold", .667, layer_hits(&pick, config, 8), .0005);
    config.cold = config.first_fill_hit = false;
    near("LRU, 8 slots, together, one history", .664, layer_hits(&pick, config, 8), .0005);
}

static const struct {
    uint32_t slots;
    moe_curve_policy policy;
    double access, group;
} published[] = {
    {4, MOE_CURVE_LRU, .345, .437},    {8, MOE_CURVE_LRU, .623, .651},
    {16, MOE_CURVE_LRU, .892, .897},   {4, MOE_CURVE_BELADY, .554, .437},
    {8, MOE_CURVE_BELADY, .791, .773}, {16, MOE_CURVE_BELADY, .952, .951},
};

static void
whole(void)
{
    g_autoptr(moe_routing_file) file = gptoss_open(MOE_SHARED_DATA);
    if (!file) {
        moe_test_skip("no gpt-oss-20b trace in " MOE_SHARED_DATA);
        return;
    }
    moe_pick pick = moe_pick_all(moe_routing_get(file));
    for (int policy = MOE_CURVE_LRU; policy <= MOE_CURVE_BELADY; policy += MOE_CURVE_BELADY) {
        moe_curve_config config = {.policy = (moe_curve_policy)policy, .per_layer = true};
        moe_curve *single = moe_curve_new(&pick, &config, NULL, NULL);
        config.together = config.pinned = true;
        moe_curve *group = moe_curve_new(&pick, &config, NULL, NULL);
        for (size_t i = 0; i < MOE_COUNT(published); i++) {
            if ((int)published[i].policy != policy)
                continue;
            uint32_t slots = published[i].slots;
            const char *name = moe_curve_policy_name(published[i].policy);
            g_autofree char *one = g_strdup_printf("%s, %u slots, one by one", name, slots);
            g_autofree char *all = g_strdup_printf("%s, %u slots, grouped", name, slots);
            near(one, published[i].access, moe_curve_hit_rate(single, MOE_NONE, slots), .0005);
            near(all, published[i].group, moe_curve_hit_rate(group, MOE_NONE, slots), .0005);
        }
        moe_curve_free(single);
        moe_curve_free(group);
    }
}

MOE_TESTS({"selected sequences", selected}, {"all sequences", whole})
