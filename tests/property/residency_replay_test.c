/* Cache-only replays of random traces: groups against a slow model, and what holds for every
 * eviction policy of the registry. */
#include "sim/base/random.h"
#include "sim/machine/replay.h"
#include "tests/property/policy_config.h"
#include "tests/test.h"

enum { LAYERS = 3, EXPERTS = 10, SEQUENCES = 4, LENGTH = 60, NONE = 0xFFFF, NOT_RUN = 0xFFFE };

/* Tokens of four sequences run together, a position per step; with `gaps` some rows are shorter,
 * and some layers did not run. */
static moe_routing_file *
random_trace(uint64_t seed, uint32_t k, bool steps, bool gaps)
{
    moe_routing_builder *builder = moe_routing_builder_new(LAYERS, EXPERTS, k);
    moe_stream stream = moe_stream_new(seed, "test.trace", k);
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        for (uint32_t i = 0; i < LENGTH; i++) {
            uint16_t ids[LAYERS * EXPERTS];
            for (uint32_t l = 0; l < LAYERS; l++) {
                uint64_t kind = gaps ? moe_stream_below(&stream, 6) : 5;
                uint32_t n = kind < 2 ? (uint32_t)moe_stream_below(&stream, k) : k;
                double u = moe_stream_unit(&stream);
                uint32_t from = (uint32_t)(u * u * EXPERTS);
                for (uint32_t j = 0; j < k; j++) {
                    uint16_t id = (uint16_t)((from + 3 * j) % EXPERTS);
                    ids[l * k + j] = kind == 0 ? NOT_RUN : j < n ? id : NONE;
                }
            }
            moe_routing_builder_add(builder, s, i, MOE_DECODE, ids, NULL);
            if (steps)
                moe_routing_builder_step(builder, i);
        }
    }
    return moe_routing_builder_finish(builder, "random");
}

/* The slow model: LRU over lists of objects, newest last. */
typedef struct model {
    uint32_t list[LAYERS * EXPERTS], n, slots;
    uint64_t accesses, misses;
} model;

static uint32_t
model_find(const model *m, uint32_t object)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->list[i] == object)
            return i;
    return MOE_NONE;
}

static void
model_take(model *m, uint32_t i)
{
    m->n--;
    memmove(&m->list[i], &m->list[i + 1], (m->n - i) * sizeof m->list[0]);
}

/* Tested together, then member by member: out of the list and in again as the newest, for the
 * misses after the oldest that is no member has left. Groups fit. */
static void
model_group(model *m, const uint32_t *group, uint32_t n)
{
    bool miss[LAYERS * EXPERTS];
    for (uint32_t i = 0; i < n; i++)
        miss[i] = model_find(m, group[i]) == MOE_NONE;
    for (uint32_t i = 0; i < n; i++) {
        m->accesses++;
        m->misses += miss[i];
        if (!miss[i])
            model_take(m, model_find(m, group[i]));
        for (uint32_t v = 0; miss[i] && m->n == m->slots; v++) {
            bool member = false;
            for (uint32_t j = 0; j < n; j++)
                member |= m->list[v] == group[j];
            if (!member)
                model_take(m, v);
        }
        m->list[m->n++] = group[i];
    }
}

static void
add_member(uint32_t *group, uint32_t *n, uint32_t object)
{
    for (uint32_t i = 0; i < *n; i++)
        if (group[i] == object)
            return;
    group[(*n)++] = object;
}

static void
add_row(const moe_routing *routing, uint64_t row, uint32_t l, uint32_t *group, uint32_t *n)
{
    uint16_t ids[EXPERTS];
    uint32_t valid = moe_routing_row(routing, row, l, ids);
    for (uint32_t j = 0; j < valid; j++)
        add_member(group, n, l * EXPERTS + ids[j]);
}

/* Steps are positions here, so a step's tokens are row i of each sequence. */
static void
model_run(const moe_routing *routing, moe_group group, moe_scope scope, uint32_t slots,
          uint64_t *accesses, uint64_t *misses)
{
    model m[LAYERS];
    for (uint32_t l = 0; l < LAYERS; l++)
        m[l] = (model){.slots = slots};
    bool steps = group == MOE_GROUP_STEP_LAYER && routing->step;
    for (uint32_t turn = 0; turn < (steps ? LENGTH : LENGTH * SEQUENCES); turn++) {
        uint32_t members[LAYERS * EXPERTS], n = 0;
        for (uint32_t l = 0; l < LAYERS; l++) {
            n = group == MOE_GROUP_TOKEN ? n : 0;
            for (uint32_t s = 0; steps && s < SEQUENCES; s++)
                add_row(routing, moe_routing_token(routing, s, turn), l, members, &n);
            if (!steps)
                add_row(routing, moe_routing_token(routing, turn / LENGTH, turn % LENGTH), l,
                        members, &n);
            if (group != MOE_GROUP_TOKEN || l + 1 == LAYERS)
                model_group(&m[scope == MOE_SCOPE_LAYER ? l : 0], members, n);
        }
    }
    *accesses = *misses = 0;
    for (uint32_t l = 0; l < LAYERS; l++) {
        *accesses += m[l].accesses;
        *misses += m[l].misses;
    }
}

