/* Whole runs against what any machine must do: faster links never slow it, parts fit into wholes,
 * the smallest and the largest runs work, spellings do not matter, runs do not see each other. */
#include "tests/unit/machine_fixture.h"

#include <math.h>

static char *
which(const moe_run *run)
{
    GString *text = g_string_new(NULL);
    for (size_t k = 0; k < run->n_swept; k++)
        g_string_append_printf(text, "%s=%s ", run->keys[k], run->values[k]);
    return g_string_free(text, false);
}

/* A machine whose link to the device moves `rate` (text) bytes per second; the file's path. */
static char *
machine_file(const char *folder, const char *rate, const char *read)
{
    g_autofree char *name = g_strdup_printf("box-%s-%s.yaml", rate, read);
    char *path = NULL;
    for (char *c = name; *c; c++)
        *c = *c == '/' ? '-' : *c;
    path = g_build_filename(folder, name, NULL);
    g_autofree char *text = g_strdup_printf(
        "host: cpu\n"
        "places:\n"
        "  - {name: hbm, capacity: 24GiB, read: 1000GB/s}\n"
        "  - {name: dram, capacity: 128GiB, read: 80GB/s}\n"
        "  - {name: flash, capacity: 2TB, read: 7GB/s}\n"
        "devices:\n"
        "  - {name: gpu, place: hbm, peak: {bf16: 150TFLOPS}, gemm_efficiency: 0.9,\n"
        "     stream_efficiency: 0.8, half_rows: 32, launch: 2us}\n"
        "  - {name: cpu, kind: cpu, place: dram, peak: {fp32: 1TFLOPS}, gemm_efficiency: 0.7,\n"
        "     stream_efficiency: 0.4, half_rows: 4, launch: 2us}\n"
        "links:\n"
        "  - {name: h2d, from: dram, to: hbm, rate: %s, latency: 10us, engine: 0}\n"
        "  - {name: d2h, from: hbm, to: dram, rate: 25GB/s, latency: 10us, engine: 1}\n"
        "  - {name: read, from: flash, to: dram, rate: %s, latency: 80us, engine: 2}\n",
        rate, read);
    g_file_set_contents(path, text, -1, NULL);
    return path;
}

#define ROUTING                                                                                    \
    "routing: {synthetic: {sequences: 3, prompt: 2, output: 5, skew: 0.6, stickiness: 0.3,"        \
    " affinity: 0.3, lookahead: 1, recall: 0.8}}\n"
#define MIXTRAL                                                                                    \
    "model: mixtral-8x7b\n"                                                                        \
    "hardware: desktop-rtx4090\n"                                                                  \
    "precision: {experts: int4}\n" ROUTING
#define SWITCH                                                                                     \
    "model: switch-base-8\n"                                                                       \
    "hardware: desktop-rtx4090\n"                                                                  \
    "routing: {synthetic: {sequences: 4, prompt: 0, output: 6, skew: 0.6}}\n"                      \
    "workload: {prompt: 0}\n"

static double
metric(const moe_scenario *scenario, size_t i, const char *name)
{
    moe_result *result = moe_scenario_simulate(scenario, i, NULL, NULL, NULL);
    double value = moe_result_metric(result, name);
    moe_result_free(result);
    return value;
}

/* ---- overheads ---- */

/* What a prefetch takes beyond its transfer slows runs with prefetches, and no others. */
static void
prefetch_overhead(void)
{
    g_autoptr(moe_scenario) scenario =
        fixture_load(MIXTRAL "experts: {home: dram, cache: {capacity: 50%}}\n"
                             "sweep:\n"
                             "  experts.prefetch.kind: [none, next-layer]\n"
                             "  overhead.prefetch: [0, 5ms]\n");
    double none = metric(scenario, 0, "wall_s"), some = metric(scenario, 2, "wall_s");
    CU_ASSERT_EQUAL(none, metric(scenario, 1, "wall_s"));
    MOE_CHECK(metric(scenario, 3, "wall_s") > some + 0.005, "%g s, not more than %g s",
              metric(scenario, 3, "wall_s"), some);
}

