/* Random traffic over every eviction policy of the registry, through one to three tiers: demands
 * in groups, prefetches, removals, late arrivals. A shadow keeps the books. */
#include "sim/base/random.h"
#include "sim/residency/residency.h"
#include "tests/property/policy_config.h"
#include "tests/test.h"

enum { LAYERS = 3, EXPERTS = 12, OBJECTS = LAYERS * EXPERTS, MAX_GROUP = 6 };

typedef struct traffic {
    policy_config evict;
    moe_residency *residency;
    moe_stream stream;
    uint32_t n_tiers;
    uint64_t removes;
    uint8_t loading[MOE_MAX_TIERS][OBJECTS]; /* shadow: a load into the tier is under way */
    uint32_t pins[OBJECTS];                  /* shadow: members not yet released */
    uint32_t popularity[OBJECTS];
    GArray *log; /* every outcome and victim */
} traffic;

static void
traffic_open(traffic *t, const char *policy, uint32_t n_tiers, moe_scope scope, uint64_t seed)
{
    *t = (traffic){.evict = policy_config_new(MOE_POLICY_EVICT, policy), .n_tiers = n_tiers};
    t->stream = moe_stream_new(seed, "test.traffic", n_tiers);
    t->log = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (uint32_t o = 0; o < OBJECTS; o++)
        t->popularity[o] = (uint32_t)moe_stream_below(&t->stream, 50);
    moe_residency_config config = {
        .n_layers = LAYERS, .n_experts = EXPERTS, .n_tiers = n_tiers, .popularity = t->popularity};
    const moe_choice evict = {t->evict.variant, t->evict.config};
    config.tiers[0] = (moe_tier_config){scope, scope == MOE_SCOPE_LAYER ? 4 : 9, evict};
    config.tiers[1] = (moe_tier_config){MOE_SCOPE_MODEL, 14, evict};
    config.tiers[2] = (moe_tier_config){MOE_SCOPE_LAYER, 8, evict};
    t->residency = moe_residency_new(&config);
}

static void
traffic_close(traffic *t)
{
    moe_residency_free(t->residency);
    g_array_free(t->log, TRUE);
    policy_config_free(&t->evict);
}

static void
note(traffic *t, uint32_t what)
{
    g_array_append_val(t->log, what);
}

static void
arrive(traffic *t, uint32_t tier, uint32_t object)
{
    moe_residency_arrived(t->residency, tier, object);
    t->loading[tier][object] = 0;
}

/* What an admission did, against the state before it. */
static void
check_admission(traffic *t, uint32_t object, const moe_admission *admission,
                moe_where before[MOE_MAX_TIERS][OBJECTS])
{
    const char *policy = t->evict.variant->name;
    for (uint32_t i = 0; i < admission->source; i++) {
        uint32_t victim = admission->victim[i];
        note(t, victim);
        t->loading[i][object] = 1;
        MOE_CHECK(moe_residency_where(t->residency, i, object) == MOE_IN_FLIGHT,
                  "%s: %u is not in flight into tier %u", policy, object, i);
        if (victim == MOE_NONE)
            continue;
        MOE_CHECK(before[i][victim] == MOE_RESIDENT, "%s: victim %u of tier %u was not resident",
                  policy, victim, i);
        MOE_CHECK(i || !t->pins[victim], "%s: victim %u is pinned", policy, victim);
        MOE_CHECK(moe_residency_where(t->residency, i, victim) == MOE_ABSENT,
                  "%s: victim %u is still in tier %u", policy, victim, i);
    }
    for (uint32_t i = admission->source; i < MOE_MAX_TIERS; i++)
        CU_ASSERT_EQUAL(admission->victim[i], MOE_NONE);
    CU_ASSERT(admission->source == t->n_tiers || before[admission->source][object] != MOE_ABSENT);
}

static void
look(const traffic *t, moe_where where[MOE_MAX_TIERS][OBJECTS])
{
    for (uint32_t i = 0; i < t->n_tiers; i++)
        for (uint32_t o = 0; o < OBJECTS; o++)
            where[i][o] = moe_residency_where(t->residency, i, o);
}

static bool
same_places(moe_where a[MOE_MAX_TIERS][OBJECTS], moe_where b[MOE_MAX_TIERS][OBJECTS],
            uint32_t n_tiers)
{
    return !memcmp(a, b, n_tiers * sizeof a[0]);
}

static void
arrive_everywhere(traffic *t, uint32_t object)
{
    for (uint32_t i = t->n_tiers; i-- > 0;)
        if (t->loading[i][object])
            arrive(t, i, object);
}