static void
groups_match_the_model(void)
{
    static const struct {
        moe_group group;
        moe_scope scope;
        uint32_t slots;
    } rows[] = {
        {MOE_GROUP_TOKEN_LAYER, MOE_SCOPE_LAYER, 3},  {MOE_GROUP_TOKEN_LAYER, MOE_SCOPE_LAYER, 6},
        {MOE_GROUP_TOKEN_LAYER, MOE_SCOPE_MODEL, 11}, {MOE_GROUP_STEP_LAYER, MOE_SCOPE_LAYER, 10},
        {MOE_GROUP_STEP_LAYER, MOE_SCOPE_MODEL, 12},  {MOE_GROUP_TOKEN, MOE_SCOPE_MODEL, 9},
        {MOE_GROUP_TOKEN, MOE_SCOPE_MODEL, 17}};
    policy_config lru = policy_config_new(MOE_POLICY_EVICT, "lru");
    for (uint64_t seed = 0; seed < 8; seed++) {
        g_autoptr(moe_routing_file) file = random_trace(seed, 3, seed & 1, seed & 2);
        for (size_t i = 0; i < MOE_COUNT(rows); i++) {
            moe_replay_config config = {
                .group = rows[i].group, .scope = rows[i].scope, .to = SEQUENCES};
            moe_replay *replay = moe_replay_new(moe_routing_get(file), &config);
            uint64_t accesses, misses, want_accesses, want_misses;
            moe_replay_run(replay, lru.variant, lru.config, rows[i].slots, &accesses, &misses);
            model_run(moe_routing_get(file), rows[i].group, rows[i].scope, rows[i].slots,
                      &want_accesses, &want_misses);
            MOE_CHECK(accesses == want_accesses && misses == want_misses,
                      "seed %u, row %zu: %llu of %llu, expected %llu of %llu", (unsigned)seed, i,
                      (unsigned long long)misses, (unsigned long long)accesses,
                      (unsigned long long)want_misses, (unsigned long long)want_accesses);
            moe_replay_free(replay);
        }
    }
    policy_config_free(&lru);
}

static uint64_t
count(const moe_routing *routing, moe_replay_config config, const char *policy, uint32_t slots,
      uint64_t *accesses)
{
    policy_config evict = policy_config_new(MOE_POLICY_EVICT, policy);
    moe_replay *replay = moe_replay_new(routing, &config);
    uint64_t misses, again;
    moe_replay_run(replay, evict.variant, evict.config, slots, accesses, &misses);
    moe_replay_run(replay, evict.variant, evict.config, slots, accesses, &again);
    CU_ASSERT_EQUAL(misses, again);
    moe_replay_free(replay);
    policy_config_free(&evict);
    return misses;
}

/* With top-1 a token-layer is one access: the residency and the tight loop must agree. */
static void
residency_equals_the_loop(void)
{
    size_t n;
    const moe_variant *const *list = moe_policy_list(MOE_POLICY_EVICT, &n);
    for (uint64_t seed = 0; seed < 4; seed++) {
        g_autoptr(moe_routing_file) file = random_trace(seed, 1, false, seed & 1);
        for (size_t p = 0; p < n; p++) {
            for (uint32_t slots = 1; slots < 12; slots += 3) {
                moe_replay_config config = {.scope = seed & 2 ? MOE_SCOPE_LAYER : MOE_SCOPE_MODEL,
                                            .first_fill_hit = seed & 1,
                                            .to = UINT32_MAX};
                uint64_t a, b;
                config.group = MOE_GROUP_ACCESS;
                uint64_t loop = count(moe_routing_get(file), config, list[p]->name, slots, &a);
                config.group = MOE_GROUP_TOKEN_LAYER;
                uint64_t groups = count(moe_routing_get(file), config, list[p]->name, slots, &b);
                MOE_CHECK(loop == groups && a == b, "%s, %u slots: %llu and %llu", list[p]->name,
                          slots, (unsigned long long)loop, (unsigned long long)groups);
            }
        }
    }
}

