/* The life of an object in one tier and through two, step by step. */
#include "sim/base/random.h"
#include "sim/residency/residency.h"
#include "tests/property/policy_config.h"
#include "tests/test.h"

typedef struct setting {
    policy_config evict;
    moe_residency *residency;
} setting;

/* 2 layers of 8 experts; slots[t] per tier, tier 0 scoped as said, further ones to the model. */
static setting
open_tiers(const char *evict, moe_scope scope, uint32_t n_tiers, const uint32_t *slots)
{
    setting s = {.evict = policy_config_new(MOE_POLICY_EVICT, evict)};
    moe_residency_config config = {.n_layers = 2, .n_experts = 8, .n_tiers = n_tiers};
    for (uint32_t t = 0; t < n_tiers; t++)
        config.tiers[t] = (moe_tier_config){
            t ? MOE_SCOPE_MODEL : scope, slots[t], {s.evict.variant, s.evict.config}};
    s.residency = moe_residency_new(&config);
    return s;
}

static void
close_tiers(setting *s)
{
    moe_residency_free(s->residency);
    policy_config_free(&s->evict);
}

/* Tests a group and loads its misses at once; returns the outcomes as letters. */
static const char *
demand(moe_residency *residency, const uint32_t *objects, size_t n)
{
    static char letters[16];
    uint8_t outcomes[16];
    moe_residency_begin(residency, objects, NULL, n, outcomes);
    for (size_t i = 0; i < n; i++) {
        letters[i] = "HLM"[outcomes[i]];
        moe_admission admission;
        if (outcomes[i] != MOE_MISS)
            continue;
        CU_ASSERT_EQUAL(moe_residency_admit(residency, objects[i], &admission), MOE_ADMITTED);
        moe_residency_arrived(residency, 0, objects[i]);
    }
    letters[n] = 0;
    for (size_t i = 0; i < n; i++)
        moe_residency_release(residency, objects[i]);
    return letters;
}

#define DEMAND(residency, ...)                                                                     \
    demand(residency, (const uint32_t[]){__VA_ARGS__},                                             \
           sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void
a_load_is_in_flight_then_resident(void)
{
    setting s = open_tiers("lru", MOE_SCOPE_MODEL, 1, (const uint32_t[]){2});
    uint8_t outcome;
    moe_admission admission;
    const uint32_t object = 3;
    CU_ASSERT_EQUAL(moe_residency_where(s.residency, 0, object), MOE_ABSENT);
    moe_residency_begin(s.residency, &object, NULL, 1, &outcome);
    CU_ASSERT_EQUAL(outcome, MOE_MISS);
    CU_ASSERT_EQUAL(moe_residency_admit(s.residency, object, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(admission.source, 1);
    CU_ASSERT_EQUAL(admission.victim[0], MOE_NONE);
    CU_ASSERT_EQUAL(moe_residency_where(s.residency, 0, object), MOE_IN_FLIGHT);
    CU_ASSERT(moe_residency_pinned(s.residency, object));
    moe_residency_arrived(s.residency, 0, object);
    CU_ASSERT_EQUAL(moe_residency_where(s.residency, 0, object), MOE_RESIDENT);
    CU_ASSERT(moe_residency_pinned(s.residency, object));
    moe_residency_release(s.residency, object);
    CU_ASSERT_FALSE(moe_residency_pinned(s.residency, object));
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 3, 4), "HM");
    CU_ASSERT_EQUAL(moe_residency_occupied(s.residency, 0), 2);
    const moe_tier_counts *counts = moe_residency_counts(s.residency, 0);
    CU_ASSERT_EQUAL(counts->hits, 1);
    CU_ASSERT_EQUAL(counts->misses, 2);
    CU_ASSERT_EQUAL(counts->fills, 2);
    CU_ASSERT_EQUAL(counts->admits, 2);
    moe_residency_reset_counts(s.residency);
    CU_ASSERT_EQUAL(counts->misses, 0);
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 4, 3), "HH");
    close_tiers(&s);
}

