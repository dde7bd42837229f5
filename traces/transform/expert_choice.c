/* Experts choose tokens: each takes the tokens of the step with the highest scores for it (Zhou et
 * al., arXiv 2202.09368), as many as
 *     ceil(experts * sum over tokens that it may take of 1 / (experts that may take the token))
 * which is experts * tokens / n_experts where none is barred, and within its group after
 * `modality-groups` (MoMa, arXiv 2407.21770). */
#include "traces/transform/row.h"

#include <stdlib.h>

enum { CHOICE_SOFTMAX, CHOICE_SIGMOID };

typedef struct choice_config {
    double experts;
    int score;
} choice_config;

static const moe_param choice_rows[] = {
    {"experts", MOE_PARAM_REAL, offsetof(choice_config, experts), "0", 0, MOE_ROUTING_MAX_K,
     .flags = ROW_ID, .help = "Experts per token, on average; 0: the routing's top-k."},
    {"score", MOE_PARAM_ENUM, offsetof(choice_config, score), "softmax",
     .choices = "softmax|sigmoid", .flags = ROW_ID,
     .help = "What an expert compares tokens by: the softmax of a token's logits, or each logit's "
             "sigmoid."},
};

typedef struct choice_state {
    const moe_routing *routing;
    double experts;
} choice_state;

static unsigned
choice_needs(const void *config)
{
    return MOE_TRANSFORM_LOGITS;
}

static bool
choice_open(moe_transform_job *job)
{
    const choice_config *config = job->config;
    choice_state *state = g_new(choice_state, 1);
    *state = (choice_state){job->routing, config->experts > 0 ? config->experts : job->routing->k};
    job->state = state;
    return true;
}

typedef struct choice_entry {
    double score;
    uint32_t token;
} choice_entry;

static int
choice_compare(const void *a, const void *b)
{
    const choice_entry *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->token < y->token ? -1 : x->token > y->token;
}

static int
choice_pair_order(const void *a, const void *b)
{
    const moe_pair *x = a, *y = b;
    if (x->token != y->token)
        return x->token < y->token ? -1 : 1;
    return x->expert < y->expert ? -1 : x->expert > y->expert;
}

/* scores[token * n_experts + expert], negative where barred; shares[token]: 1 / experts that may
 * take it, 0 where the layer did not run. */
static void
choice_scores(const choice_state *state, int kind, const moe_transform_group *group, double *scores,
              double *shares)
{
    const moe_routing *routing = state->routing;
    uint32_t n = routing->n_experts;
    g_autofree float *logits = g_new(float, n);
    for (uint32_t t = 0; t < group->n_tokens; t++) {
        uint64_t at = (uint64_t)group->rows[t] * routing->n_layers + group->layer;
        bool runs = moe_routing_id(routing, group->rows[t], group->layer, 0) != MOE_ROUTING_NOT_RUN;
        float highest = -INFINITY;
        uint32_t open = 0;
        for (uint32_t e = 0; e < n; e++) {
            logits[e] = runs ? moe_routing_f16(routing->logits[at * n + e]) : -INFINITY;
            highest = MAX(highest, logits[e]);
            open += logits[e] > -INFINITY;
        }
        double sum = open && kind == CHOICE_SOFTMAX ? row_partition(logits, n, (double)highest) : 1;
        for (uint32_t e = 0; e < n; e++)
            scores[(size_t)t * n + e] = logits[e] == -INFINITY ? -1
                                        : kind == CHOICE_SIGMOID
                                            ? row_sigmoid((double)logits[e])
                                            : moe_exp((double)logits[e] - (double)highest) / sum;
        shares[t] = open ? 1.0 / open : 0;
    }
}

static void
choice_group(const void *data, const void *settings, moe_transform_group *group)
{
    const choice_state *state = data;
    const choice_config *config = settings;
    uint32_t n = state->routing->n_experts;
    g_autofree double *scores = g_new(double, (size_t)group->n_tokens *n);
    g_autofree double *shares = g_new(double, group->n_tokens);
    g_autofree choice_entry *entries = g_new(choice_entry, group->n_tokens);
    choice_scores(state, config->score, group, scores, shares);
    group->n = 0;
    for (uint32_t e = 0; e < n; e++) {
        uint32_t open = 0;
        double share = 0;
        for (uint32_t t = 0; t < group->n_tokens; t++) {
            double score = scores[(size_t)t * n + e];
            if (score < 0)
                continue;
            entries[open++] = (choice_entry){score, t};
            share += shares[t];
        }
        uint64_t wanted = (uint64_t)ceil(state->experts * share * (1 - 1e-12));
        qsort(entries, open, sizeof *entries, choice_compare);
        for (uint32_t i = 0; i < MIN(wanted, open); i++)
            moe_transform_add_pair(
                group, (moe_pair){entries[i].token, (uint16_t)e, 0, (float)entries[i].score});
    }
    if (group->n > 0)
        qsort(group->pairs, group->n, sizeof *group->pairs, choice_pair_order);
    for (uint64_t i = 0; i < group->n; i++)
        group->pairs[i].slot = i > 0 && group->pairs[i].token == group->pairs[i - 1].token
                                   ? (uint16_t)(group->pairs[i - 1].slot + 1)
                                   : 0;
}

static const moe_transform_ops choice_ops = {
    .stage = MOE_TRANSFORM_DISPATCH,
    .pairs = MOE_PAIRS_CHOSEN,
    .conserves = "Each expert gets its share of the step's tokens, those of the highest scores; a "
                 "token may get any number.",
    .needs = choice_needs,
    .open = choice_open,
    .group = choice_group,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_expert_choice = {
    .name = "expert-choice",
    .help = "Experts choose the tokens of a step, instead of tokens experts.",
    .rows = choice_rows,
    .n_rows = MOE_COUNT(choice_rows),
    .config_size = sizeof(choice_config),
    .ops = &choice_ops,
};
