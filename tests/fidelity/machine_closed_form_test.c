/* Runs whose time can be written down: serial offloading, perfectly hidden loads, no offloading. */
#include "sim/machine/lower.h"
#include "tests/unit/machine_fixture.h"

static const char base[] = "model: switch-base-8\n"
                           "hardware: server-a100-80\n"
                           "routing: {synthetic: {sequences: 2, prompt: 0, output: 20}}\n"
                           "workload: {prompt: 0, output: 20}\n";

/* Picoseconds of all compute of a run with one expert per layer, and of one load. */
static moe_time
compute_ps(const moe_plan *plan)
{
    moe_lowering *lowering = moe_lowering_new(plan->model, plan->hw, plan->config, plan->schedule);
    moe_time sum = 0;
    uint32_t one = 1, n_layers = plan->schedule->demand.n_layers;
    for (uint32_t s = 0; s < plan->schedule->n_steps; s++) {
        moe_lowering_step(lowering, s);
        for (uint32_t m = 0; m <= n_layers; m++) {
            sum += moe_lowering_segment(lowering, m)->total;
            if (m < n_layers)
                sum += moe_lowering_experts(lowering, m, &one, 1, 1).total_ps;
        }
    }
    moe_lowering_free(lowering);
    return sum;
}

static moe_time
load_ps(const moe_plan *plan)
{
    const moe_hw_link *link = &plan->hw->links[plan->hops[0][0]];
    return link->latency_ps + moe_time_of_bytes((double)plan->expert_bytes, link->bytes_per_s);
}

static void
compare(const char *what, const char *more, moe_time (*expected)(const moe_plan *plan))
{
    g_autofree char *text = g_strconcat(base, more, NULL);
    g_autoptr(moe_scenario) scenario = fixture_load(text);
    MOE_CHECK(scenario != NULL, "%s loads", what);
    if (!scenario)
        return;
    moe_result *result = moe_scenario_simulate(scenario, 0, NULL, NULL);
    double got = moe_result_metric(result, "wall_s");
    double want = (double)expected(&scenario->runs[0].plan) / 1e12;
    printf("\n    %s: expected %.12f s, got %.12f s (tolerance: none)", what, want, got);
    MOE_CHECK(got == want, "%s: expected %.15g s, got %.15g s", what, want, got);
    moe_result_free(result);
}

static moe_time
only_compute(const moe_plan *plan)
{
    return compute_ps(plan);
}

static moe_time
all_exposed(const moe_plan *plan)
{
    return compute_ps(plan) +
           (moe_time)plan->schedule->n_steps * plan->schedule->demand.n_layers * load_ps(plan);
}

/* With compute between gates longer than a load, only the first layer's load shows. */
static moe_time
first_exposed(const moe_plan *plan)
{
    return compute_ps(plan) + (moe_time)plan->schedule->n_steps * load_ps(plan);
}

static moe_time
with_readback(const moe_plan *plan)
{
    return all_exposed(plan) + (moe_time)plan->schedule->n_steps * plan->schedule->demand.n_layers *
                                   plan->config->overhead.gate_ps;
}

static void
closed_forms(void)
{
    compare("experts on the device", "", only_compute);
    compare("every expert loaded on demand",
            "experts: {home: dram, retention: none, cache: {capacity: 1 slots}}\n", all_exposed);
    compare("on demand, gates read back by the host",
            "overhead: {gate: 300us}\n"
            "experts: {home: dram, retention: none, cache: {capacity: 1 slots}}\n",
            with_readback);
    compare("loads hidden behind slow layers",
            "overhead: {layer: 1ms}\n"
            "experts: {home: dram, retention: none, cache: {capacity: 2 slots}, "
            "prefetch: {kind: next-layer}, predict: {kind: oracle}}\n",
            first_exposed);
}

MOE_TESTS({"closed forms", closed_forms})
