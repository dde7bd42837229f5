/* At the edge of what traces, sweeps and machines hold: a run, or a message, never a fault and
 * never a key without effect. */
#include "tests/unit/machine_fixture.h"

/* ---- workloads ---- */

/* A request without a token takes no step, wherever it stands among the others. */
static void
requests_without_tokens(void)
{
    static const struct {
        const char *sequences, *workload;
        uint32_t n_steps;
    } cases[] = {
        {"d p", "{prompt: 0}", 1},
        {"p d", "{prompt: 0}", 1},
        {"d p", "{prompt: 0, batch: 2}", 1},
        {"p p dd p p", "{prompt: 0}", 2},
        {"p p dd p p", "{prompt: 0, batch: 3}", 2},
    };
    for (uint32_t i = 0; i < MOE_COUNT(cases) * 8; i++) {
        uint32_t c = i % MOE_COUNT(cases);
        fixture_trace trace = {1, 4, 1, cases[c].sequences, 1, 0};
        g_autofree char *keys = g_strdup_printf("seed: %u\nworkload: %s\n", i, cases[c].workload);
        fixture_schedule made = fixture_lay_out(&trace, keys, false);
        MOE_CHECK(made.schedule && made.schedule->n_steps == cases[c].n_steps, "%u: %s", i,
                  made.messages);
        for (uint32_t r = 0; made.schedule && r < made.schedule->n_requests; r++) {
            const moe_request *q = &made.schedule->requests[r];
            MOE_CHECK(q->admitted < made.schedule->n_steps || q->prompt + q->output == 0,
                      "%u: request %u of %u tokens is admitted at step %u of %u", i, r,
                      q->prompt + q->output, q->admitted, made.schedule->n_steps);
        }
        fixture_clear(&made);
    }
}

/* Tokens are asked for that no sequence has. */
static void
no_such_tokens(void)
{
    static const struct {
        const char *sequences, *workload;
    } cases[] = {
        {"pp p", "{prompt: 2, prefill: from-decode}"},
        {"dp dp", "{prompt: 2, output: 1}"}, /* prefill, but at no sequence's start */
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        fixture_trace trace = {1, 4, 1, cases[i].sequences, 1, 0};
        g_autofree char *keys = g_strdup_printf("workload: %s\n", cases[i].workload);
        fixture_schedule made = fixture_lay_out(&trace, keys, false);
        MOE_CHECK(!made.schedule && *made.messages, "%zu: a schedule without tokens", i);
        fixture_clear(&made);
    }
}

/* An output follows its prompt past the end of a sequence, too. */
static void
output_past_the_end(void)
{
    static const struct {
        const char *sequences, *workload;
    } cases[] = {
        {"dd dd", "{requests: 1, prompt: 2, output: 2, prefill: from-decode}"},
        {"dd dd", "{requests: 1, prompt: 3, output: 1, prefill: from-decode}"},
        {"d d d d", "{requests: 1, prompt: 2, output: 2, prefill: from-decode}"},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        fixture_trace trace = {1, 4, 1, cases[i].sequences, 1, 0};
        g_autofree char *keys = g_strdup_printf("workload: %s\n", cases[i].workload);
        fixture_schedule made = fixture_lay_out(&trace, keys, false);
        MOE_CHECK(made.schedule && made.schedule->n_tokens == 4 && made.schedule->reused == 0,
                  "%zu: %llu of 4 rows met again, though each token has one of its own", i,
                  made.schedule ? (unsigned long long)made.schedule->reused : 0);
        fixture_clear(&made);
    }
}

/* ---- sweeps and the command line ---- */

#define MIXTRAL                                                                                    \
    "model: mixtral-8x7b\n"                                                                        \
    "hardware: desktop-rtx4090\n"                                                                  \
    "precision: {experts: int4}\n"                                                                 \
    "routing: {synthetic: {sequences: 2, prompt: 2, output: 3}}\n"

/* A key set on the command line wins over the sweep of a section that holds it, and the other way
 * round. */
static void
overrides_win(void)
{
    static const struct {
        const char *sweep;
        moe_override override;
    } cases[] = {
        {"sweep: {experts.cache: [{capacity: 25%}, {capacity: 50%}]}\n",
         {"experts.cache.capacity", "10 slots"}},
        {"sweep: {experts.cache.capacity: [25%, 50%]}\n",
         {"experts.cache", "{capacity: 10 slots}"}},
        {"zip: {experts.cache: [{capacity: 25%}, {capacity: 50%}]}\n",
         {"experts.cache.capacity", "10 slots"}},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autofree char *messages = NULL;
        g_autofree char *text =
            g_strconcat(MIXTRAL "experts: {home: dram}\n", cases[i].sweep, NULL);
        g_autoptr(moe_scenario) scenario = fixture_scenario(text, &cases[i].override, 1, &messages);
        for (size_t r = 0; scenario && r < moe_scenario_runs(scenario); r++)
            MOE_CHECK(scenario->runs[r].plan.total_slots[0] == 10, "%s--set %s=%s: %u slots",
                      cases[i].sweep, cases[i].override.key, cases[i].override.value,
                      scenario->runs[r].plan.total_slots[0]);
        MOE_CHECK(scenario || *messages, "no message");
    }
}

