/* What holds for every eviction policy of the registry, on random streams. */
#include "tests/property/policy_drive.h"
#include "tests/test.h"

static const struct {
    uint32_t n_objects, n_slots, n;
} shapes[] = {{1, 1, 20},    {5, 1, 200},   {8, 8, 200},    {12, 3, 400},
              {40, 10, 600}, {64, 63, 600}, {200, 37, 900}, {300, 128, 1200}};

static uint64_t
replay(const policy_config *policy, const sample *s, uint32_t n, uint32_t n_slots, uint64_t *fills)
{
    const moe_evict_ops *ops = policy->variant->ops;
    moe_evict_setup setup = {s->n_objects, n_slots, NULL, s->popularity};
    moe_evict_stream stream = {s->objects, n};
    return ops->replay(&setup, policy->config, &stream, fills);
}

typedef void property(const policy_config *policy, const sample *s, uint32_t n_slots);

static void
for_written(property *holds, const char *written)
{
    policy_config policy = policy_config_new(MOE_POLICY_EVICT, written);
    for (size_t i = 0; i < MOE_COUNT(shapes); i++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            sample s = sample_new(seed, shapes[i].n_objects, shapes[i].n);
            holds(&policy, &s, shapes[i].n_slots);
            sample_free(&s);
        }
    }
    policy_config_free(&policy);
}

/* Every policy with its defaults, and those whose rows change what they keep. */
static void
for_each(property *holds)
{
    size_t n;
    const moe_variant *const *list = moe_policy_list(MOE_POLICY_EVICT, &n);
    for (size_t p = 0; p < n; p++)
        for_written(holds, list[p]->name);
    for_written(holds, "{kind: lfu, counts: history}");
}

/* Over every prefix, so that each single access was a hit in both or a miss in both: a different
 * victim shows when either of the two is asked for again. */
static void
loop_equals_hooks(const policy_config *policy, const sample *s, uint32_t n_slots)
{
    drive d = drive_open(policy, s->n_objects, n_slots, s->popularity);
    for (uint32_t i = 0; i < s->n; i++) {
        drive_access(&d, s->objects[i], s->next_use[i]);
        uint64_t fills, misses = replay(policy, s, i + 1, n_slots, &fills);
        /* Only a complete stream has the future that the hooks were told. */
        if (((const moe_evict_ops *)policy->variant->ops)->needs & MOE_EVICT_NEXT_USE &&
            i + 1 < s->n)
            continue;
        if (misses != d.misses || fills != d.fills) {
            MOE_CHECK(false, "%s, %u of %u objects, access %u: loop %llu misses, hooks %llu",
                      policy->variant->name, n_slots, s->n_objects, i, (unsigned long long)misses,
                      (unsigned long long)d.misses);
            break;
        }
    }
    CU_PASS("same misses");
    drive_close(&d);
}

static void
loops_equal_hooks(void)
{
    for_each(loop_equals_hooks);
}

/* Random pins; a call in which all are pinned must change nothing: `plain` never sees one. */
static void
bar_holds(const policy_config *policy, const sample *s, uint32_t n_slots)
{
    drive d = drive_open(policy, s->n_objects, n_slots, s->popularity);
    drive plain = drive_open(policy, s->n_objects, n_slots, s->popularity);
    moe_stream stream = moe_stream_new(7, "test.pins", s->n);
    g_autofree uint16_t *pins = g_new(uint16_t, s->n_objects);
    g_autofree uint16_t *all = g_new(uint16_t, s->n_objects);
    for (uint32_t o = 0; o < s->n_objects; o++)
        all[o] = 1;
    const moe_evict_bar everything = {.pins = all};
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t object = s->objects[i];
        d.next_use[object] = plain.next_use[object] = s->next_use[i];
        if (d.resident[object]) {
            d.ops->hit(d.state, object);
            plain.ops->hit(plain.state, object);
            continue;
        }
        uint64_t share = moe_stream_below(&stream, 5);
        uint32_t free_ones = 0;
        for (uint32_t o = 0; o < s->n_objects; o++) {
            pins[o] = moe_stream_below(&stream, 4) < share;
            free_ones += d.resident[o] && !pins[o];
        }
        const moe_evict_bar bar = {.pins = pins};
        if (d.occupied == n_slots) {
            uint32_t none = d.ops->victim(d.state, object, &everything);
            MOE_CHECK(none == MOE_NONE, "%s evicts a pinned %u", policy->variant->name, none);
            uint32_t victim = drive_evict(&d, object, &bar);
            uint32_t other = drive_evict(&plain, object, &bar);
            MOE_CHECK(victim == other, "%s: %u, but %u after a call without effect",
                      policy->variant->name, victim, other);
            MOE_CHECK((victim == MOE_NONE) == !free_ones, "%s: %u with %u free",
                      policy->variant->name, victim, free_ones);
            MOE_CHECK(victim == MOE_NONE || !pins[victim], "%s evicts pinned %u",
                      policy->variant->name, victim);
            if (victim == MOE_NONE)
                continue;
        }
        drive_admit(&d, object);
        drive_admit(&plain, object);
    }
    drive_close(&d);
    drive_close(&plain);
}

