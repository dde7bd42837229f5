/* The fewest loads any policy can do, against an exhaustive search over what it could keep.
 *
 * A state is the set of objects kept between two groups, a bit mask. From state K through group G a
 * policy loads G without K, and keeps any subset of K and G of at most as many as there are slots
 * (bypass: it need not keep what it loads; slots that hold experts while they are computed are not
 * counted, which can only help). */
#include "tests/unit/machine_fixture.h"

#define MAX_OBJECTS 8
#define STATES (1u << MAX_OBJECTS)
#define FAR 1000000u

typedef struct search {
    const moe_schedule *schedule;
    uint32_t n_objects, slots;
    int layer; /* -1: all layers in one pool */
    uint32_t cost[STATES];
} search;

static uint32_t
group_mask(const search *s, uint32_t step, uint32_t layer)
{
    const moe_demand *d = &s->schedule->demand;
    uint32_t g = moe_demand_group(d, step, layer), mask = 0;
    for (uint64_t i = d->first[g]; i < d->first[g + 1]; i++)
        mask |= 1u << (s->layer < 0 ? layer * d->n_experts + d->expert[i] : d->expert[i]);
    return mask;
}

static void
through_group(search *s, uint32_t group)
{
    uint32_t next[STATES];
    for (uint32_t k = 0; k < STATES; k++)
        next[k] = FAR;
    for (uint32_t k = 0; k < 1u << s->n_objects; k++) {
        if (s->cost[k] == FAR)
            continue;
        uint32_t all = k | group;
        uint32_t cost = s->cost[k] + (uint32_t)__builtin_popcount(group & ~k);
        for (uint32_t kept = all;; kept = (kept - 1) & all) {
            if ((uint32_t)__builtin_popcount(kept) <= s->slots)
                next[kept] = MIN(next[kept], cost);
            if (kept == 0)
                break;
        }
    }
    memcpy(s->cost, next, sizeof next);
}

/* Anything may be resident from here on, at the price of the cheapest state. */
static void
forget_state(search *s, bool empty)
{
    uint32_t least = FAR;
    for (uint32_t k = 0; k < STATES; k++)
        least = MIN(least, s->cost[k]);
    for (uint32_t k = 0; k < STATES; k++)
        s->cost[k] = (uint32_t)__builtin_popcount(k) <= (empty ? 0 : s->slots) ? least : FAR;
}

/* Loads of the cheapest policy for one pool. What it does in steps that do not count is free, and
 * may leave anything resident. */
static uint64_t
least_of_pool(search *s, bool decode_only)
{
    const moe_schedule *schedule = s->schedule;
    memset(s->cost, 0, sizeof s->cost);
    forget_state(s, schedule->measured == 0);
    for (uint32_t step = schedule->measured; step < schedule->n_steps; step++) {
        if (decode_only && schedule->steps[step].phase != MOE_DECODE) {
            forget_state(s, false);
            continue;
        }
        for (uint32_t l = 0; l < schedule->demand.n_layers; l++)
            if (s->layer < 0 || s->layer == (int)l)
                through_group(s, group_mask(s, step, l));
    }
    forget_state(s, false);
    return s->cost[0];
}

static uint64_t
least_by_search(const moe_schedule *schedule, bool per_layer, uint32_t slots, bool decode_only)
{
    search s = {.schedule = schedule, .slots = slots, .layer = -1};
    s.n_objects = schedule->demand.n_layers * schedule->demand.n_experts;
    if (!per_layer)
        return least_of_pool(&s, decode_only);
    uint64_t sum = 0;
    s.n_objects = schedule->demand.n_experts;
    for (s.layer = 0; s.layer < (int)schedule->demand.n_layers; s.layer++)
        sum += least_of_pool(&s, decode_only);
    return sum;
}

typedef struct instance {
    fixture_trace trace;
    const char *workload;
} instance;

