/* What runs count, whatever the policies: sums that must hold, and the orders that theory gives
 * (Belady, LRU's inclusion), against the demand and against sim/residency without a clock. */
#include "sim/machine/schedule.h"
#include "sim/policy/policy.h"
#include "tests/unit/machine_fixture.h"

#include <math.h>

/* The columns of table "residency" for tier 0, and what the metrics say of loads. */
typedef struct counts {
    uint64_t hits, late, misses, fills, admits, evictions, prefetches, refused, wasted;
    double loads, load_bytes, prefetch_loads, prefetch_accuracy, hit_rate;
} counts;

static counts
counts_of(const moe_scenario *scenario, size_t i)
{
    moe_result *result = moe_scenario_simulate(scenario, i, NULL, NULL, NULL);
    counts c = {
        .loads = moe_result_metric(result, "loads"),
        .load_bytes = moe_result_metric(result, "load_bytes"),
        .prefetch_loads = moe_result_metric(result, "prefetch_loads"),
        .prefetch_accuracy = moe_result_metric(result, "prefetch_accuracy"),
        .hit_rate = moe_result_metric(result, "hit_rate"),
    };
    for (size_t t = 0; t < moe_result_tables(result); t++) {
        if (strcmp(moe_result_table(result, t), "residency") != 0)
            continue;
        size_t n;
        const moe_cell *row = moe_result_row(result, t, 0, &n);
        uint64_t *into = &c.hits;
        for (size_t k = 1; k < n; k++)
            into[k - 1] = (uint64_t)row[k].integer;
    }
    moe_result_free(result);
    return c;
}

static char *
which(const moe_run *run)
{
    GString *text = g_string_new(NULL);
    for (size_t k = 0; k < run->n_swept; k++)
        g_string_append_printf(text, "%s=%s ", run->keys[k], run->values[k]);
    return g_string_free(text, false);
}

static char *
policies(moe_policy_kind kind)
{
    size_t n;
    const moe_variant *const *all = moe_policy_list(kind, &n);
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(out, "%s%s", i ? ", " : "", all[i]->name);
    return g_string_free(out, false);
}

#define MIXTRAL                                                                                    \
    "model: mixtral-8x7b\n"                                                                        \
    "hardware: desktop-rtx4090\n"                                                                  \
    "precision: {experts: int4}\n"                                                                 \
    "routing: {profile: 1, synthetic: {sequences: 4, prompt: 2, output: 4, skew: 0.7,"             \
    " stickiness: 0.3, affinity: 0.2, lookahead: 1, recall: 0.7}}\n"
#define SWITCH                                                                                     \
    "model: switch-base-8\n"                                                                       \
    "hardware: desktop-rtx4090\n"                                                                  \
    "routing: {profile: 1, synthetic: {sequences: 6, prompt: 0, output: 20, skew: 0.7,"            \
    " stickiness: 0.3, affinity: 0.2}}\n"                                                          \
    "workload: {prompt: 0}\n"

/* ---- sums ---- */

static uint64_t
demanded(const moe_schedule *schedule)
{
    const moe_demand *d = &schedule->demand;
    return d->first[moe_demand_group(d, d->n_steps, 0)] -
           d->first[moe_demand_group(d, schedule->measured, 0)];
}

static void
check_sums(const moe_scenario *scenario, size_t i)
{
    const moe_plan *plan = &scenario->runs[i].plan;
    const moe_config *config = plan->config;
    bool ahead = strcmp(config->experts.prefetch.variant->name, "none") != 0;
    g_autofree char *name = which(moe_scenario_run(scenario, i));
    counts c = counts_of(scenario, i);
    MOE_CHECK(c.hits + c.late + c.misses == demanded(plan->schedule),
              "%s: %llu hits, %llu late, %llu misses; %llu demanded", name,
              (unsigned long long)c.hits, (unsigned long long)c.late, (unsigned long long)c.misses,
              (unsigned long long)demanded(plan->schedule));
    double hit_rate = (double)(c.hits + c.late) / (double)demanded(plan->schedule);
    MOE_CHECK(fabs(c.hit_rate - hit_rate) < 1e-12, "%s: a hit rate of %g, not %g", name, c.hit_rate,
              hit_rate);
    MOE_CHECK(c.loads == (double)c.misses + c.prefetch_loads,
              "%s: %g loads, %llu misses, %g prefetched", name, c.loads,
              (unsigned long long)c.misses, c.prefetch_loads);
    MOE_CHECK((double)c.admits == c.loads && (double)c.prefetches == c.prefetch_loads,
              "%s: %llu admitted, %llu by prefetch", name, (unsigned long long)c.admits,
              (unsigned long long)c.prefetches);
    MOE_CHECK(c.prefetch_loads == 0 || (c.prefetch_accuracy >= 0 && c.prefetch_accuracy <= 1),
              "%s: a prefetch accuracy of %g", name, c.prefetch_accuracy);
    double bytes = c.loads * (double)plan->expert_bytes;
    if (!ahead)
        MOE_CHECK(c.load_bytes == bytes && c.late == 0 && c.wasted == 0,
                  "%s: %g bytes in %g loads of %lld, %llu late, %llu wasted", name, c.load_bytes,
                  c.loads, (long long)plan->expert_bytes, (unsigned long long)c.late,
                  (unsigned long long)c.wasted);
    else if (plan->schedule->measured == 0)
        MOE_CHECK(c.load_bytes <= bytes, "%s: %g bytes in %g loads", name, c.load_bytes, c.loads);
}

