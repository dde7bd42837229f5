/* Experts beyond the real ones compute nothing, so that a token's number of experts varies
 * (AdaMoE, arXiv 2406.13233: weights are renormalised over the real experts). */
#include "traces/transform/row.h"

typedef struct null_config {
    int64_t real;
    bool renormalise;
} null_config;

static const moe_param null_rows[] = {
    {"real", MOE_PARAM_INT, offsetof(null_config, real), NULL, 1, MOE_ROUTING_MAX_EXPERTS,
     .unit = "experts", .flags = ROW_ID | MOE_PARAM_REQUIRED,
     .help = "Experts 0 .. real - 1 are experts, the others vanish."},
    ROW_RENORMALISE(null_config),
};

static bool
null_open(moe_transform_job *job)
{
    const null_config *config = job->config;
    if (config->real > job->routing->n_experts) {
        moe_diag_error(job->diag, job->at, "'real' is %lld, but %s has %u experts",
                       (long long)config->real, job->routing->path, job->routing->n_experts);
        return false;
    }
    job->n_experts = (uint32_t)config->real;
    job->k = MIN(job->k, job->n_experts);
    return true;
}

static void
null_row(const void *state, const void *data, moe_transform_row *row)
{
    const null_config *config = data;
    bool keep[MOE_ROUTING_MAX_K];
    for (uint32_t j = 0; j < row->n; j++)
        keep[j] = row->ids[j] < config->real;
    row_keep(row, keep, config->renormalise);
}

static const moe_transform_ops null_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_FEWER,
    .ahead = true,
    .conserves = "Each row keeps the pairs of real experts.",
    .open = null_open,
    .row = null_row,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_null_experts = {
    .name = "null-experts",
    .help = "Experts from a number on are null: they take part in routing and compute nothing.",
    .rows = null_rows,
    .n_rows = MOE_COUNT(null_rows),
    .config_size = sizeof(null_config),
    .ops = &null_ops,
};
