/* As many experts as it takes to gather a share p of the probability, the one that crosses it
 * included (Dynamic MoE, arXiv 2403.07652: p = 0.4 of the softmax over all experts, weights left as
 * they are). Over recorded top-k weights it can only drop; over {kind: reroute, k: all of them,
 * score: all} it is the paper's router. */
#include "traces/transform/row.h"

enum { TOP_P_OF_ONE, TOP_P_OF_ROW };

typedef struct top_p_config {
    double p;
    int of;
    bool renormalise;
} top_p_config;

static const moe_param top_p_rows[] = {
    {"p", MOE_PARAM_SHARE, offsetof(top_p_config, p), "40%", 0, 1, .flags = ROW_ID,
     .help = "Probability to gather."},
    {"of", MOE_PARAM_ENUM, offsetof(top_p_config, of), "one", .choices = "one|row", .flags = ROW_ID,
     .help = "What `p` is a share of: one (weights are probabilities), or the sum "
             "of the row's weights."},
    {"renormalise", MOE_PARAM_BOOL, offsetof(top_p_config, renormalise), "false", .flags = ROW_ID,
     .help = "Scale the weights that stay so that a row's sum is what it was."},
};

static void
top_p_row(const void *state, const void *data, moe_transform_row *row)
{
    const top_p_config *config = data;
    uint32_t order[MOE_ROUTING_MAX_K];
    bool keep[MOE_ROUTING_MAX_K] = {false};
    double wanted = config->p * (config->of == TOP_P_OF_ROW ? row_sum(row) : 1), gathered = 0;
    row_order(row, order);
    for (uint32_t i = 0; i < row->n && (i == 0 || gathered < wanted); i++) {
        keep[order[i]] = true;
        gathered += (double)row->weights[order[i]];
    }
    row_keep(row, keep, config->renormalise);
}

static const moe_transform_ops top_p_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_FEWER,
    .conserves = "Each row keeps its heaviest pairs, as many as it takes to gather p.",
    .needs = row_needs_weights,
    .row = top_p_row,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_top_p = {
    .name = "top-p",
    .help = "A varying number of experts: the heaviest until their weights add up to p.",
    .rows = top_p_rows,
    .n_rows = MOE_COUNT(top_p_rows),
    .config_size = sizeof(top_p_config),
    .ops = &top_p_ops,
};
