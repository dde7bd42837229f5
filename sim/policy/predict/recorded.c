/* recorded: what the model's own gates said ahead of time.
 *
 * The trace holds, for each token and layer, which experts that layer's gate names when it is
 * given the hidden state of `distance` layers earlier. This is a real predictor with its real
 * mistakes, and costs a gate's arithmetic. A distance that the trace does not hold yields nothing.
 *
 * Eliseev, Mazur, Fast inference of Mixture-of-Experts language models with offloading, 2023
 * (speculative loading); the same idea in Fate, HOBBIT and AdapMoE. */
#include "sim/policy/memory.h"
#include "sim/policy/predict/predict.h"

typedef struct recorded_config {
    int64_t distance;
} recorded_config;

struct recorded {
    const moe_predict_view *view;
    uint32_t distance;
};

static const moe_param recorded_rows[] = {
    {"distance", MOE_PARAM_INT, offsetof(recorded_config, distance), "1", 1, 8, .unit = "layers",
     .flags = MOE_PARAM_IDENTITY,
     .help = "How many MoE layers ahead the recorded gates are asked."},
};

static void *
recorded_open(const moe_predict_view *view, const void *config)
{
    struct recorded *recorded = moe_policy_alloc(1, sizeof *recorded);
    recorded->view = view;
    recorded->distance = (uint32_t)((const recorded_config *)config)->distance;
    return recorded;
}

static void
recorded_close(void *state)
{
    free(state);
}

static uint32_t
recorded_reach(const void *state)
{
    return ((const struct recorded *)state)->distance;
}

static size_t
recorded_predict(void *state, uint32_t step, uint32_t layer, uint32_t target, moe_forecast *out,
                 size_t max)
{
    const struct recorded *recorded = state;
    const moe_predict_view *view = recorded->view;
    uint32_t distance = target - layer;
    if (!view->recorded || distance > recorded->distance || distance > view->max_distance)
        return 0;
    return view->recorded(view->source, step, target, distance, out, max);
}

static const moe_predict_ops recorded_ops = {
    .needs = MOE_PREDICT_RECORDED,
    .open = recorded_open,
    .close = recorded_close,
    .reach = recorded_reach,
    .predict = recorded_predict,
};

const moe_variant moe_predict_recorded = {
    .name = "recorded",
    .help = "What the next layers' gates said on this layer's hidden state, as the trace holds it.",
    .rows = recorded_rows,
    .n_rows = MOE_COUNT(recorded_rows),
    .config_size = sizeof(recorded_config),
    .ops = &recorded_ops,
};
