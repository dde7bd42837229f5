/* Loads in a run are the link's cost function: experts read from flash by requests, and copies that
 * queue behind others. */
#include "hw/cost.h"
#include "tests/unit/machine_fixture.h"

#include <math.h>

/* A machine of two memories; what its link says of requests is filled in. */
static const char machine[] =
    "places:\n"
    "  - {name: dram, capacity: 256GB, read: 100GB/s}\n"
    "  - {name: flash, capacity: 1TB, read: 4GB/s}\n"
    "devices:\n"
    "  - {name: cpu, kind: cpu, place: dram, peak: {fp32: 10TFLOPS}, gemm_efficiency: 50%%,\n"
    "     stream_efficiency: 80%%, half_rows: 4}\n"
    "links:\n"
    "  - {name: read, from: flash, to: dram, rate: 4GB/s, latency: 100us, engine: 0%s}\n";

/* Seconds of a run on such a machine, with the cost of one of its loads alone and behind another.
 */
static double
wall(const char *model, const char *link, const char *experts, moe_cost *alone, moe_cost *behind)
{
    g_autofree char *path = NULL, *text = g_strdup_printf(machine, link);
    int file = g_file_open_tmp("moesim-XXXXXX.yaml", &path, NULL);
    CU_ASSERT_FATAL(file >= 0 && g_file_set_contents(path, text, -1, NULL));
    g_close(file, NULL);
    g_autofree char *keys = g_strdup_printf(
        "model: %s\nhardware: %s\nrouting: {synthetic: {sequences: 2, prompt: 0, output: 6}}\n"
        "workload: {prompt: 0, output: 6}\nexperts: {home: flash, retention: none, %s}\n",
        model, path, experts);
    g_autoptr(moe_scenario) scenario = fixture_load(keys);
    g_unlink(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(scenario);
    const moe_plan *plan = &scenario->runs[0].plan;
    const moe_hw_link *l = &plan->hw->links[plan->hops[0][0]];
    *alone = moe_cost_copy(l, (double)plan->expert_bytes, false);
    *behind = moe_cost_queued_copy(l, (double)plan->expert_bytes, false);
    moe_result *result = moe_scenario_simulate(scenario, 0, NULL, NULL, NULL);
    double seconds = moe_result_metric(result, "wall_s");
    double loads = plan->schedule->n_steps * (double)plan->schedule->demand.n_layers;
    alone->total_ps = (int64_t)((double)alone->total_ps * loads); /* of all first loads of layers */
    behind->total_ps = (int64_t)((double)behind->total_ps * loads);
    moe_result_free(result);
    return seconds;
}

/* One expert a layer, nothing kept: what a run takes longer is what its loads take longer. */
static void
by_requests(void)
{
    static const char one[] = "cache: {capacity: 1 slots}";
    static const char *const links[] = {
        "",
        ", request: 64KiB",
        ", request: 64KiB, depth: 8",
        ", request: 64KiB, depth: 8, channel: 500MB/s",
        ", request: 64KiB, depth: 64, iops: 10000",
        ", request: 4KiB, depth: 64, iops: 100000",
    };
    moe_cost plain, cost, behind;
    double before = wall("switch-base-8", links[0], one, &plain, &behind);
    for (size_t i = 1; i < MOE_COUNT(links); i++) {
        double seconds = wall("switch-base-8", links[i], one, &cost, &behind);
        double expected = before + (double)(cost.total_ps - plain.total_ps) / 1e12;
        printf("\n    '%s': expected %.9f s, got %.9f s", links[i] + 2, expected, seconds);
        MOE_CHECK(fabs(seconds / expected - 1) < 1e-9, "%s", links[i]);
    }
    printf("\n");
}

/* Two experts a layer, asked for at once: the second has per_copy instead of the latency. */
static void
behind_another(void)
{
    static const char two[] = "cache: {capacity: 2 slots, scope: layer}";
    moe_cost alone, behind, unused;
    double before = wall("mixtral-8x7b", "", two, &unused, &unused);
    double after = wall("mixtral-8x7b", ", per_copy: 2us", two, &alone, &behind);
    double expected = before - (double)(alone.total_ps - behind.total_ps) / 1e12;
    printf("\n    per_copy of 2 us, latency of 100 us: expected %.9f s, got %.9f s\n", expected,
           after);
    CU_ASSERT(behind.total_ps < alone.total_ps);
    MOE_CHECK(fabs(after / expected - 1) < 1e-9, "%.12g, %.12g", expected, after);
}

MOE_TESTS({"experts read by requests", by_requests}, {"copies behind others", behind_another})