static void
check_sums_of(const char *sweep)
{
    g_autofree char *text = g_strconcat(MIXTRAL "experts: {home: dram}\n", sweep, NULL);
    g_autoptr(moe_scenario) scenario = fixture_load(text);
    for (size_t i = 0; scenario && i < moe_scenario_runs(scenario); i++)
        check_sums(scenario, i);
}

static void
sums(void)
{
    g_autofree char *evict = policies(MOE_POLICY_EVICT), *prefetch = policies(MOE_POLICY_PREFETCH);
    g_autofree char *kinds = g_strdup_printf("sweep:\n"
                                             "  experts.cache.evict: [%s]\n"
                                             "  experts.prefetch.kind: [%s]\n"
                                             "  experts.cache.capacity: [5 slots]\n",
                                             evict, prefetch);
    check_sums_of(kinds);
    check_sums_of("sweep:\n"
                  "  experts.prefetch.kind: [none, next-layer, whole-next-layer]\n"
                  "  experts.predict.kind: [recorded]\n"
                  "  experts.retention: [cache, none]\n"
                  "  experts.granularity: [layer, expert]\n"
                  "  workload.batch: [1, 3]\n"
                  "  workload.warmup: [0, 1]\n");
    check_sums_of("sweep:\n"
                  "  experts.join: [wanted]\n"
                  "  experts.prefetch.kind: [none, next-layer, whole-next-layer]\n"
                  "  experts.predict.kind: [oracle, recorded]\n"
                  "  experts.cache.capacity: [3 slots, 0.25]\n"
                  "  workload.batch: [1, 3]\n");
}

/* ---- replays without a clock ---- */

/* One group as the machine takes it: members that are there first, then misses in order; as many
 * at once as there are slots for, all of a wave (or one member, with granularity `expert`) being
 * computed before the next. */
static void
replay_group(moe_residency *residency, const moe_plan *plan, uint32_t group, counts *c)
{
    const moe_demand *d = &plan->schedule->demand;
    uint64_t first = d->first[group];
    uint32_t n = moe_demand_size(d, group), layer = group % d->n_layers, queue[64], held = 0, q = 0;
    uint32_t objects[64];
    uint8_t outcomes[64];
    bool whole = plan->config->experts.granularity == MOE_GRANULARITY_LAYER;
    for (uint32_t i = 0; i < n; i++)
        objects[i] = layer * d->n_experts + d->expert[first + i];
    moe_residency_begin(residency, objects, d->next_use + first, n, outcomes);
    for (uint8_t outcome = MOE_HIT; outcome <= MOE_MISS; outcome++)
        for (uint32_t i = 0; i < n; i++)
            if (outcomes[i] == outcome)
                queue[q++] = objects[i];
    for (uint32_t i = 0; i < n; i++) {
        c->hits += outcomes[i] == MOE_HIT;
        c->misses += outcomes[i] == MOE_MISS;
    }
    for (uint32_t i = 0; i < n; i++) {
        moe_admission admission;
        while (moe_residency_where(residency, 0, queue[i]) == MOE_ABSENT) {
            if (moe_residency_admit(residency, queue[i], &admission) == MOE_ADMITTED) {
                moe_residency_arrived(residency, 0, queue[i]);
                break;
            }
            do
                moe_residency_release(residency, queue[held++]);
            while (whole && held < i);
        }
    }
    while (held < n)
        moe_residency_release(residency, queue[held++]);
    for (uint32_t e = 0; e < d->n_experts && plan->config->experts.retention; e++)
        if (moe_residency_where(residency, 0, layer * d->n_experts + e) == MOE_RESIDENT)
            moe_residency_remove(residency, layer * d->n_experts + e);
}

static counts
replay(const moe_plan *plan)
{
    const moe_demand *d = &plan->schedule->demand;
    moe_residency_config config = {.n_layers = d->n_layers,
                                   .n_experts = d->n_experts,
                                   .n_tiers = 1,
                                   .tiers = {plan->tiers[0]},
                                   .popularity = plan->schedule->popularity};
    moe_residency *residency = moe_residency_new(&config);
    counts c = {0};
    for (uint32_t step = 0; step < d->n_steps; step++) {
        if (step == plan->schedule->measured)
            c = (counts){0};
        for (uint32_t l = 0; l < d->n_layers; l++)
            replay_group(residency, plan, moe_demand_group(d, step, l), &c);
    }
    moe_residency_free(residency);
    return c;
}

