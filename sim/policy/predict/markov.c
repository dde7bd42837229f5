/* markov: which experts followed these ones, one layer on, so far in this run.
 *
 * together[l][e][f] counts tokens that chose expert e at layer l and f at layer l + 1; seen[l][e]
 * counts tokens that chose e and whose next layer is known. Of a batch only the union and its
 * counts are known: tokens are then spread over the pairs in proportion, which is exact for one
 * token. Score of f: its counts under the known experts, weighted by their tokens. Learned online,
 * nothing is known at first; it looks one layer ahead.
 *
 * Xue et al., MoE-Infinity, 2024, and Yao et al., Exploiting inter-layer expert affinity, 2024
 * use the same transitions. */
#include "sim/policy/predict/rank.h"

typedef struct markov_config {
    int64_t width;
} markov_config;

struct markov {
    const moe_demand *demand;
    int64_t width;
    float *together; /* [n_layers - 1][n_experts][n_experts] */
    float *seen;     /* [n_layers - 1][n_experts] */
    double *scores;  /* [n_experts] */
    moe_rank *best;  /* [n_experts] */
};

static const moe_param markov_rows[] = {
    {"width", MOE_PARAM_INT, offsetof(markov_config, width), "0", 0, 65536, .unit = "experts",
     .flags = MOE_PARAM_IDENTITY,
     .help = "How many experts a forecast names; 0: as many as the layer just known demanded."},
};

static void *
markov_open(const moe_predict_view *view, const void *config)
{
    const moe_demand *demand = view->demand;
    size_t pairs = demand->n_layers - 1, n = demand->n_experts;
    struct markov *markov = moe_policy_alloc(1, sizeof *markov);
    markov->demand = demand;
    markov->width = ((const markov_config *)config)->width;
    markov->together = moe_policy_alloc(pairs * n * n, sizeof *markov->together);
    markov->seen = moe_policy_alloc(pairs * n, sizeof *markov->seen);
    markov->scores = moe_policy_alloc(n, sizeof *markov->scores);
    markov->best = moe_policy_alloc(n, sizeof *markov->best);
    return markov;
}

static void
markov_close(void *state)
{
    struct markov *markov = state;
    free(markov->together);
    free(markov->seen);
    free(markov->scores);
    free(markov->best);
    free(markov);
}

static uint32_t
markov_reach(const void *state)
{
    return 1;
}

static void
markov_observe(void *state, uint32_t step, uint32_t layer)
{
    if (!layer)
        return;
    struct markov *markov = state;
    const moe_demand *demand = markov->demand;
    uint32_t n = demand->n_experts, group = moe_demand_group(demand, step, layer);
    float share = 1.0f / (float)demand->step_tokens[step];
    for (uint64_t i = demand->first[group - 1]; i < demand->first[group]; i++) {
        size_t row = (size_t)(layer - 1) * n + demand->expert[i];
        float tokens = (float)demand->tokens[i];
        markov->seen[row] += tokens;
        for (uint64_t j = demand->first[group]; j < demand->first[group + 1]; j++)
            markov->together[row * n + demand->expert[j]] +=
                tokens * (float)demand->tokens[j] * share;
    }
}

static size_t
markov_predict(void *state, uint32_t step, uint32_t layer, uint32_t target, moe_forecast *out,
               size_t max)
{
    struct markov *markov = state;
    const moe_demand *demand = markov->demand;
    if (target != layer + 1)
        return 0;
    uint32_t n = demand->n_experts, group = moe_demand_group(demand, step, layer);
    double *scores = markov->scores, seen = 0;
    for (uint32_t e = 0; e < n; e++)
        scores[e] = 0;
    for (uint64_t i = demand->first[group]; i < demand->first[group + 1]; i++) {
        size_t row = (size_t)layer * n + demand->expert[i];
        const float *together = markov->together + row * n;
        double tokens = demand->tokens[i];
        seen += tokens * (double)markov->seen[row];
        for (uint32_t e = 0; e < n; e++)
            scores[e] += tokens * (double)together[e];
    }
    size_t width = moe_rank_width(demand, step, layer, markov->width, max < n ? max : n);
    size_t written = moe_rank_top(scores, n, markov->best, width);
    for (size_t i = 0; i < written; i++) {
        double p = markov->best[i].score / seen;
        out[i] = (moe_forecast){markov->best[i].expert, p < 1 ? (float)p : 1};
    }
    return written;
}

static const moe_predict_ops markov_ops = {
    .open = markov_open,
    .close = markov_close,
    .reach = markov_reach,
    .observe = markov_observe,
    .predict = markov_predict,
};

const moe_variant moe_predict_markov = {
    .name = "markov",
    .help = "The experts that most often followed the known ones, one layer on, so far in the run.",
    .rows = markov_rows,
    .n_rows = MOE_COUNT(markov_rows),
    .config_size = sizeof(markov_config),
    .ops = &markov_ops,
};
