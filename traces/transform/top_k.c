/* The k heaviest experts of each row, as if the router had been asked for fewer. More than were
 * recorded need the router's logits: that is `reroute`. */
#include "traces/transform/row.h"

typedef struct top_k_config {
    int64_t k;
    bool renormalise;
} top_k_config;

static const moe_param top_k_rows[] = {
    {"k", MOE_PARAM_INT, offsetof(top_k_config, k), NULL, 1, MOE_ROUTING_MAX_K, .unit = "experts",
     .flags = ROW_ID | MOE_PARAM_REQUIRED, .help = "Experts per token that stay."},
    ROW_RENORMALISE(top_k_config),
};

static unsigned
top_k_needs(const void *config)
{
    return MOE_TRANSFORM_ORDERED;
}

static bool
top_k_open(moe_transform_job *job)
{
    const top_k_config *config = job->config;
    if (config->k > job->routing->k) {
        moe_diag_error(
            job->diag, job->at,
            "'top-k' cannot make %lld experts per token of the %u that %s has; 'reroute' "
            "can, where router logits are recorded",
            (long long)config->k, job->routing->k, job->routing->path);
        return false;
    }
    job->k = (uint32_t)config->k;
    return true;
}

static void
top_k_row(const void *state, const void *data, moe_transform_row *row)
{
    const top_k_config *config = data;
    uint32_t order[MOE_ROUTING_MAX_K];
    bool keep[MOE_ROUTING_MAX_K] = {false};
    row_order(row, order);
    for (uint32_t i = 0; i < row->n && i < config->k; i++)
        keep[order[i]] = true;
    row_keep(row, keep, config->renormalise);
}

static const moe_transform_ops top_k_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_FEWER,
    .conserves = "Each row keeps its k heaviest pairs.",
    .needs = top_k_needs,
    .open = top_k_open,
    .row = top_k_row,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_top_k = {
    .name = "top-k",
    .help = "Fewer experts per token: the heaviest of each row.",
    .rows = top_k_rows,
    .n_rows = MOE_COUNT(top_k_rows),
    .config_size = sizeof(top_k_config),
    .ops = &top_k_ops,
};