/* A key cannot vary along two axes: one of its values would be lost. */
static void
swept_twice(void)
{
    static const char *const sweeps[] = {
        "sweep: {workload.batch: [1, 2]}\nzip: {workload.batch: [3, 4]}\n",
        "zip: [{workload.batch: [1, 2]}, {workload.batch: [3, 4]}]\n",
        "sweep: {experts.cache.evict: [lru, fifo], experts.cache.evict.kind: [lfu, arc]}\n",
        "zip: {experts.cache.evict: [lru, fifo], experts.cache.evict.kind: [lfu, arc]}\n",
    };
    for (size_t i = 0; i < MOE_COUNT(sweeps); i++) {
        g_autofree char *messages = NULL;
        g_autofree char *text = g_strconcat(MIXTRAL "experts: {home: dram}\n", sweeps[i], NULL);
        g_autoptr(moe_scenario) scenario = fixture_scenario(text, NULL, 0, &messages);
        MOE_CHECK(!scenario && strstr(messages, "s.yaml:"), "%s: %zu runs", sweeps[i],
                  scenario ? moe_scenario_runs(scenario) : 0);
    }
}

/* Runs of a sweep over a section can be told apart, or there are none. */
static void
swept_sections(void)
{
    g_autofree char *messages = NULL;
    g_autoptr(moe_scenario) scenario = fixture_scenario(
        MIXTRAL "experts: {home: dram}\n"
                "sweep: {experts.cache: [{capacity: 25%}, {capacity: 50%, evict: fifo}]}\n",
        NULL, 0, &messages);
    MOE_CHECK(scenario || strstr(messages, "s.yaml:6:"), "%s", messages);
    for (size_t i = 0; scenario && i < moe_scenario_runs(scenario); i++)
        MOE_CHECK(moe_scenario_run(scenario, i)->n_swept > 0, "run %zu has no swept values", i);
}

/* A tier that names no place is told so. */
static void
staging_without_place(void)
{
    g_autofree char *messages = NULL;
    g_autoptr(moe_scenario) scenario = fixture_scenario(
        MIXTRAL "experts: {home: flash, staging: [{capacity: 10%}]}\n", NULL, 0, &messages);
    MOE_CHECK(!scenario && strstr(messages, "s.yaml:5:") && strstr(messages, "place"), "%s",
              messages);
}

/* ---- metrics ---- */

/* What an oracle wants is demanded, whether the layer waits for all of it or not. */
static void
accuracy_of_an_oracle(void)
{
    g_autoptr(moe_scenario) scenario =
        fixture_load(MIXTRAL "experts: {home: dram, predict: {kind: oracle},"
                             " prefetch: {kind: next-layer}}\n"
                             "sweep: {experts.join: [demanded, wanted]}\n");
    for (size_t i = 0; scenario && i < moe_scenario_runs(scenario); i++) {
        moe_result *result = moe_scenario_simulate(scenario, i, NULL, NULL, NULL);
        double accuracy = moe_result_metric(result, "prefetch_accuracy");
        MOE_CHECK(accuracy == 1, "run %zu: an accuracy of %g", i, accuracy);
        moe_result_free(result);
    }
}

/* ---- times and ways ---- */

/* The passes of a batch may take longer than fits into the clock: a message, or a time. */
static void
long_encoder_passes(void)
{
    g_autofree char *messages = NULL;
    g_autoptr(moe_scenario) scenario = fixture_scenario(
        "model: switch-base-8\n"
        "hardware: desktop-rtx4090\n"
        "routing: {synthetic: {sequences: 2, prompt: 2, output: 2}}\n"
        "workload: {prompt: 2, output: 1, encoder: 3600s, batch: 4096, requests: 4096}\n",
        NULL, 0, &messages);
    if (scenario)
        moe_result_free(moe_scenario_simulate(scenario, 0, NULL, NULL, NULL));
    MOE_CHECK(scenario || *messages, "neither a run nor a message");
}

/* Ten places in a row: the way from the last to the first has nine links. */
static void
long_ways(void)
{
    g_autofree char *folder = g_dir_make_tmp("moesim-XXXXXX", NULL), *messages = NULL;
    g_autofree char *path = g_build_filename(folder, "chain.yaml", NULL);
    g_autoptr(GString) box = g_string_new("places:\n");
    for (int i = 0; i < 10; i++)
        g_string_append_printf(box, "  - {name: p%d, capacity: 1TB, read: %dGB/s}\n", i, 100 - i);
    g_string_append(box, "devices:\n"
                         "  - {name: gpu, place: p0, peak: {bf16: 100TFLOPS},"
                         " gemm_efficiency: 0.9, stream_efficiency: 0.8}\n"
                         "links:\n");
    for (int i = 0; i < 9; i++)
        g_string_append_printf(
            box, "  - {name: l%d, from: p%d, to: p%d, rate: 10GB/s, engine: %d}\n", i, i + 1, i, i);
    g_file_set_contents(path, box->str, -1, NULL);
    static const char *const staging[] = {"[{place: p4}]", "[]"};
    for (size_t i = 0; i < MOE_COUNT(staging); i++) {
        g_autofree char *text =
            g_strdup_printf("model: mixtral-8x7b\nhardware: %s\n"
                            "routing: {synthetic: {sequences: 1, prompt: 1, output: 1}}\n"
                            "experts: {home: p9, staging: %s}\n",
                            path, staging[i]);
        g_autoptr(moe_scenario) scenario = fixture_scenario(text, NULL, 0, &messages);
        if (scenario)
            moe_result_free(moe_scenario_simulate(scenario, 0, NULL, NULL, NULL));
        MOE_CHECK(scenario || *messages, "neither a run nor a message");
        g_clear_pointer(&messages, g_free);
    }
    g_unlink(path);
    g_rmdir(folder);
}

MOE_TESTS({"overrides win", overrides_win}, {"swept twice", swept_twice},
          {"swept sections", swept_sections}, {"staging without place", staging_without_place},
          {"accuracy of an oracle", accuracy_of_an_oracle},
          {"output past the end", output_past_the_end},
          {"requests without tokens", requests_without_tokens}, {"no such tokens", no_such_tokens},
          {"long encoder passes", long_encoder_passes}, {"long ways", long_ways})
