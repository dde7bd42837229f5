/* A run resolved: slots, memory accounts, the way of loads, and the messages when it cannot be. */
#include "sim/machine/lower.h"
#include "tests/unit/machine_fixture.h"

/* Mixtral-8x7B: 32 layers of 8 experts of 3 x 4096 x 14336 weights; 46 702 792 704 parameters. */
#define LAYERS 32
#define EXPERTS 8
#define EXPERT_PARAMS (3ll * 4096 * 14336)
#define TOTAL_PARAMS 46702792704ll

#define MIXTRAL                                                                                    \
    "model: mixtral-8x7b\n"                                                                        \
    "hardware: desktop-rtx4090\n"                                                                  \
    "precision: {experts: int4}\n"                                                                 \
    "routing: {synthetic: {sequences: 2, prompt: 5, output: 6}}\n"

static const moe_plan *
plan_of(const moe_scenario *scenario)
{
    return &scenario->runs[0].plan;
}

static int64_t
account(const moe_plan *plan, const char *place, const char *name)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < plan->n_accounts; i++)
        if (!strcmp(plan->hw->places[plan->accounts[i].place].name, place) &&
            !strcmp(plan->accounts[i].name, name))
            bytes += plan->accounts[i].bytes;
    return bytes;
}

typedef struct slots_case {
    const char *capacity, *scope;
    uint32_t slots, total;
} slots_case;

static const slots_case slots_cases[] = {
    {"25%", "model", 64, 64},    {"25%", "layer", 2, 64},
    {"0.25", "layer", 2, 64},    {"12.5%", "layer", 1, 32},
    {"24.9%", "layer", 1, 32},   {"30%", "layer", 2, 64},
    {"10%", "model", 25, 25},    {"0.4%", "model", 1, 1},
    {"7 slots", "model", 7, 7},  {"1 slot", "model", 1, 1},
    {"3 slots", "layer", 3, 96}, {"1GiB", "model", 12, 12}, /* 12.19 experts of 84 MiB */
    {"84MiB", "model", 1, 1},                               /* exactly one */
    {"2688MiB", "layer", 1, 32},                            /* exactly one in each layer */
    {"10GiB", "layer", 3, 96},                              /* 3.81 in each layer */
    {"rest", "model", 249, 249},                            /* see `rest` below */
    {"rest", "layer", 7, 224},
};

static void
slots(void)
{
    for (size_t i = 0; i < MOE_COUNT(slots_cases); i++) {
        const slots_case *c = &slots_cases[i];
        g_autofree char *text =
            g_strdup_printf(MIXTRAL "experts: {home: dram, cache: {capacity: %s, scope: %s}}\n",
                            c->capacity, c->scope);
        g_autoptr(moe_scenario) scenario = fixture_load(text);
        if (!scenario)
            continue;
        const moe_plan *plan = plan_of(scenario);
        MOE_CHECK(plan->n_tiers == 1 && plan->tiers[0].slots == c->slots &&
                      plan->total_slots[0] == c->total,
                  "%s, scope %s: %u slots, %u in all; not %u, %u", c->capacity, c->scope,
                  plan->tiers[0].slots, plan->total_slots[0], c->slots, c->total);
        MOE_CHECK(account(plan, "hbm", "expert slots") == c->total * EXPERT_PARAMS / 2, "%s",
                  c->capacity);
    }
}

/* n of m slots written as a share are n, whatever the rounding of n / m: 0.35 x 1440 comes out
 * below 504. */
static void
shares_are_exact(void)
{
    g_autoptr(GString) text =
        g_string_new("model: qwen1.5-moe-a2.7b\n"
                     "hardware: server-h100\n"
                     "routing: {synthetic: {sequences: 1, prompt: 2, output: 2}}\n"
                     "experts: {home: dram}\n"
                     "sweep:\n"
                     "  experts.cache.capacity: [1%");
    for (int percent = 2; percent <= 100; percent++)
        g_string_append_printf(text, ", %d%%", percent);
    g_string_append(text, "]\n");
    g_autoptr(moe_scenario) scenario = fixture_load(text->str);
    for (uint32_t i = 0; scenario && i < moe_scenario_runs(scenario); i++)
        MOE_CHECK(scenario->runs[i].plan.tiers[0].slots == (i + 1) * 24 * 60 / 100,
                  "%u%% of 1440: %u slots", i + 1, scenario->runs[i].plan.tiers[0].slots);
}