static void
a_group_is_tested_before_any_of_it_is_loaded(void)
{
    setting s = open_tiers("lru", MOE_SCOPE_MODEL, 1, (const uint32_t[]){3});
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 0, 1, 2), "MMM");
    /* 0 would be the victim of 5 and 6, but is pinned: 1 and 2 go. */
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 5, 6, 0), "MMH");
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 0, 5, 6), "HHH");
    CU_ASSERT_EQUAL(moe_residency_counts(s.residency, 0)->evictions, 2);
    close_tiers(&s);
}

/* A hit between two misses is for the policy newer than the first and older than the second. */
static void
hits_and_misses_take_turns(void)
{
    setting s = open_tiers("lru", MOE_SCOPE_MODEL, 1, (const uint32_t[]){3});
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 0), "M");
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 1, 0, 2), "MHM");
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 3), "M"); /* 1 leaves */
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 4), "M"); /* 0 leaves */
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 2), "H");
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 0), "M");
    close_tiers(&s);
}

static void
a_demand_waits_for_a_slot(void)
{
    setting s = open_tiers("lru", MOE_SCOPE_LAYER, 1, (const uint32_t[]){2});
    const uint32_t group[] = {0, 1, 2};
    uint8_t outcomes[3];
    moe_admission admission;
    moe_residency_begin(s.residency, group, NULL, 3, outcomes);
    CU_ASSERT_EQUAL(moe_residency_admit(s.residency, 0, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(moe_residency_admit(s.residency, 1, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(moe_residency_admit(s.residency, 2, &admission), MOE_ADMIT_WAIT);
    CU_ASSERT_STRING_EQUAL(DEMAND(s.residency, 8, 9), "MM"); /* the other layer has its own */
    moe_residency_arrived(s.residency, 0, 0);
    CU_ASSERT_EQUAL(moe_residency_admit(s.residency, 2, &admission), MOE_ADMIT_WAIT);
    moe_residency_release(s.residency, 0);
    CU_ASSERT_EQUAL(moe_residency_admit(s.residency, 2, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(admission.victim[0], 0);
    CU_ASSERT_EQUAL(moe_residency_occupied(s.residency, 0), 4);
    CU_ASSERT_EQUAL(moe_residency_counts(s.residency, 0)->misses, 5);
    close_tiers(&s);
}

static void
a_prefetch_may_be_refused_late_or_wasted(void)
{
    setting s = open_tiers("lru", MOE_SCOPE_MODEL, 1, (const uint32_t[]){2});
    moe_residency *r = s.residency;
    const moe_tier_counts *counts = moe_residency_counts(r, 0);
    moe_admission admission;
    uint32_t outlook[16];
    memset(outlook, 0xFF, sizeof outlook);
    CU_ASSERT_EQUAL(moe_residency_prefetch(r, 0, 5, outlook, 0, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(moe_residency_prefetch(r, 1, 6, outlook, 0, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(counts->fills, 0); /* a fill is a miss */
    CU_ASSERT_EQUAL(moe_residency_prefetch(r, 2, 7, outlook, 0, &admission), MOE_ADMIT_REFUSED);
    moe_residency_arrived(r, 0, 0);
    const uint32_t group[] = {0, 1};
    uint8_t outcomes[2];
    moe_residency_begin(r, group, NULL, 2, outcomes);
    CU_ASSERT_EQUAL(outcomes[0], MOE_HIT);
    CU_ASSERT_EQUAL(outcomes[1], MOE_LATE);
    moe_residency_arrived(r, 0, 1);
    moe_residency_release(r, 0);
    moe_residency_release(r, 1);
    outlook[0] = 8;
    outlook[1] = 9;
    CU_ASSERT_EQUAL(moe_residency_prefetch(r, 2, 9, outlook, 9, &admission), MOE_ADMIT_REFUSED);
    CU_ASSERT_EQUAL(moe_residency_prefetch(r, 2, 8, outlook, 8, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(admission.victim[0], 1);
    moe_residency_remove(r, 2); /* cancelled in flight: gone without a demand */
    CU_ASSERT_EQUAL(moe_residency_where(r, 0, 2), MOE_ABSENT);
    CU_ASSERT_EQUAL(counts->wasted, 1);
    CU_ASSERT_EQUAL(moe_residency_prefetch(r, 3, 9, outlook, 0, &admission), MOE_ADMITTED);
    moe_residency_arrived(r, 0, 3);
    CU_ASSERT_STRING_EQUAL(DEMAND(r, 4, 5), "MM"); /* evicts 0, used, and 3, unused */
    CU_ASSERT_EQUAL(counts->wasted, 2);
    CU_ASSERT_EQUAL(counts->prefetches, 4);
    CU_ASSERT_EQUAL(counts->refused, 2);
    CU_ASSERT_EQUAL(counts->late, 1);
    CU_ASSERT_EQUAL(counts->hits, 1);
    close_tiers(&s);
}

static void
loads_pass_through_the_tiers_between(void)
{
    setting s = open_tiers("lru", MOE_SCOPE_MODEL, 2, (const uint32_t[]){1, 2});
    moe_residency *r = s.residency;
    const moe_tier_counts *below = moe_residency_counts(r, 1);
    moe_admission admission;
    uint8_t outcome;
    uint32_t object = 0;
    moe_residency_begin(r, &object, NULL, 1, &outcome);
    CU_ASSERT_EQUAL(moe_residency_admit(r, 0, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(admission.source, 2); /* the home */
    CU_ASSERT_EQUAL(moe_residency_where(r, 1, 0), MOE_IN_FLIGHT);
    moe_residency_arrived(r, 1, 0);
    moe_residency_arrived(r, 0, 0);
    moe_residency_release(r, 0);
    object = 1;
    moe_residency_begin(r, &object, NULL, 1, &outcome);
    CU_ASSERT_EQUAL(moe_residency_admit(r, 1, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(admission.victim[0], 0);
    CU_ASSERT_EQUAL(admission.victim[1], MOE_NONE);
    moe_residency_arrived(r, 1, 1);
    moe_residency_arrived(r, 0, 1);
    moe_residency_release(r, 1);
    object = 0; /* gone from the cache, still in the tier below */
    moe_residency_begin(r, &object, NULL, 1, &outcome);
    CU_ASSERT_EQUAL(outcome, MOE_MISS);
    CU_ASSERT_EQUAL(moe_residency_admit(r, 0, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(admission.source, 1);
    CU_ASSERT_EQUAL(admission.victim[0], 1);
    CU_ASSERT_EQUAL(below->hits, 1);
    CU_ASSERT_EQUAL(below->misses, 2);
    CU_ASSERT_EQUAL(below->fills, 2);
    CU_ASSERT_EQUAL(moe_residency_counts(r, 0)->misses, 3);
    moe_residency_arrived(r, 0, 0);
    moe_residency_release(r, 0);
    close_tiers(&s);
}

/* A tier that feeds a load keeps the object until it has arrived above. */
static void
a_source_is_kept_while_it_is_read(void)
{
    setting s = open_tiers("fifo", MOE_SCOPE_MODEL, 2, (const uint32_t[]){2, 1});
    moe_residency *r = s.residency;
    moe_admission admission;
    uint8_t outcomes[2];
    const uint32_t group[] = {0, 1};
    moe_residency_begin(r, group, NULL, 2, outcomes);
    CU_ASSERT_EQUAL(moe_residency_admit(r, 0, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(moe_residency_admit(r, 1, &admission), MOE_ADMIT_WAIT);
    moe_residency_arrived(r, 1, 0);
    CU_ASSERT_EQUAL(moe_residency_admit(r, 1, &admission), MOE_ADMIT_WAIT); /* 0 is being read */
    CU_ASSERT_EQUAL(moe_residency_occupied(r, 0), 1); /* waiting changed nothing above */
    moe_residency_arrived(r, 0, 0);
    CU_ASSERT_EQUAL(moe_residency_admit(r, 1, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(admission.victim[1], 0);
    CU_ASSERT_EQUAL(moe_residency_where(r, 0, 0), MOE_RESIDENT);
    close_tiers(&s);
}

static void
without_tiers_everything_comes_from_home(void)
{
    setting s = open_tiers("lru", MOE_SCOPE_MODEL, 0, NULL);
    moe_admission admission;
    uint8_t outcome;
    const uint32_t object = 5;
    moe_residency_begin(s.residency, &object, NULL, 1, &outcome);
    CU_ASSERT_EQUAL(outcome, MOE_MISS);
    CU_ASSERT_EQUAL(moe_residency_admit(s.residency, object, &admission), MOE_ADMITTED);
    CU_ASSERT_EQUAL(admission.source, 0);
    moe_residency_release(s.residency, object);
    close_tiers(&s);
}

/* Whatever comes and goes, pinned experts are there, and the others have the slots that are left.
 */
static void
pinned_experts_stay(void)
{
    static const uint32_t always[] = {0, 9, 15};
    size_t n_policies;
    const moe_variant *const *policies = moe_policy_list(MOE_POLICY_EVICT, &n_policies);
    moe_stream stream = moe_stream_new(11, "pinned", 0);
    for (size_t p = 0; p < n_policies; p++)
        for (int scope = MOE_SCOPE_MODEL; scope <= MOE_SCOPE_LAYER; scope++) {
            policy_config evict = policy_config_new(MOE_POLICY_EVICT, policies[p]->name);
            moe_residency_config config = {
                .n_layers = 2, .n_experts = 8, .n_tiers = 1, .always = always, .n_always = 3};
            config.tiers[0] =
                (moe_tier_config){(moe_scope)scope, scope ? 3 : 5, {evict.variant, evict.config}};
            moe_residency *residency = moe_residency_new(&config);
            uint64_t pinned = 0;
            for (uint32_t i = 0; i < 400; i++) {
                uint32_t object = (uint32_t)moe_stream_below(&stream, 16);
                bool is_pinned = object == 0 || object == 9 || object == 15;
                const char *outcome = DEMAND(residency, object);
                pinned += is_pinned;
                MOE_CHECK(!is_pinned || !strcmp(outcome, "H"), "%s: object %u was %s",
                          policies[p]->name, object, outcome);
                MOE_CHECK(moe_residency_occupied(residency, 0) <= (scope ? 6u : 5u),
                          "%s: %u occupied", policies[p]->name,
                          moe_residency_occupied(residency, 0));
            }
            const moe_tier_counts *counts = moe_residency_counts(residency, 0);
            CU_ASSERT_EQUAL(counts->hits + counts->misses, 400);
            MOE_CHECK(counts->hits >= pinned, "%s", policies[p]->name);
            CU_ASSERT_EQUAL(counts->admits - counts->evictions,
                            moe_residency_occupied(residency, 0) - 3);
            moe_residency_free(residency);
            policy_config_free(&evict);
        }
}

MOE_TESTS({"life", a_load_is_in_flight_then_resident},
          {"group", a_group_is_tested_before_any_of_it_is_loaded},
          {"turns", hits_and_misses_take_turns}, {"wait", a_demand_waits_for_a_slot},
          {"prefetch", a_prefetch_may_be_refused_late_or_wasted},
          {"tiers", loads_pass_through_the_tiers_between},
          {"source", a_source_is_kept_while_it_is_read}, {"pinned", pinned_experts_stay},
          {"no tiers", without_tiers_everything_comes_from_home})
