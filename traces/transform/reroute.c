/* Routes anew from recorded logits: more experts per token, or the next best ones where another
 * step has barred some (mask, modality-groups, device-limit: barred experts have logit -inf). */
#include "traces/transform/row.h"

enum { REROUTE_SELECTED, REROUTE_ALL, REROUTE_SIGMOID };

typedef struct reroute_config {
    int64_t k;
    int score;
} reroute_config;

static const moe_param reroute_rows[] = {
    {"k", MOE_PARAM_INT, offsetof(reroute_config, k), "0", 0, MOE_ROUTING_MAX_K, .unit = "experts",
     .flags = ROW_ID, .help = "Experts per token; 0: as many as there were."},
    {"score", MOE_PARAM_ENUM, offsetof(reroute_config, score), "selected",
     .choices = "selected|all|sigmoid", .flags = ROW_ID,
     .help = "The new weights: softmax over the selected experts, softmax over all of them (not "
             "renormalised), or each one's sigmoid."},
};

static unsigned
reroute_needs(const void *config)
{
    return MOE_TRANSFORM_LOGITS;
}

typedef struct reroute_state {
    uint32_t k, n_experts;
} reroute_state;

static bool
reroute_open(moe_transform_job *job)
{
    const reroute_config *config = job->config;
    if (config->k > job->routing->n_experts) {
        moe_diag_error(job->diag, job->at, "'k' is %lld, but there are %u experts",
                       (long long)config->k, job->routing->n_experts);
        return false;
    }
    reroute_state *state = g_new(reroute_state, 1);
    if (config->k > 0)
        job->k = (uint32_t)config->k;
    *state = (reroute_state){job->k, job->n_experts};
    job->state = state;
    return true;
}

static void
reroute_row(const void *data, const void *settings, moe_transform_row *row)
{
    const reroute_state *state = data;
    const reroute_config *config = settings;
    row->n = row_best(row->logits, state->n_experts, state->k, row->ids);
    if (!row->weights || row->n == 0)
        return;
    double highest = (double)row->logits[row->ids[0]], sum = 0;
    if (config->score == REROUTE_ALL)
        sum = row_partition(row->logits, state->n_experts, highest);
    for (uint32_t j = 0; j < row->n && config->score == REROUTE_SELECTED; j++)
        sum += moe_exp((double)row->logits[row->ids[j]] - highest);
    for (uint32_t j = 0; j < row->n; j++) {
        double logit = (double)row->logits[row->ids[j]];
        row->weights[j] =
            (float)(config->score == REROUTE_SIGMOID ? row_sigmoid(logit)
                                                     : moe_exp(logit - highest) / sum);
    }
}

static const moe_transform_ops reroute_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_CHOSEN,
    .conserves = "Each row gets the k experts of highest logit, fewer where fewer are not barred; "
                 "weights are new.",
    .needs = reroute_needs,
    .open = reroute_open,
    .row = reroute_row,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_reroute = {
    .name = "reroute",
    .help = "Route anew from recorded router logits, with any number of experts.",
    .rows = reroute_rows,
    .n_rows = MOE_COUNT(reroute_rows),
    .config_size = sizeof(reroute_config),
    .ops = &reroute_ops,
};