/* KV cache: 2 x 8 heads x 128 values of 2 bytes per token and layer. */
static void
accounts(void)
{
    g_autoptr(moe_scenario) scenario =
        fixture_load(MIXTRAL "workload: {requests: 5, prompt: 30, output: 10, batch: 2}\n"
                             "experts: {home: flash, cache: {capacity: 5 slots},"
                             " staging: [{place: dram, capacity: 3 slots, scope: layer}]}\n");
    if (!scenario)
        return;
    const moe_plan *plan = plan_of(scenario);
    int64_t expert = EXPERT_PARAMS / 2;
    int64_t weights = 2 * (TOTAL_PARAMS - LAYERS * EXPERTS * EXPERT_PARAMS);
    int64_t kv = 2 * 40 * LAYERS * 2 * 8 * 128 * 2;
    int64_t activations = 60 * (4 * 4096 + 2 * 14336) * 2 + 2 * 32000 * 4;
    const struct {
        const char *place, *name;
        int64_t bytes;
    } wanted[] = {{"hbm", "weights", weights},
                  {"hbm", "KV cache", kv},
                  {"hbm", "activations", activations},
                  {"hbm", "expert slots", 5 * expert},
                  {"dram", "expert slots", 3 * LAYERS * expert},
                  {"flash", "experts", LAYERS * EXPERTS * expert}};
    for (size_t i = 0; i < MOE_COUNT(wanted); i++) {
        int64_t got = account(plan, wanted[i].place, wanted[i].name);
        MOE_CHECK(got == wanted[i].bytes, "%s in %s: %lld bytes, not %lld", wanted[i].name,
                  wanted[i].place, (long long)got, (long long)wanted[i].bytes);
    }
    MOE_CHECK(plan->n_accounts == MOE_COUNT(wanted), "%zu accounts", plan->n_accounts);
    MOE_CHECK(plan->expert_bytes == expert, "%lld bytes", (long long)plan->expert_bytes);
    MOE_CHECK(moe_plan_static_bytes(plan, plan->device_place) == weights + kv + activations,
              "static bytes");
}

/* `rest` fills its place up to less than one more round of slots. */
static void
rest(void)
{
    static const char *const scopes[] = {"model", "layer"};
    for (size_t i = 0; i < MOE_COUNT(scopes); i++) {
        g_autofree char *text = g_strdup_printf(
            MIXTRAL "experts: {home: dram, cache: {capacity: rest, scope: %s}}\n", scopes[i]);
        g_autoptr(moe_scenario) scenario = fixture_load(text);
        if (!scenario)
            continue;
        const moe_plan *plan = plan_of(scenario);
        const moe_place *hbm = &plan->hw->places[plan->device_place];
        int64_t used =
            moe_plan_static_bytes(plan, plan->device_place) + account(plan, "hbm", "expert slots");
        int64_t left = hbm->capacity - hbm->reserved - used;
        int64_t round = plan->expert_bytes * (i ? LAYERS : 1);
        MOE_CHECK(left >= 0 && left < round, "%s: %lld bytes left", scopes[i], (long long)left);
    }
}

/* A sliding window bounds the KV cache: gpt-oss-20b has 12 layers of 128 tokens, 12 full ones, of
 * 2 x 8 heads x 64 values each. */
static void
sliding_windows(void)
{
    g_autoptr(moe_scenario) scenario =
        fixture_load("model: gpt-oss-20b\n"
                     "hardware: server-a100-80\n"
                     "routing: {synthetic: {sequences: 3, prompt: 50, output: 450}}\n"
                     "workload: {prompt: 50, output: 450, batch: 3}\n");
    if (!scenario)
        return;
    int64_t kv = account(plan_of(scenario), "hbm", "KV cache");
    int64_t wanted = 12ll * 3 * (500 + 128) * 2 * 8 * 64 * 2;
    MOE_CHECK(kv == wanted, "%lld bytes, not %lld", (long long)kv, (long long)wanted);
}

/* A decoder's cross attention keeps the encoder's tokens: switch-base-8, 12 layers of 2 x 12 heads
 * x 64 values. */
static void
cross_attention(void)
{
    g_autoptr(moe_scenario) scenario =
        fixture_load("model: switch-base-8\n"
                     "hardware: server-a100-80\n"
                     "routing: {synthetic: {sequences: 4, prompt: 30, output: 10}}\n"
                     "workload: {prompt: 30, output: 10, batch: 2, encoder: 1ms}\n");
    if (!scenario)
        return;
    int64_t kv = account(plan_of(scenario), "hbm", "KV cache");
    int64_t wanted = 12ll * 2 * (30 + 10) * 2 * 12 * 64 * 2;
    MOE_CHECK(kv == wanted, "%lld bytes, not %lld", (long long)kv, (long long)wanted);
}

