/* oracle: the truth. Each expert that the target layer will demand, in the order in which it will
 * demand them, with probability 1. What no predictor can beat; an upper bound on what prediction
 * is worth. It sees any layer of the step. */
#include "sim/policy/memory.h"
#include "sim/policy/predict/predict.h"

struct oracle {
    const moe_demand *demand;
};

static void *
oracle_open(const moe_predict_view *view, const void *config)
{
    struct oracle *oracle = moe_policy_alloc(1, sizeof *oracle);
    oracle->demand = view->demand;
    return oracle;
}

static void
oracle_close(void *state)
{
    free(state);
}

static uint32_t
oracle_reach(const void *state)
{
    return 0;
}

static size_t
oracle_predict(void *state, uint32_t step, uint32_t layer, uint32_t target, moe_forecast *out,
               size_t max)
{
    const moe_demand *demand = ((const struct oracle *)state)->demand;
    uint32_t group = moe_demand_group(demand, step, target);
    size_t n = moe_demand_size(demand, group);
    n = n < max ? n : max;
    for (size_t i = 0; i < n; i++)
        out[i] = (moe_forecast){demand->expert[demand->first[group] + i], 1};
    return n;
}

static const moe_predict_ops oracle_ops = {
    .needs = MOE_PREDICT_TRUTH,
    .open = oracle_open,
    .close = oracle_close,
    .reach = oracle_reach,
    .predict = oracle_predict,
};

const moe_variant moe_predict_oracle = {
    .name = "oracle",
    .help = "The truth: what any layer of the step will demand.",
    .ops = &oracle_ops,
};