/* Launches in graphs cost what the device says; where it says nothing, what they do without. */
static void
graphs(void)
{
    g_autoptr(moe_scenario) scenario = fixture_load("model: olmoe-1b-7b\n"
                                                    "hardware: server-h100\n" ROUTING "sweep:\n"
                                                    "  hardware: [server-h100, server-v100]\n"
                                                    "  overhead.graphs: [false, true]\n");
    double plain = metric(scenario, 0, "wall_s"), graph = metric(scenario, 1, "wall_s");
    /* 1.2 us less of each: 11 kernels of 16 layers and 1 of the head, in every step; 0.4 us of 5
       and 3 small ones, which take 2.1 us at the least */
    double less =
        (1.2e-6 * (11 * 16 + 1) + 0.4e-6 * (5 * 16 + 3)) * scenario->runs[0].plan.schedule->n_steps;
    MOE_CHECK(fabs(plain - graph - less) < 1e-9, "%g s in graphs, %g s without, %g", graph, plain,
              less);
    CU_ASSERT_EQUAL(metric(scenario, 2, "wall_s"), metric(scenario, 3, "wall_s"));
}

/* ---- bandwidth ---- */

/* The same runs on three machines, each faster than the one before in one link. */
static void
check_faster(const char *const machines[3], const char *experts)
{
    g_autofree char *text =
        g_strdup_printf("model: mixtral-8x7b\n"
                        "hardware: %s\n"
                        "precision: {experts: int4}\n" ROUTING "%s"
                        "  hardware: [%s, %s, %s]\n",
                        machines[0], experts, machines[0], machines[1], machines[2]);
    g_autoptr(moe_scenario) scenario = fixture_load(text);
    double before = 0;
    for (size_t i = 0; scenario && i < moe_scenario_runs(scenario); i++) {
        double wall = metric(scenario, i, "wall_s");
        g_autofree char *name = which(moe_scenario_run(scenario, i));
        MOE_CHECK(i % 3 == 0 || wall <= before, "%s: %.12g s, with half the bandwidth %.12g s",
                  name, wall, before);
        before = wall;
    }
}

static void
faster_links(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL);
    char *wide[] = {machine_file(folder, "12GB/s", "3GB/s"),
                    machine_file(folder, "24GB/s", "3GB/s"),
                    machine_file(folder, "48GB/s", "3GB/s")};
    char *deep[] = {machine_file(folder, "25GB/s", "3GB/s"),
                    machine_file(folder, "25GB/s", "6GB/s"),
                    machine_file(folder, "25GB/s", "12GB/s")};
    const char *const wides[] = {wide[0], wide[1], wide[2]}, *const deeps[] = {deep[0], deep[1],
                                                                               deep[2]};
    check_faster(wides, "experts: {home: dram}\n"
                        "sweep:\n"
                        "  experts.cache.evict: [lru, s3fifo, belady]\n"
                        "  experts.cache.capacity: [1 slots, 3 slots, 0.25]\n"
                        "  experts.granularity: [layer, expert]\n"
                        "  workload.batch: [1, 3]\n");
    check_faster(wides, "experts: {home: flash, staging: [{place: dram, capacity: 0.4}]}\n"
                        "sweep:\n"
                        "  experts.cache.capacity: [3 slots, 0.25]\n"
                        "  experts.retention: [cache, none]\n");
    check_faster(deeps, "experts: {home: flash}\n"
                        "sweep:\n"
                        "  experts.staging: [[], [{place: dram, capacity: 0.4}]]\n"
                        "  experts.cache.capacity: [3 slots, 0.25]\n"
                        "  workload.batch: [1, 3]\n");
    for (size_t i = 0; i < 3; i++) {
        g_unlink(wide[i]);
        g_unlink(deep[i]);
        g_free(wide[i]);
        g_free(deep[i]);
    }
    g_rmdir(folder);
}

/* ---- parts and wholes ---- */

