/* The trace's look-ahead, united over the tokens of a step. */
#include "sim/policy/predict/predict.h"
#include "tests/unit/machine_fixture.h"

#include <math.h>

#define LAYERS 3
#define EXPERTS 6
#define K 2
#define WIDE 3 /* ids of a look-ahead row at distance 2 */

/* Four tokens of one sequence; what their look-ahead says at distance 1 (K ids per layer) and 2
 * (WIDE ids). Layers before the distance are not predicted. */
static const uint16_t none = MOE_ROUTING_NO_EXPERT;
static const uint16_t routed[LAYERS * K] = {0, 1, 2, 3, 4, 5};

static moe_routing_file *
predicted_trace(void)
{
    const uint16_t next[4][LAYERS * K] = {
        {none, none, 3, 1, 5, 0},
        {none, none, 1, 2, 0, 5},
        {none, none, 1, none, 5, 4},
        {none, none, 4, 3, none, none},
    };
    const uint16_t far[4][LAYERS * WIDE] = {
        {none, none, none, none, none, none, 5, 3, 1},
        {none, none, none, none, none, none, 1, none, none},
        {none, none, none, none, none, none, none, none, none},
        {none, none, none, none, none, none, 1, 5, 2},
    };
    moe_routing_builder *builder = moe_routing_builder_new(LAYERS, EXPERTS, K);
    uint32_t one = moe_routing_builder_lookahead(builder, 1, K);
    uint32_t two = moe_routing_builder_lookahead(builder, 2, WIDE);
    for (uint32_t t = 0; t < 4; t++) {
        moe_routing_builder_add(builder, t, 0, MOE_DECODE, routed, NULL);
        moe_routing_builder_predicted(builder, one, next[t]);
        moe_routing_builder_predicted(builder, two, far[t]);
    }
    return moe_routing_builder_finish(builder, "predicted");
}

static char *
forecast_text(const moe_schedule *schedule, uint32_t step, uint32_t layer, uint32_t distance,
              size_t max)
{
    moe_forecast out[EXPERTS];
    GString *text = g_string_new(NULL);
    size_t n = moe_schedule_recorded(schedule, step, layer, distance, out, max);
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(text, "%s%u:%g", i ? " " : "", out[i].expert,
                               (double)out[i].probability);
    return g_string_free(text, false);
}

typedef struct forecast_case {
    const char *workload;
    uint32_t step, layer, distance;
    size_t max;
    const char *forecast;
} forecast_case;

static const forecast_case forecast_cases[] = {
    /* one token: in the order of its gate */
    {"{}", 0, 1, 1, EXPERTS, "3:1 1:1"},
    {"{}", 0, 2, 1, EXPERTS, "5:1 0:1"},
    {"{}", 1, 2, 1, EXPERTS, "0:1 5:1"},
    {"{}", 2, 1, 1, EXPERTS, "1:1"},
    {"{}", 3, 2, 1, EXPERTS, ""},
    {"{}", 0, 0, 1, EXPERTS, ""},
    {"{}", 0, 2, 2, EXPERTS, "5:1 3:1 1:1"},
    {"{}", 0, 1, 2, EXPERTS, ""},
    {"{}", 0, 2, 3, EXPERTS, ""}, /* no such look-ahead */
    {"{}", 0, 2, 2, 2, "5:1 3:1"},
    /* several: by the share of tokens that name it, then by id */
    {"{batch: 4}", 0, 1, 1, EXPERTS, "1:0.75 3:0.5 2:0.25 4:0.25"},
    {"{batch: 4}", 0, 2, 1, EXPERTS, "5:0.75 0:0.5 4:0.25"},
    {"{batch: 4}", 0, 2, 2, EXPERTS, "1:0.75 5:0.5 2:0.25 3:0.25"},
    {"{batch: 2}", 0, 1, 1, EXPERTS, "1:1 2:0.5 3:0.5"},
    {"{batch: 2}", 1, 1, 1, EXPERTS, "1:0.5 3:0.5 4:0.5"},
};

static void
united(void)
{
    moe_routing_file *file = predicted_trace();
    for (size_t i = 0; i < MOE_COUNT(forecast_cases); i++) {
        const forecast_case *c = &forecast_cases[i];
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autofree char *keys = g_strdup_printf("workload: %s\n", c->workload);
        g_autoptr(moe_yaml_doc) doc = moe_yaml_parse("keys", keys, strlen(keys), diag);
        g_autoptr(moe_settings) settings = moe_settings_new(&moe_config_table);
        moe_settings_read(settings, moe_yaml_root(doc), NULL, false, diag);
        moe_schedule *schedule = moe_schedule_new(
            moe_routing_get(file), moe_settings_data(settings), NULL, false, (moe_loc){0}, diag);
        g_autofree char *got = forecast_text(schedule, c->step, c->layer, c->distance, c->max);
        MOE_CHECK(!strcmp(got, c->forecast), "%zu: %s, step %u, layer %u, distance %u: %s, not %s",
                  i, c->workload, c->step, c->layer, c->distance, got, c->forecast);
        moe_schedule_free(schedule);
    }
    moe_routing_close(file);
}

/* Shares are of the step's tokens, and a forecast of everything is the demand itself when the
 * look-ahead is perfect. */
static void
perfect_lookahead(void)
{
    g_autoptr(moe_scenario) scenario = fixture_load(
        "model: mixtral-8x7b\n"
        "hardware: server-h100\n"
        "precision: {experts: int2}\n"
        "routing: {synthetic: {sequences: 3, prompt: 3, output: 4, lookahead: 1, recall: 100%}}\n"
        "workload: {batch: 3, requests: 3}\n");
    if (!scenario)
        return;
    const moe_schedule *schedule = scenario->runs[0].plan.schedule;
    const moe_demand *demand = &schedule->demand;
    for (uint32_t step = 0; step < schedule->n_steps; step++)
        for (uint32_t layer = 1; layer < demand->n_layers; layer++) {
            moe_forecast out[8];
            size_t n = moe_schedule_recorded(schedule, step, layer, 1, out, 8);
            uint32_t g = moe_demand_group(demand, step, layer), matched = 0;
            for (uint64_t i = demand->first[g]; i < demand->first[g + 1]; i++)
                for (size_t f = 0; f < n; f++)
                    if (out[f].expert == demand->expert[i]) {
                        float share = (float)demand->tokens[i] / (float)demand->step_tokens[step];
                        matched++;
                        MOE_CHECK(fabsf(out[f].probability - share) < 1e-5f, "%g, not %g",
                                  (double)out[f].probability, (double)share);
                    }
            MOE_CHECK(matched == n && n == moe_demand_size(demand, g), "step %u, layer %u: %zu",
                      step, layer, n);
        }
}

MOE_TESTS({"united over the step", united}, {"perfect look-ahead", perfect_lookahead})
