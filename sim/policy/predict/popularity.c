/* popularity: the experts of the target layer that are used most, whatever the tokens.
 *
 * Counts come from the profiling slice where the run has one, else from what this run has
 * observed so far. They do not depend on the gate just known, so any layer of the step can be
 * asked about. The probability is an expert's share of the layer's tokens times the number of
 * experts named, at most 1. */
#include "sim/policy/predict/rank.h"

typedef struct popularity_config {
    int64_t width;
} popularity_config;

struct popularity {
    const moe_demand *demand;
    const uint32_t *profile; /* or NULL */
    int64_t width;
    uint64_t *observed; /* [n_layers * n_experts] */
    double *scores;     /* [n_experts] */
    moe_rank *best;     /* [n_experts] */
};

static const moe_param popularity_rows[] = {
    {"width", MOE_PARAM_INT, offsetof(popularity_config, width), "0", 0, 65536, .unit = "experts",
     .flags = MOE_PARAM_IDENTITY,
     .help = "How many experts a forecast names; 0: as many as the layer just known demanded."},
};

/* A profile without a single token says nothing. */
static const uint32_t *
popularity_profile(const moe_predict_view *view)
{
    size_t n = (size_t)view->demand->n_layers * view->demand->n_experts;
    for (size_t i = 0; view->popularity && i < n; i++)
        if (view->popularity[i])
            return view->popularity;
    return NULL;
}

static void *
popularity_open(const moe_predict_view *view, const void *config)
{
    const moe_demand *demand = view->demand;
    struct popularity *popularity = moe_policy_alloc(1, sizeof *popularity);
    popularity->demand = demand;
    popularity->profile = popularity_profile(view);
    popularity->width = ((const popularity_config *)config)->width;
    popularity->observed = moe_policy_alloc((size_t)demand->n_layers * demand->n_experts,
                                            sizeof *popularity->observed);
    popularity->scores = moe_policy_alloc(demand->n_experts, sizeof *popularity->scores);
    popularity->best = moe_policy_alloc(demand->n_experts, sizeof *popularity->best);
    return popularity;
}

static void
popularity_close(void *state)
{
    struct popularity *popularity = state;
    free(popularity->observed);
    free(popularity->scores);
    free(popularity->best);
    free(popularity);
}

static uint32_t
popularity_reach(const void *state)
{
    return 0;
}

static void
popularity_observe(void *state, uint32_t step, uint32_t layer)
{
    struct popularity *popularity = state;
    const moe_demand *demand = popularity->demand;
    uint32_t group = moe_demand_group(demand, step, layer);
    uint64_t *row = &popularity->observed[(size_t)layer * demand->n_experts];
    for (uint64_t i = demand->first[group]; i < demand->first[group + 1]; i++)
        row[demand->expert[i]] += demand->tokens[i];
}

static size_t
popularity_predict(void *state, uint32_t step, uint32_t layer, uint32_t target, moe_forecast *out,
                   size_t max)
{
    struct popularity *popularity = state;
    uint32_t n = popularity->demand->n_experts;
    size_t row = (size_t)target * n;
    double total = 0;
    for (uint32_t e = 0; e < n; e++) {
        double count = popularity->profile ? (double)popularity->profile[row + e]
                                           : (double)popularity->observed[row + e];
        popularity->scores[e] = count;
        total += count;
    }
    size_t width =
        moe_rank_width(popularity->demand, step, layer, popularity->width, max < n ? max : n);
    size_t written = moe_rank_top(popularity->scores, n, popularity->best, width);
    for (size_t i = 0; i < written; i++) {
        double p = popularity->best[i].score / total * (double)width;
        out[i] = (moe_forecast){popularity->best[i].expert, p < 1 ? (float)p : 1};
    }
    return written;
}

static const moe_predict_ops popularity_ops = {
    .needs = MOE_PREDICT_PROFILE,
    .open = popularity_open,
    .close = popularity_close,
    .reach = popularity_reach,
    .observe = popularity_observe,
    .predict = popularity_predict,
};

const moe_variant moe_predict_popularity = {
    .name = "popularity",
    .help = "The most used experts of the layer: by the profiling slice, else so far in the run.",
    .rows = popularity_rows,
    .n_rows = MOE_COUNT(popularity_rows),
    .config_size = sizeof(popularity_config),
    .ops = &popularity_ops,
};