static void
parts_fit_wholes(void)
{
    g_autoptr(moe_scenario) scenario =
        fixture_load(MIXTRAL "experts: {home: dram}\n"
                             "overhead: {layer: 20us, gate: 30us}\n"
                             "sweep:\n"
                             "  experts.prefetch.kind: [none, next-layer]\n"
                             "  experts.serve.kind: [load, host]\n"
                             "  experts.granularity: [layer, expert]\n"
                             "  workload.batch: [1, 2]\n"
                             "  workload.warmup: [0, 1]\n");
    for (size_t i = 0; scenario && i < moe_scenario_runs(scenario); i++) {
        const moe_schedule *schedule = scenario->runs[i].plan.schedule;
        g_autofree char *name = which(moe_scenario_run(scenario, i));
        moe_result *result = moe_scenario_simulate(scenario, i, NULL, NULL, NULL);
        double steps = 0, tokens = 0;
        for (uint32_t s = schedule->measured; s < schedule->n_steps; s++)
            if (schedule->steps[s].phase == MOE_DECODE) {
                steps++;
                tokens += schedule->steps[s].n;
            }
        double rate = moe_result_metric(result, "decode_tokens_per_s"), decode_s = tokens / rate;
        double blocks = moe_result_metric(result, "moe_block_s") * 32 * steps;
        MOE_CHECK(blocks < decode_s && blocks > 0.3 * decode_s,
                  "%s: %g s in MoE blocks of %g s of decoding", name, blocks, decode_s);
        double wall = moe_result_metric(result, "wall_s");
        MOE_CHECK(decode_s < wall && fabs(moe_result_metric(result, "tokens_per_s") * wall -
                                          tokens) < 1e-6 * tokens,
                  "%s: %g s of decoding, %g s", name, decode_s, wall);
        static const char *const shares[] = {"hit_rate",         "late_rate",
                                             "token_hit_rate",   "exposed_load_share",
                                             "link_utilisation", "compute_utilisation"};
        for (size_t k = 0; k < MOE_COUNT(shares); k++) {
            double share = moe_result_metric(result, shares[k]);
            MOE_CHECK(share >= 0 && share <= 1, "%s: %s of %g", name, shares[k], share);
        }
        double busy = moe_result_metric(result, "compute_utilisation") +
                      moe_result_metric(result, "exposed_load_share");
        MOE_CHECK(busy <= 1 + 1e-9, "%s: computing and waiting take %g of the time", name, busy);
        MOE_CHECK(
            moe_result_metric(result, "ttft_p50_s") <= moe_result_metric(result, "ttft_p99_s") &&
                moe_result_metric(result, "tpot_p50_s") <=
                    moe_result_metric(result, "tpot_p99_s") &&
                moe_result_metric(result, "ttft_mean_s") <= moe_result_metric(result, "e2e_mean_s"),
            "%s: percentiles", name);
        const moe_place *hbm = &scenario->runs[i].plan.hw->places[0];
        MOE_CHECK(moe_result_metric(result, "device_peak_bytes") <= (double)hbm->capacity, "%s",
                  name);
        moe_result_free(result);
    }
}

/* ---- the smallest and the largest ---- */

