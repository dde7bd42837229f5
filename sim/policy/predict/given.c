/* given: a predictor of stated quality, for "what would a predictor this good be worth?".
 *
 * Each expert that the target will demand is forecast with probability `recall`; wrong ones join
 * it, so many that the expected share of right ones is `precision`: true * recall * (1 - p) / p
 * of them, a fraction of one by a coin (fewer when the layer has no more experts to be wrong
 * about). The list is in random order, so that a cut list has the same precision. All draws are
 * functions of (seed, step, target layer, expert): the same for every policy, number of threads
 * and layer from which one asks. */
#include "sim/policy/predict/rank.h"

#include "sim/base/random.h"

typedef struct given_config {
    double recall, precision;
    int64_t distance;
} given_config;

struct given {
    const moe_demand *demand;
    uint64_t seed;
    given_config config;
    uint8_t *true_one;       /* [n_experts] */
    moe_rank *right, *wrong; /* [n_experts] each */
};

static const moe_param given_rows[] = {
    {"recall", MOE_PARAM_SHARE, offsetof(given_config, recall), "0.9", 0, 1,
     .flags = MOE_PARAM_IDENTITY, .help = "Share of the demanded experts that are forecast."},
    {"precision", MOE_PARAM_SHARE, offsetof(given_config, precision), "0.9", 0.01, 1,
     .flags = MOE_PARAM_IDENTITY, .help = "Share of the forecast experts that are demanded."},
    {"distance", MOE_PARAM_INT, offsetof(given_config, distance), "1", 1, 1024, .unit = "layers",
     .flags = MOE_PARAM_IDENTITY, .help = "How many MoE layers ahead it sees."},
};

static void *
given_open(const moe_predict_view *view, const void *config)
{
    size_t n = view->demand->n_experts;
    struct given *given = moe_policy_alloc(1, sizeof *given);
    given->demand = view->demand;
    given->seed = view->seed;
    given->config = *(const given_config *)config;
    given->true_one = moe_policy_alloc(n, 1);
    given->right = moe_policy_alloc(n, sizeof *given->right);
    given->wrong = moe_policy_alloc(n, sizeof *given->wrong);
    return given;
}

static void
given_close(void *state)
{
    struct given *given = state;
    free(given->true_one);
    free(given->right);
    free(given->wrong);
    free(given);
}

static uint32_t
given_reach(const void *state)
{
    return (uint32_t)((const struct given *)state)->config.distance;
}

static double
given_unit(const moe_stream *stream, uint64_t n)
{
    return (double)(moe_stream_at(stream, n) >> 11) * 0x1.0p-53;
}

/* Of the experts that are not demanded, in random order, as many as precision wants. */
static size_t
given_mistakes(struct given *given, const moe_stream *stream, size_t n_true)
{
    size_t n = given->demand->n_experts, n_wrong = 0;
    for (uint32_t e = 0; e < n; e++)
        if (!given->true_one[e])
            given->wrong[n_wrong++] = (moe_rank){given_unit(stream, n + e), e};
    double precision = given->config.precision;
    double want = (double)n_true * given->config.recall * (1 - precision) / precision;
    size_t whole = (size_t)want;
    whole += given_unit(stream, 3 * n) < want - (double)whole;
    moe_rank_sort(given->wrong, n_wrong);
    return whole < n_wrong ? whole : n_wrong;
}

static size_t
given_predict(void *state, uint32_t step, uint32_t layer, uint32_t target, moe_forecast *out,
              size_t max)
{
    struct given *given = state;
    const moe_demand *demand = given->demand;
    if (target - layer > (uint64_t)given->config.distance)
        return 0;
    uint32_t n = demand->n_experts, group = moe_demand_group(demand, step, target);
    moe_stream stream = moe_stream_new(given->seed, "predict.given", group);
    size_t n_true = moe_demand_size(demand, group), named = 0;
    for (uint32_t e = 0; e < n; e++)
        given->true_one[e] = 0;
    for (uint64_t i = demand->first[group]; i < demand->first[group + 1]; i++) {
        uint32_t e = demand->expert[i];
        given->true_one[e] = 1;
        if (given_unit(&stream, e) < given->config.recall)
            given->right[named++].expert = e;
    }
    size_t n_wrong = given_mistakes(given, &stream, n_true);
    for (size_t i = 0; i < n_wrong; i++)
        given->right[named++].expert = given->wrong[i].expert;
    for (size_t i = 0; i < named; i++)
        given->right[i].score = given_unit(&stream, 2 * (uint64_t)n + given->right[i].expert);
    moe_rank_sort(given->right, named);
    named = named < max ? named : max;
    for (size_t i = 0; i < named; i++)
        out[i] = (moe_forecast){given->right[i].expert, (float)given->config.precision};
    return named;
}

static const moe_predict_ops given_ops = {
    .needs = MOE_PREDICT_TRUTH,
    .open = given_open,
    .close = given_close,
    .reach = given_reach,
    .predict = given_predict,
};

const moe_variant moe_predict_given = {
    .name = "given",
    .help = "A predictor of stated recall and precision, its mistakes drawn at random.",
    .rows = given_rows,
    .n_rows = MOE_COUNT(given_rows),
    .config_size = sizeof(given_config),
    .ops = &given_ops,
};
