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
    moe_lowering *lowering =
        moe_lowering_new(plan->model, plan->hw, plan->kernels, plan->config, plan->schedule);
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
    moe_result *result = moe_scenario_simulate(scenario, 0, NULL, NULL, NULL);
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

/* ---- keys that a chunk of a prompt reads ---- */

enum { CHUNK = 64, CHUNKS = 6, REQUESTS = 2 };

/* Prompts of all requests in chunks of CHUNK tokens, one of each request in a step: one request
 * behind another in the step, or token by token in turns. */
static moe_routing_file *
chunked(const moe_model *model, bool turns)
{
    const moe_stack *stack = moe_model_decoder(model);
    const moe_ffn *ffn = &stack->layers[stack->n_layers - 1].ffn;
    fixture_trace shape = {
        (uint32_t)stack->n_moe, (uint32_t)ffn->experts, (uint32_t)ffn->top_k, "", 0, 0};
    moe_routing_builder *builder = moe_routing_builder_new(shape.layers, shape.experts, shape.k);
    g_autofree uint16_t *ids = g_new(uint16_t, (size_t)shape.layers * shape.k);
    moe_stream stream = moe_stream_new(1, "chunked", 0);
    fixture_ids(&shape, &stream, ids);
    for (uint32_t step = 0; step < CHUNKS; step++)
        for (uint32_t i = 0; i < REQUESTS * CHUNK; i++) {
            uint32_t request = turns ? i % REQUESTS : i / CHUNK;
            uint32_t at = turns ? i / REQUESTS : i % CHUNK;
            moe_routing_builder_add(builder, request, step * CHUNK + at, MOE_PREFILL, ids, NULL);
            moe_routing_builder_step(builder, step);
        }
    return moe_routing_builder_finish(builder, "chunked");
}

static double
step_bytes(moe_lowering *lowering, uint32_t step, uint32_t n_layers)
{
    double bytes = 0;
    moe_lowering_step(lowering, step);
    for (uint32_t m = 0; m <= n_layers; m++)
        bytes += moe_lowering_segment(lowering, m)->bytes;
    return bytes;
}

/* Bytes of a key and its value, as a prompt's kernel reads them: latent ones are expanded to 16
 * bits for each head where the kernel is known by its blocks, as those of libraries are, but of
 * sparse attention, whose indexer reads a key of its own. Linear attention has none. */
static double
key_bytes(const moe_plan *plan, const moe_attention *attention)
{
    double index = (double)moe_attention_index_bytes(attention);
    if (attention->kind == MOE_ATTENTION_MLA && plan->kernels && !attention->index_top_k)
        return 2.0 * attention->heads *
               (attention->nope_dim + attention->rope_dim + attention->value_dim);
    return (double)moe_attention_kv(attention) *
               moe_lowering_precision(plan->model, plan->config).kv / 8 +
           index;
}

/* By how much more a chunk reads than the first one, whose keys are its own: whole contexts where
 * attention is full, the window and the rows but one where it slides. */
static void
check_chunks(const moe_plan *plan, bool turns)
{
    const moe_stack *stack = moe_model_decoder(plan->model);
    moe_routing_file *file = chunked(plan->model, turns);
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_schedule *schedule = moe_schedule_captured(moe_routing_get(file), 0, (moe_loc){0}, diag);
    CU_ASSERT_FATAL(schedule != NULL);
    moe_lowering *lowering =
        moe_lowering_new(plan->model, plan->hw, plan->kernels, plan->config, schedule);
    uint32_t n_layers = schedule->demand.n_layers;
    double first = step_bytes(lowering, 0, n_layers);
    for (uint32_t step = 1; step < CHUNKS; step++) {
        double got = step_bytes(lowering, step, n_layers) - first, want = 0;
        for (int l = 0; l < stack->n_layers; l++) {
            const moe_attention *attention = &stack->layers[l].attention;
            int keys = (int)(step + 1) * CHUNK;
            if (attention->window)
                keys = MIN(keys, attention->window + CHUNK - 1);
            want += (double)REQUESTS * (keys - CHUNK) * key_bytes(plan, attention);
        }
        printf("\n    chunk %u, %s: expected %.0f bytes of keys and values, got %.0f", step,
               turns ? "requests in turns" : "one request behind another", want, got);
        MOE_CHECK(got == want, "chunk %u: expected %.0f bytes, got %.0f", step, want, got);
    }
    moe_lowering_free(lowering);
    moe_schedule_free(schedule);
    moe_routing_close(file);
}

static void
chunks(void)
{
    static const char *const models[] = {"gpt-oss-20b", "deepseek-v2-lite", "deepseek-v3.2",
                                         "qwen3-next-80b-a3b"};
    static const char *const kernels[] = {"kernels: own\n", "kernels: vllm-0.24\n"};

    for (size_t m = 0; m < MOE_COUNT(models); m++)
        for (size_t k = 0; k < MOE_COUNT(kernels); k++) {
            g_autofree char *text =
                g_strconcat("model: ", models[m], "\nhardware: server-h100\n", kernels[k],
                            "routing: {synthetic: {sequences: 1, prompt: 0, output: 1}}\n"
                            "workload: {prompt: 0, output: 1}\n"
                            "experts: {home: dram, cache: {capacity: 1 slots}}\n",
                            NULL);
            g_autoptr(moe_scenario) scenario = fixture_load(text);
            CU_ASSERT_FATAL(scenario != NULL);
            printf("\n    %s %s", models[m], kernels[k]);
            check_chunks(&scenario->runs[0].plan, false);
            check_chunks(&scenario->runs[0].plan, true);
        }
}

MOE_TESTS({"closed forms", closed_forms}, {"chunks of prompts", chunks})