static void
bars_hold(void)
{
    for_each(bar_holds);
}

/* The outlook's limit bars like a pin. */
static void
limit_holds(const policy_config *policy, const sample *s, uint32_t n_slots)
{
    drive d = drive_open(policy, s->n_objects, n_slots, s->popularity);
    g_autofree uint16_t *pins = g_new0(uint16_t, s->n_objects);
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t object = s->objects[i];
        d.next_use[object] = s->next_use[i];
        if (d.resident[object]) {
            d.ops->hit(d.state, object);
            continue;
        }
        if (d.occupied == n_slots) {
            const moe_evict_bar bar = {pins, d.next_use, i + 20};
            uint32_t victim = drive_evict(&d, object, &bar);
            if (victim == MOE_NONE)
                continue;
            MOE_CHECK(d.next_use[victim] > i + 20, "%s evicts %u, needed at %u, limit %u",
                      policy->variant->name, victim, d.next_use[victim], i + 20);
        }
        drive_admit(&d, object);
    }
    drive_close(&d);
}

static void
limits_hold(void)
{
    for_each(limit_holds);
}

/* Removals at random: victims stay residents (drive_evict asserts it), and the policy can be
 * emptied and filled again. */
static void
removal_holds(const policy_config *policy, const sample *s, uint32_t n_slots)
{
    drive d = drive_open(policy, s->n_objects, n_slots, s->popularity);
    moe_stream stream = moe_stream_new(9, "test.removals", s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        drive_access(&d, s->objects[i], s->next_use[i]);
        uint32_t object = s->objects[moe_stream_below(&stream, i + 1)];
        if (moe_stream_below(&stream, 3) == 0 && d.resident[object]) {
            d.ops->remove(d.state, object);
            d.resident[object] = false;
            d.occupied--;
        }
    }
    for (uint32_t o = 0; o < s->n_objects; o++) {
        if (d.resident[o]) {
            d.ops->remove(d.state, o);
            d.resident[o] = false;
            d.occupied--;
        }
    }
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t o = 0; o < s->n_objects; o++)
            drive_access(&d, o, MOE_NONE);
    MOE_CHECK(d.occupied == MIN(n_slots, s->n_objects), "%s: %u residents after filling again",
              policy->variant->name, d.occupied);
    drive_close(&d);
}

static void
removals_hold(void)
{
    for_each(removal_holds);
}

static void
belady_is_the_bound(const policy_config *policy, const sample *s, uint32_t n_slots)
{
    policy_config belady = policy_config_new(MOE_POLICY_EVICT, "belady");
    uint64_t fills, best = replay(&belady, s, s->n, n_slots, &fills);
    uint64_t misses = replay(policy, s, s->n, n_slots, &fills);
    MOE_CHECK(best <= misses, "%s misses %llu times, belady %llu", policy->variant->name,
              (unsigned long long)misses, (unsigned long long)best);
    policy_config_free(&belady);
}

static void
nobody_beats_belady(void)
{
    for_each(belady_is_the_bound);
}

/* Past random pins, too: of those that may leave, the farthest for belady, the one used longest
 * ago for lru, and the one admitted longest ago for fifo. */
static void
best_of_the_free_leaves(void)
{
    static const char *const names[] = {"belady", "lru", "fifo"};
    enum { OBJECTS = 50, SLOTS = 20, ACCESSES = 2000 };
    sample s = sample_new(4, OBJECTS, ACCESSES);
    for (size_t p = 0; p < MOE_COUNT(names); p++) {
        policy_config policy = policy_config_new(MOE_POLICY_EVICT, names[p]);
        drive d = drive_open(&policy, OBJECTS, SLOTS, s.popularity);
        moe_stream stream = moe_stream_new(5, "test.pins", 0);
        uint32_t key[OBJECTS] = {0}; /* the largest among the free leaves */
        for (uint32_t i = 0; i < ACCESSES; i++) {
            uint32_t object = s.objects[i];
            bool hit = d.resident[object];
            d.next_use[object] = s.next_use[i];
            if (hit)
                d.ops->hit(d.state, object);
            if (!hit && d.occupied == SLOTS) {
                uint16_t pins[OBJECTS];
                uint32_t best = MOE_NONE;
                for (uint32_t o = 0; o < OBJECTS; o++) {
                    pins[o] = moe_stream_below(&stream, 3) > 0;
                    if (d.resident[o] && !pins[o] && (best == MOE_NONE || key[o] > key[best]))
                        best = o;
                }
                const moe_evict_bar bar = {.pins = pins};
                uint32_t victim = drive_evict(&d, object, &bar);
                bool equal = victim == best ||
                             (victim != MOE_NONE && best != MOE_NONE && key[victim] == key[best]);
                MOE_CHECK(equal, "%s, access %u: %u leaves, %u should", names[p], i, victim, best);
                if (victim == MOE_NONE)
                    continue;
            }
            if (!hit)
                drive_admit(&d, object);
            if (p == 0)
                key[object] = s.next_use[i];
            if (p == 1 || (p == 2 && !hit))
                key[object] = ACCESSES - i;
        }
        drive_close(&d);
        policy_config_free(&policy);
    }
    sample_free(&s);
}

