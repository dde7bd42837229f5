/* Experts of little weight are not run. The heaviest of a row always is. */
#include "traces/transform/row.h"

enum { THRESHOLD_OF_ONE, THRESHOLD_OF_ROW };

typedef struct threshold_config {
    double least;
    int of;
    bool renormalise;
} threshold_config;

static const moe_param threshold_rows[] = {
    {"least", MOE_PARAM_SHARE, offsetof(threshold_config, least), NULL, 0, 1,
     .flags = ROW_ID | MOE_PARAM_REQUIRED, .help = "The least weight that is run."},
    {"of", MOE_PARAM_ENUM, offsetof(threshold_config, of), "one", .choices = "one|row",
     .flags = ROW_ID,
     .help = "What `least` is a share of: one (the weight itself), or the sum of "
             "the row's weights."},
    ROW_RENORMALISE(threshold_config),
};

static void
threshold_row(const void *state, const void *data, moe_transform_row *row)
{
    const threshold_config *config = data;
    uint32_t order[MOE_ROUTING_MAX_K];
    bool keep[MOE_ROUTING_MAX_K];
    double least = config->least * (config->of == THRESHOLD_OF_ROW ? row_sum(row) : 1);
    row_order(row, order);
    for (uint32_t j = 0; j < row->n; j++)
        keep[j] = j == order[0] || (double)row->weights[j] >= least;
    row_keep(row, keep, config->renormalise);
}

static const moe_transform_ops threshold_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_FEWER,
    .conserves = "Each row keeps its heaviest pair and those of at least the stated weight.",
    .needs = row_needs_weights,
    .row = threshold_row,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_threshold = {
    .name = "threshold",
    .help = "Skip experts whose gate weight is below a bound.",
    .rows = threshold_rows,
    .n_rows = MOE_COUNT(threshold_rows),
    .config_size = sizeof(threshold_config),
    .ops = &threshold_ops,
};