static void
extremes(void)
{
    static const struct {
        const char *text;
        double tokens; /* decoded */
    } cases[] = {
        {SWITCH "experts: {home: dram, cache: {capacity: 1 slots}}\n", 4 * 6},
        {SWITCH "experts: {home: flash, cache: {capacity: 1 slots}, staging: [{place: dram, "
                "capacity: 1 slots}]}\n",
         4 * 6},
        {MIXTRAL "workload: {batch: 3}\n"
                 "experts: {home: dram, cache: {capacity: 1 slots}, join: wanted,"
                 " prefetch: {kind: whole-next-layer, distance: 31}}\n",
         3 * 5},
        {MIXTRAL "workload: {batch: 4096, requests: 5000, prompt: 1, output: 1}\n"
                 "experts: {home: dram, cache: {capacity: 5 slots}}\n",
         5000},
        {MIXTRAL "workload: {batch: 4096, requests: 1, prompt: 0, output: 1}\n"
                 "experts: {home: dram}\n",
         1},
        {"model: olmoe-1b-7b\nhardware: desktop-rtx4090\n" ROUTING
         "workload: {requests: 1, prompt: 0, output: 1}\n",
         1},
        {MIXTRAL "workload: {output: 1, warmup: 2}\nexperts: {home: dram}\n", 1},
        {MIXTRAL "overhead: {layer: 1s, step: 1s, gate: 1s}\nexperts: {home: dram}\n", 3 * 5},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_scenario) scenario = fixture_load(cases[i].text);
        if (!scenario)
            continue;
        moe_result *result = moe_scenario_simulate(scenario, 0, NULL, NULL, NULL);
        double wall = moe_result_metric(result, "wall_s");
        double tokens = moe_result_metric(result, "tokens_per_s") * wall;
        MOE_CHECK(wall > 0 && fabs(tokens - cases[i].tokens) < 1e-6 * cases[i].tokens,
                  "%zu: %g tokens in %g s", i, tokens, wall);
        moe_result_free(result);
    }
}

/* A run without a single decoded token has prefill figures only. */
static void
only_prefill(void)
{
    g_autoptr(moe_scenario) scenario =
        fixture_load("model: mixtral-8x7b\n"
                     "hardware: desktop-rtx4090\n"
                     "precision: {experts: int4}\n"
                     "routing: {synthetic: {sequences: 2, prompt: 4, output: 0}}\n"
                     "experts: {home: dram}\n");
    if (!scenario)
        return;
    moe_result *result = moe_scenario_simulate(scenario, 0, NULL, NULL, NULL);
    MOE_CHECK(moe_result_metric(result, "prefill_tokens_per_s") > 0, "prefill");
    MOE_CHECK(isnan(moe_result_metric(result, "decode_tokens_per_s")), "%g tokens/s of decoding",
              moe_result_metric(result, "decode_tokens_per_s"));
    MOE_CHECK(isnan(moe_result_metric(result, "moe_block_s")), "MoE block");
    moe_result_free(result);
}

static void
too_much(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"routing: {synthetic: {sequences: 1000000, prompt: 1000000, output: 1000000}}\n",
         "s.yaml:4:10: error: 1.28e+14 expert accesses are too many to make; at most 1e+09 fit\n"},
        {"routing: {synthetic: {sequences: 9}}\n"
         "workload: {requests: 1000, prompt: 10000000, output: 10000000}\n",
         "s.yaml:5:36: error: 1000 requests of 2e+10 tokens in all make 1.28e+12 expert accesses"},
        {"routing: {synthetic: {sequences: 1000001}}\n",
         "s.yaml:4:34: error: 'sequences' must be at most 1000000, got 1000001\n"},
        {ROUTING "workload: {batch: 4097}\n", "s.yaml:5:19: error: 'batch' must be at most 4096"},
        {ROUTING "workload: {requests: 1000001}\n",
         "s.yaml:5:22: error: 'requests' must be at most 1000000"},
        {ROUTING "workload: {output: 0}\n", "s.yaml:5:20: error: 'output' must be at least 1"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *text = g_strconcat("model: mixtral-8x7b\n"
                                            "hardware: desktop-rtx4090\n"
                                            "precision: {experts: int4}\n",
                                            cases[i].text, NULL);
        g_autofree char *messages = NULL;
        g_autoptr(moe_scenario) scenario = fixture_scenario(text, NULL, 0, &messages);
        MOE_CHECK(!scenario && g_str_has_prefix(messages, cases[i].message), "%zu: %s", i,
                  messages);
    }
}

MOE_TESTS({"launches in graphs", graphs}, {"prefetch overhead", prefetch_overhead},
          {"faster links", faster_links}, {"parts fit wholes", parts_fit_wholes},
          {"extremes", extremes}, {"only prefill", only_prefill}, {"too much", too_much})