/* ---- ways ---- */

static void
ways(void)
{
    static const struct {
        const char *experts;
        uint32_t n_tiers;
        const char *hops[3]; /* of each tier, in order */
    } cases[] = {
        {"{}", 0, {NULL}},
        {"{home: hbm}", 0, {NULL}},
        {"{home: dram}", 1, {"h2d"}},
        {"{home: flash}", 1, {"read h2d"}},
        {"{home: flash, staging: [{place: dram}]}", 2, {"h2d", "read"}},
        {"{home: dram, cache: {place: hbm}}", 1, {"h2d"}},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *text = g_strdup_printf("model: mixtral-8x7b\n"
                                                "hardware: desktop-rtx4090\n"
                                                "precision: {experts: int2}\n"
                                                "routing: {synthetic: {sequences: 2}}\n"
                                                "experts: %s\n",
                                                cases[i].experts);
        g_autoptr(moe_scenario) scenario = fixture_load(text);
        if (!scenario)
            continue;
        const moe_plan *plan = plan_of(scenario);
        MOE_CHECK(plan->n_tiers == cases[i].n_tiers && plan->offloaded == (plan->n_tiers > 0),
                  "%s: %u tiers", cases[i].experts, plan->n_tiers);
        for (uint32_t t = 0; t < plan->n_tiers; t++) {
            g_autoptr(GString) hops = g_string_new(NULL);
            for (int h = 0; h < plan->n_hops[t]; h++)
                g_string_append_printf(hops, "%s%s", h ? " " : "",
                                       plan->hw->links[plan->hops[t][h]].name);
            MOE_CHECK(!strcmp(hops->str, cases[i].hops[t]), "%s, tier %u: %s, not %s",
                      cases[i].experts, t, hops->str, cases[i].hops[t]);
        }
    }
}

/* ---- messages ---- */

typedef struct message_case {
    const char *experts, *message; /* from the line's number on, up to the end of the line */
} message_case;

static const message_case message_cases[] = {
    {"{home: dramm}", "5:17: error: desktop-rtx4090 has no place 'dramm'; did you mean 'dram'?"},
    {"{home: cloud}", "5:17: error: desktop-rtx4090 has no place 'cloud'; it has hbm, dram, flash"},
    {"{home: dram, cache: {place: hb}}",
     "5:38: error: desktop-rtx4090 has no place 'hb'; it has hbm, dram, flash"},
    {"{home: flash, staging: [{place: draam}]}",
     "5:42: error: desktop-rtx4090 has no place 'draam'; did you mean 'dram'?"},
    {"{home: dram, cache: {capacity: 10%, scope: layer}}",
     "5:41: error: a capacity of 10% holds no expert: one takes 84.0 MiB, and a layer has 8"},
    {"{home: dram, cache: {capacity: 83MiB}}",
     "5:41: error: a capacity of 83.0 MiB holds no expert: one takes 84.0 MiB, and the model has "
     "256"},
    {"{home: dram, cache: {capacity: 1GiB, scope: layer}}",
     "5:41: error: a capacity of 1.0 GiB holds no expert: one takes 84.0 MiB, and a layer has 8"},
    {"{home: dram, cache: {capacity: 0 slots}}",
     "5:41: error: a capacity of 0 slots holds no expert: one takes 84.0 MiB, and the model has "
     "256"},
    {"{home: dram, cache: {capacity: 0%}}",
     "5:41: error: a capacity of 0% holds no expert: one takes 84.0 MiB, and the model has 256"},
    {"{home: flash, staging: [{place: dram, capacity: 10%, scope: layer}]}",
     "5:58: error: a capacity of 10% holds no expert: one takes 84.0 MiB, and a layer has 8"},
    {"{home: flash, cache: {place: dram}}",
     "5:39: error: the cache must be in the memory the device computes from: hbm"},
    {"{home: dram, staging: [{place: dram}]}",
     "5:17: error: two tiers of experts are both in dram of desktop-rtx4090"},
    {"{home: flash, staging: [{place: hbm}]}",
     "5:17: error: two tiers of experts are both in hbm of desktop-rtx4090"},
    {"{home: dram, predict: {kind: recorded}, prefetch: {kind: next-layer}}",
     "5:32: error: predictor 'recorded' needs look-ahead predictions, and synthetic routing has "
     "none; use another kind, such as 'given' with a stated recall"},
    {"{home: flash, serve: {kind: host}}",
     "5:31: error: serve 'host' computes where experts live: in flash, but the CPU of "
     "desktop-rtx4090 works from dram"},
    {"{serve: {kind: host}}",
     "5:18: error: serve 'host' needs experts that live in host memory ('experts.home'), not on "
     "the device of desktop-rtx4090"},
    {"{home: dram, cache: {capacity: 100%}}",
     "1:8: error: needs 24.0 GiB in hbm of desktop-rtx4090, has 23.5 GiB: weights 3.0 GiB, KV "
     "cache 1.4 MiB, activations 565.0 KiB, expert slots 21.0 GiB"},
    {"{}", "1:8: error: needs 24.0 GiB in hbm of desktop-rtx4090, has 23.5 GiB: weights 3.0 GiB, "
           "KV cache 1.4 MiB, activations 565.0 KiB, experts 21.0 GiB"},
};