/* Nothing pinned: of the residents, the one with the fewest uses leaves, and of equals the one used
 * longest ago; with a history the uses before its last eviction count, too. */
static void
fewest_uses_leave(void)
{
    enum { OBJECTS = 30, SLOTS = 9, ACCESSES = 1500 };
    sample s = sample_new(6, OBJECTS, ACCESSES);
    for (int history = 0; history < 2; history++) {
        policy_config policy =
            policy_config_new(MOE_POLICY_EVICT, history ? "{kind: lfu, counts: history}" : "lfu");
        drive d = drive_open(&policy, OBJECTS, SLOTS, s.popularity);
        uint32_t uses[OBJECTS] = {0}, last[OBJECTS] = {0};
        for (uint32_t i = 0; i < ACCESSES; i++) {
            uint32_t object = s.objects[i], best = MOE_NONE;
            bool hit = d.resident[object];
            for (uint32_t o = 0; o < OBJECTS && !hit && d.occupied == SLOTS; o++)
                if (d.resident[o] && (best == MOE_NONE || uses[o] < uses[best] ||
                                      (uses[o] == uses[best] && last[o] < last[best])))
                    best = o;
            uint32_t victim = best == MOE_NONE ? MOE_NONE : drive_evict(&d, object, NULL);
            MOE_CHECK(victim == best, "%s, access %u: %u leaves, %u should",
                      history ? "history" : "cache", i, victim, best);
            if (hit)
                d.ops->hit(d.state, object);
            else
                drive_admit(&d, object);
            if (!history && best != MOE_NONE)
                uses[best] = 0;
            uses[object]++;
            last[object] = i;
        }
        drive_close(&d);
        policy_config_free(&policy);
    }
    sample_free(&s);
}

static void
lru_never_loses_by_capacity(void)
{
    policy_config lru = policy_config_new(MOE_POLICY_EVICT, "lru");
    for (uint64_t seed = 1; seed <= 4; seed++) {
        sample s = sample_new(seed, 100, 3000);
        uint64_t fills, before = UINT64_MAX;
        for (uint32_t slots = 1; slots <= 100; slots++) {
            uint64_t misses = replay(&lru, &s, s.n, slots, &fills);
            MOE_CHECK(misses <= before, "%u slots: %llu misses, one less: %llu", slots,
                      (unsigned long long)misses, (unsigned long long)before);
            before = misses;
        }
        sample_free(&s);
    }
    policy_config_free(&lru);
}

/* Two states that take turns decide as each would alone. */
static void
states_are_apart(const policy_config *policy, const sample *s, uint32_t n_slots)
{
    drive alone = drive_open(policy, s->n_objects, n_slots, s->popularity);
    drive a = drive_open(policy, s->n_objects, n_slots, s->popularity);
    drive b = drive_open(policy, s->n_objects, n_slots, s->popularity);
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t victim = drive_access(&alone, s->objects[i], s->next_use[i]);
        uint32_t same = drive_access(&a, s->objects[i], s->next_use[i]);
        drive_access(&b, s->objects[s->n - 1 - i], i);
        MOE_CHECK(victim == same, "%s: victim %u alone, %u beside another", policy->variant->name,
                  victim, same);
    }
    drive_close(&alone);
    drive_close(&a);
    drive_close(&b);
}

static void
states_do_not_meet(void)
{
    for_each(states_are_apart);
}

MOE_TESTS({"loop = hooks", loops_equal_hooks}, {"bars", bars_hold}, {"limits", limits_hold},
          {"removals", removals_hold}, {"belady is the bound", nobody_beats_belady},
          {"best of the free", best_of_the_free_leaves}, {"fewest uses leave", fewest_uses_leave},
          {"lru by capacity", lru_never_loses_by_capacity}, {"states", states_do_not_meet})