static const instance instances[] = {
    {{1, 4, 1, "dddddddd", 0, 0}, "{}"},
    {{1, 6, 2, "dddddd", 0, 0.2}, "{}"},
    {{2, 3, 1, "dddddd", 0, 0}, "{}"},
    {{2, 4, 2, "dddd dd", 0, 0.1}, "{batch: 2}"},
    {{1, 8, 2, "ddd ddd ddd", 0, 0}, "{batch: 3}"},
    {{2, 3, 2, "pddd ppdd pd", 0, 0}, "{}"},
    {{1, 5, 2, "pdd ppdd pddd pd", 0, 0.1}, "{batch: 2}"},
    {{2, 4, 1, "ddd dd d dd", 0, 0}, "{warmup: 2}"},
    {{1, 6, 2, "pdd ddd pdd pdd", 0, 0}, "{warmup: 1, batch: 2}"},
};

/* From an empty cache the bound is the optimum. */
static void
check_exact(const moe_schedule *schedule, bool per_layer, uint32_t slots)
{
    uint64_t least = least_by_search(schedule, per_layer, slots, false);
    uint64_t bound = moe_schedule_least_loads(schedule, per_layer, slots, false);
    MOE_CHECK(bound == least, "%u slots%s: bound %llu, optimum %llu", slots,
              per_layer ? " per layer" : "", (unsigned long long)bound, (unsigned long long)least);
}

/* Where the start is unknown it is never above the optimum, and below it by at most the slots. */
static void
check_below(const moe_schedule *schedule, bool per_layer, uint32_t slots, bool decode_only)
{
    uint64_t least = least_by_search(schedule, per_layer, slots, decode_only);
    uint64_t bound = moe_schedule_least_loads(schedule, per_layer, slots, decode_only);
    MOE_CHECK(bound <= least, "%u slots%s%s: bound %llu, optimum %llu", slots,
              per_layer ? " per layer" : "", decode_only ? ", decode only" : "",
              (unsigned long long)bound, (unsigned long long)least);
    uint64_t starts = schedule->measured > 0;
    for (uint32_t s = schedule->measured; s < schedule->n_steps && decode_only; s++)
        starts += schedule->steps[s].phase != MOE_DECODE;
    uint64_t pools = per_layer ? schedule->demand.n_layers : 1;
    MOE_CHECK(bound + starts * slots * pools >= least, "%u slots: bound %llu, optimum %llu", slots,
              (unsigned long long)bound, (unsigned long long)least);
}

static void
against_search(void)
{
    for (uint64_t i = 0; i < MOE_COUNT(instances) * 12; i++) {
        instance c = instances[i % MOE_COUNT(instances)];
        c.trace.seed = i;
        g_autofree char *keys = g_strdup_printf("workload: %s\n", c.workload);
        fixture_schedule made = fixture_lay_out(&c.trace, keys, false);
        MOE_CHECK(made.schedule, "%s", made.messages);
        for (uint32_t slots = 1; made.schedule && slots <= 5; slots++)
            for (int per_layer = 0; per_layer < 2; per_layer++) {
                if (made.schedule->measured == 0)
                    check_exact(made.schedule, per_layer, slots);
                check_below(made.schedule, per_layer, slots, false);
                check_below(made.schedule, per_layer, slots, true);
            }
        fixture_clear(&made);
    }
}

/* Known by hand: experts 0 1 2 0 1 2 … through two slots. */
static void
cyclic(void)
{
    moe_routing_builder *builder = moe_routing_builder_new(1, 3, 1);
    for (uint32_t i = 0; i < 9; i++) {
        uint16_t id = (uint16_t)(i % 3);
        moe_routing_builder_add(builder, 0, i, MOE_DECODE, &id, NULL);
    }
    moe_routing_file *file = moe_routing_builder_finish(builder, "cyclic");
    g_autoptr(moe_settings) settings = moe_settings_new(&moe_config_table);
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_schedule *schedule = moe_schedule_new(moe_routing_get(file), moe_settings_data(settings),
                                              NULL, false, (moe_loc){0}, diag);
    /* one slot keeps one object for good (two later uses), two slots keep two */
    static const uint64_t least[] = {9 - 2, 9 - 4, 9 - 6, 9 - 6};
    for (uint32_t slots = 1; slots <= 4; slots++) {
        uint64_t got = moe_schedule_least_loads(schedule, false, slots, false);
        MOE_CHECK(got == least[slots - 1], "%u slots: %llu, not %llu", slots,
                  (unsigned long long)got, (unsigned long long)least[slots - 1]);
    }
    moe_schedule_free(schedule);
    moe_routing_close(file);
}

MOE_TESTS({"against an exhaustive search", against_search}, {"cyclic", cyclic})