static void
nobody_beats_belady(void)
{
    static const moe_group groups[] = {MOE_GROUP_TOKEN_LAYER, MOE_GROUP_STEP_LAYER,
                                       MOE_GROUP_TOKEN};
    size_t n;
    const moe_variant *const *list = moe_policy_list(MOE_POLICY_EVICT, &n);
    for (uint64_t seed = 0; seed < 3; seed++) {
        g_autoptr(moe_routing_file) file = random_trace(seed, 3, true, seed & 1);
        for (size_t g = 0; g < MOE_COUNT(groups); g++) {
            for (uint32_t slots = 10; slots < 24; slots += 6) {
                moe_replay_config config = {.group = groups[g], .to = UINT32_MAX};
                uint64_t accesses;
                uint64_t best = count(moe_routing_get(file), config, "belady", slots, &accesses);
                for (size_t p = 0; p < n; p++) {
                    uint64_t misses =
                        count(moe_routing_get(file), config, list[p]->name, slots, &accesses);
                    MOE_CHECK(best <= misses, "group %zu, %u slots: %s %llu, belady %llu", g, slots,
                              list[p]->name, (unsigned long long)misses, (unsigned long long)best);
                }
            }
        }
    }
}

static void
lru_never_loses_by_capacity(void)
{
    g_autoptr(moe_routing_file) file = random_trace(5, 3, true, false);
    for (moe_group group = MOE_GROUP_ACCESS; group <= MOE_GROUP_TOKEN; group++) {
        moe_replay_config config = {.group = group, .to = UINT32_MAX};
        uint64_t before = UINT64_MAX, accesses;
        for (uint32_t slots = 10; slots <= LAYERS * EXPERTS; slots++) {
            uint64_t misses = count(moe_routing_get(file), config, "lru", slots, &accesses);
            MOE_CHECK(misses <= before, "group %d, %u slots: %llu misses, one less: %llu",
                      (int)group, slots, (unsigned long long)misses, (unsigned long long)before);
            before = misses;
        }
        MOE_CHECK(before == LAYERS * EXPERTS, "all fit, and %llu misses",
                  (unsigned long long)before);
    }
}

/* Groups larger than their slots pass through a sliding window: nothing hangs, nothing is lost. */
static void
large_groups_slide(void)
{
    size_t n;
    const moe_variant *const *list = moe_policy_list(MOE_POLICY_EVICT, &n);
    g_autoptr(moe_routing_file) file = random_trace(6, 4, true, true);
    for (size_t p = 0; p < n; p++) {
        for (uint32_t slots = 1; slots < 5; slots++) {
            for (moe_group group = MOE_GROUP_TOKEN_LAYER; group <= MOE_GROUP_TOKEN; group++) {
                for (moe_scope scope = MOE_SCOPE_MODEL; scope <= MOE_SCOPE_LAYER; scope++) {
                    moe_replay_config config = {.group = group, .scope = scope, .to = UINT32_MAX};
                    uint64_t accesses;
                    uint64_t misses =
                        count(moe_routing_get(file), config, list[p]->name, slots, &accesses);
                    MOE_CHECK(misses && misses <= accesses, "%s: %llu of %llu", list[p]->name,
                              (unsigned long long)misses, (unsigned long long)accesses);
                }
            }
        }
    }
}

static void
counts_the_sequences_asked_for(void)
{
    g_autoptr(moe_routing_file) file = random_trace(1, 2, false, false);
    const moe_routing *routing = moe_routing_get(file);
    moe_replay_config config = {.group = MOE_GROUP_ACCESS, .from = 1, .to = 3};
    uint64_t accesses, misses = count(routing, config, "lru", 30, &accesses);
    CU_ASSERT_EQUAL(accesses, 2 * LENGTH * LAYERS * 2);
    config.first_fill_hit = true;
    CU_ASSERT_EQUAL(count(routing, config, "lru", 30, &accesses), 0);
    config.group = MOE_GROUP_TOKEN_LAYER;
    CU_ASSERT_EQUAL(count(routing, config, "lru", 30, &accesses), 0);
    CU_ASSERT(misses > 0 && misses <= LAYERS * EXPERTS);
    config.from = config.to = 2;
    CU_ASSERT_EQUAL(count(routing, config, "belady", 4, &accesses), 0);
    CU_ASSERT_EQUAL(accesses, 0);
    config.group = MOE_GROUP_ACCESS;
    CU_ASSERT_EQUAL(count(routing, config, "belady", 4, &accesses), 0);
}

MOE_TESTS({"model", groups_match_the_model}, {"loop", residency_equals_the_loop},
          {"belady is the bound", nobody_beats_belady},
          {"lru by capacity", lru_never_loses_by_capacity}, {"large groups", large_groups_slide},
          {"sequences", counts_the_sequences_asked_for})