static void
check_replays(const char *base, const char *sweep)
{
    g_autofree char *evict = policies(MOE_POLICY_EVICT);
    g_autofree char *text = g_strdup_printf("%s"
                                            "experts: {home: dram}\n"
                                            "sweep:\n"
                                            "  experts.cache.evict: [%s]\n"
                                            "%s",
                                            base, evict, sweep);
    g_autoptr(moe_scenario) scenario = fixture_load(text);
    for (size_t i = 0; scenario && i < moe_scenario_runs(scenario); i++) {
        counts run = counts_of(scenario, i), alone = replay(&scenario->runs[i].plan);
        g_autofree char *name = which(moe_scenario_run(scenario, i));
        MOE_CHECK(run.hits + run.late == alone.hits && run.misses == alone.misses,
                  "%s: %llu hits and %llu late, %llu misses; replayed: %llu hits, %llu misses",
                  name, (unsigned long long)run.hits, (unsigned long long)run.late,
                  (unsigned long long)run.misses, (unsigned long long)alone.hits,
                  (unsigned long long)alone.misses);
    }
}

static void
replays(void)
{
    check_replays(MIXTRAL, "  workload.batch: [1, 3]\n"
                           "  experts.granularity: [layer, expert]\n"
                           "  experts.cache.capacity: [1 slots, 3 slots, 0.375]\n");
    check_replays(SWITCH, "  experts.cache.scope: [layer]\n"
                          "  experts.cache.capacity: [1 slots, 2 slots, 5 slots]\n"
                          "  experts.retention: [cache, none]\n"
                          "  workload.batch: [1, 3]\n"
                          "  workload.warmup: [0, 2]\n");
}

/* ---- orders ---- */

/* All runs of `text` with one value of the last swept key after the other, in groups of `n`: each
 * has at most as many misses as the one before. */
static void
check_falling(const char *text, size_t n)
{
    g_autoptr(moe_scenario) scenario = fixture_load(text);
    uint64_t before = 0;
    for (size_t i = 0; scenario && i < moe_scenario_runs(scenario); i++) {
        g_autofree char *name = which(moe_scenario_run(scenario, i));
        counts c = counts_of(scenario, i);
        MOE_CHECK(i % n == 0 || c.misses <= before, "%s: %llu misses, before %llu", name,
                  (unsigned long long)c.misses, (unsigned long long)before);
        before = c.misses;
    }
}

static void
lru_falls(void)
{
    check_falling(SWITCH "experts: {home: dram, cache: {scope: layer}}\n"
                         "sweep:\n"
                         "  workload.batch: [1, 3]\n"
                         "  seed: [1, 2]\n"
                         "  experts.cache.capacity: [1 slots, 2 slots, 3 slots, 4 slots, 5 slots,"
                         " 6 slots, 7 slots, 8 slots]\n",
                  8);
    check_falling(MIXTRAL "experts: {home: dram}\n"
                          "sweep:\n"
                          "  workload.batch: [1, 3]\n"
                          "  experts.cache.capacity: [1 slots, 2 slots, 3 slots, 4 slots, 6 slots,"
                          " 9 slots, 16 slots, 33 slots, 64 slots, 128 slots]\n",
                  10);
}

/* Among runs in groups of one more than there are policies, the first of each with Belady's. */
static void
check_least(const char *base, const char *sweep)
{
    g_autofree char *evict = policies(MOE_POLICY_EVICT);
    g_autofree char *text = g_strdup_printf("%s"
                                            "experts: {home: dram}\n"
                                            "sweep:\n"
                                            "%s"
                                            "  experts.cache.evict: [belady, %s]\n",
                                            base, sweep, evict);
    g_autoptr(moe_scenario) scenario = fixture_load(text);
    size_t n = moe_policy_counts[MOE_POLICY_EVICT] + 1;
    uint64_t least = 0;
    for (size_t i = 0; scenario && i < moe_scenario_runs(scenario); i++) {
        counts c = counts_of(scenario, i);
        g_autofree char *name = which(moe_scenario_run(scenario, i));
        if (i % n == 0)
            least = c.misses;
        MOE_CHECK(c.misses >= least, "%s: %llu misses, Belady %llu", name,
                  (unsigned long long)c.misses, (unsigned long long)least);
    }
}

/* Where groups fit their slots. (Of a group that does not, each member makes room as its turn
 * comes, and no choice is left to the policy.) */
static void
belady_is_least(void)
{
    check_least(SWITCH,
                "  experts.cache.scope: [layer]\n"
                "  workload.batch: [1]\n"
                "  experts.cache.capacity: [1 slots, 2 slots, 3 slots, 5 slots, 7 slots]\n");
    check_least(SWITCH, "  experts.cache.scope: [model, layer]\n"
                        "  workload.batch: [3]\n"
                        "  experts.cache.capacity: [3 slots, 5 slots]\n");
    check_least(MIXTRAL, "  workload.batch: [1, 3]\n"
                         "  experts.cache.capacity: [8 slots, 0.375, 0.75]\n");
}

MOE_TESTS({"sums", sums}, {"replays without a clock", replays}, {"LRU falls with room", lru_falls},
          {"Belady is least", belady_is_least})