static void
messages(void)
{
    for (size_t i = 0; i < MOE_COUNT(message_cases); i++) {
        const message_case *c = &message_cases[i];
        g_autofree char *text = g_strdup_printf(MIXTRAL "experts: %s\n", c->experts);
        g_autofree char *got = NULL, *wanted = g_strdup_printf("s.yaml:%s\n", c->message);
        g_autoptr(moe_scenario) scenario = fixture_scenario(text, NULL, 0, &got);
        MOE_CHECK(!scenario && g_str_has_prefix(got, wanted), "%s: %snot %s", c->experts, got,
                  wanted);
    }
}

/* A machine without a CPU that could run experts. */
static void
message_without_host(void)
{
    g_autofree char *got = NULL;
    g_autoptr(moe_scenario) scenario =
        fixture_scenario("model: mixtral-8x7b\n"
                         "routing: {synthetic: {sequences: 2}}\n"
                         "hardware: node-sn40l\n"
                         "experts: {home: ddr, serve: {kind: host}}\n",
                         NULL, 0, &got);
    MOE_CHECK(!scenario && g_str_has_prefix(got, "s.yaml:4:29: error: serve 'host' needs a CPU "
                                                 "device, and node-sn40l has none\n"),
              "%s", got);
}

/* A message stands at the swept value that cannot be; with `skip` the run is left out. */
static void
messages_of_sweeps(void)
{
    static const char text[] = MIXTRAL "experts: {home: dram, cache: {scope: layer}}\n"
                                       "sweep:\n"
                                       "  experts.cache.capacity: [25%, 5%, 50%]\n";
    g_autofree char *got = NULL, *skipping = g_strconcat(text, "infeasible: skip\n", NULL);
    g_autoptr(moe_scenario) refused = fixture_scenario(text, NULL, 0, &got);
    MOE_CHECK(!refused && g_str_has_prefix(got, "s.yaml:7:33: error: a capacity of 5% holds no"),
              "%s", got);
    g_autoptr(moe_scenario) scenario = fixture_load(skipping);
    MOE_CHECK(scenario && moe_scenario_runs(scenario) == 2, "two runs are left");
}

static void
description(void)
{
    g_autoptr(moe_scenario) scenario = fixture_load(
        MIXTRAL "experts: {home: dram, cache: {capacity: 25%, scope: layer, evict: lfu}}\n");
    if (!scenario)
        return;
    g_autoptr(GString) text = g_string_new(NULL);
    moe_plan_describe(plan_of(scenario), text);
    static const char wanted[] =
        "  32 MoE layers of 8 experts, 84.0 MiB each; 14 steps, 22 tokens\n"
        "  hbm        23.5 GiB usable, weights 3.0 GiB, KV cache 1.4 MiB, activations 565.0 KiB, "
        "expert slots 5.2 GiB\n"
        "  dram      120.0 GiB usable, experts 21.0 GiB\n"
        "  flash       1.6 TiB usable\n"
        "  tier 0 in hbm: 2 slots per layer, evict lfu\n";
    MOE_CHECK(!strcmp(text->str, wanted), "%s", text->str);
}

MOE_TESTS({"slots", slots}, {"shares are exact", shares_are_exact}, {"accounts", accounts},
          {"rest", rest}, {"sliding windows", sliding_windows},
          {"cross attention", cross_attention}, {"ways", ways}, {"messages", messages},
          {"message without a host", message_without_host},
          {"messages of sweeps", messages_of_sweeps}, {"description", description})