static void
demand_group(traffic *t, uint32_t layer)
{
    uint32_t objects[MAX_GROUP], next_use[MAX_GROUP], n = 0;
    uint64_t size = 1 + moe_stream_below(&t->stream, MAX_GROUP);
    for (uint32_t e = 0; e < EXPERTS && n < size; e++) {
        if (moe_stream_below(&t->stream, EXPERTS - e) >= size - n)
            continue;
        next_use[n] = (uint32_t)moe_stream_below(&t->stream, 1000);
        objects[n++] = layer * EXPERTS + e;
    }
    uint8_t outcomes[MAX_GROUP];
    bool released[MAX_GROUP] = {false};
    moe_residency_begin(t->residency, objects, next_use, n, outcomes);
    for (uint32_t i = 0; i < n; i++) {
        note(t, outcomes[i]);
        if (outcomes[i] != MOE_MISS)
            t->pins[objects[i]]++;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (outcomes[i] != MOE_MISS)
            continue;
        moe_where before[MOE_MAX_TIERS][OBJECTS], after[MOE_MAX_TIERS][OBJECTS];
        moe_admission admission;
        look(t, before);
        while (moe_residency_admit(t->residency, objects[i], &admission) == MOE_ADMIT_WAIT) {
            look(t, after);
            MOE_CHECK(same_places(before, after, t->n_tiers), "%s: waiting moved something",
                      t->evict.variant->name);
            for (uint32_t o = 0; o < OBJECTS; o++)
                arrive_everywhere(t, o);
            for (uint32_t j = 0; j < n; j++) {
                if (!released[j] && t->pins[objects[j]]) {
                    moe_residency_release(t->residency, objects[j]);
                    t->pins[objects[j]]--;
                    released[j] = true;
                    break;
                }
            }
            look(t, before);
        }
        check_admission(t, objects[i], &admission, before);
        t->pins[objects[i]]++;
        MOE_CHECK(moe_residency_pinned(t->residency, objects[i]), "%u is not pinned", objects[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        arrive_everywhere(t, objects[i]);
        if (!released[i]) {
            moe_residency_release(t->residency, objects[i]);
            t->pins[objects[i]]--;
        }
    }
}

static void
prefetch(traffic *t, uint32_t object)
{
    moe_where before[MOE_MAX_TIERS][OBJECTS], after[MOE_MAX_TIERS][OBJECTS];
    uint32_t outlook[OBJECTS];
    uint32_t limit = (uint32_t)moe_stream_below(&t->stream, 20);
    for (uint32_t o = 0; o < OBJECTS; o++)
        outlook[o] = (uint32_t)moe_stream_below(&t->stream, 30);
    look(t, before);
    moe_admission admission;
    moe_admit got = moe_residency_prefetch(t->residency, object, limit, outlook, limit, &admission);
    note(t, (uint32_t)got);
    if (got == MOE_ADMIT_REFUSED) {
        look(t, after);
        MOE_CHECK(same_places(before, after, t->n_tiers), "%s: a refusal moved something",
                  t->evict.variant->name);
        return;
    }
    check_admission(t, object, &admission, before);
    for (uint32_t i = 0; i < admission.source && limit; i++)
        MOE_CHECK(admission.victim[i] == MOE_NONE || outlook[admission.victim[i]] > limit,
                  "%s: a prefetch for %u evicts what is needed at %u", t->evict.variant->name,
                  limit, outlook[admission.victim[i]]);
}

static void
check_books(const traffic *t)
{
    for (uint32_t i = 0; i < t->n_tiers; i++) {
        const moe_tier_counts *counts = moe_residency_counts(t->residency, i);
        uint64_t there = 0, gone = counts->evictions + (i ? 0 : t->removes);
        for (uint32_t o = 0; o < OBJECTS; o++)
            there += moe_residency_where(t->residency, i, o) != MOE_ABSENT;
        MOE_CHECK(there == counts->admits - gone, "%s, tier %u: %llu there, %llu in, %llu out",
                  t->evict.variant->name, i, (unsigned long long)there,
                  (unsigned long long)counts->admits, (unsigned long long)gone);
        CU_ASSERT_EQUAL(there, moe_residency_occupied(t->residency, i));
        CU_ASSERT(counts->wasted <= counts->prefetches);
        CU_ASSERT(counts->fills <= counts->misses);
        if (!i)
            CU_ASSERT_EQUAL(counts->admits, counts->misses + counts->prefetches);
    }
}

static void
one_event(traffic *t)
{
    uint32_t object = (uint32_t)moe_stream_below(&t->stream, OBJECTS);
    moe_where where = moe_residency_where(t->residency, 0, object);
    switch (moe_stream_below(&t->stream, 5)) {
    case 0:
        if (where == MOE_ABSENT)
            prefetch(t, object);
        return;
    case 1: /* cancelled, or given up at a layer's end */
        if (where == MOE_ABSENT || t->pins[object])
            return;
        moe_residency_remove(t->residency, object);
        t->loading[0][object] = 0;
        t->removes++;
        return;
    case 2:
        arrive_everywhere(t, object);
        return;
    default:
        demand_group(t, object / EXPERTS);
    }
}

static void
books_balance(void)
{
    size_t n;
    const moe_variant *const *list = moe_policy_list(MOE_POLICY_EVICT, &n);
    for (size_t p = 0; p < n; p++) {
        for (uint32_t setup = 0; setup < 6; setup++) {
            traffic t, again; /* the same, event by event, beside it */
            moe_scope scope = setup % 2 ? MOE_SCOPE_LAYER : MOE_SCOPE_MODEL;
            traffic_open(&t, list[p]->name, 1 + setup / 2, scope, setup);
            traffic_open(&again, list[p]->name, 1 + setup / 2, scope, setup);
            for (unsigned event = 0; event < 500; event++) {
                one_event(&t);
                one_event(&again);
                check_books(&t);
            }
            MOE_CHECK(t.log->len == again.log->len &&
                          !memcmp(t.log->data, again.log->data, t.log->len * sizeof(uint32_t)),
                      "%s: the same traffic, other decisions", list[p]->name);
            traffic_close(&t);
            traffic_close(&again);
        }
    }
}

MOE_TESTS({"books", books_balance})
