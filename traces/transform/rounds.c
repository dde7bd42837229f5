/* A layer's experts are used in rounds that depend on one another (Chain-of-Experts, arXiv
 * 2506.18945): each layer of the trace becomes `rounds` layers of k / rounds experts, in order of
 * the row, for a model that has as many `moe.rounds`. In the paper each round's router may choose
 * what an earlier one chose; a recorded row has no expert twice. What was predicted or scored for
 * the whole row, look-aheads and logits, goes. */
#include "traces/transform/row.h"

typedef struct rounds_config {
    int64_t rounds;
} rounds_config;

static const moe_param rounds_rows[] = {
    {"rounds", MOE_PARAM_INT, offsetof(rounds_config, rounds), NULL, 1, MOE_ROUTING_MAX_K,
     .flags = ROW_ID | MOE_PARAM_REQUIRED, .help = "Rounds per layer; k is a multiple of it."},
};

static bool
rounds_open(moe_transform_job *job)
{
    const rounds_config *config = job->config;
    const moe_routing *routing = job->routing;
    uint64_t last =
        (uint64_t)(routing->layer_ids[routing->n_layers - 1] + 1ull) * (uint64_t)config->rounds;
    if (routing->k % config->rounds != 0) {
        moe_diag_error(job->diag, job->at,
                       "%u experts per token cannot be used in %lld equal rounds", routing->k,
                       (long long)config->rounds);
        return false;
    }
    if ((uint64_t)routing->n_layers * (uint64_t)config->rounds > MOE_ROUTING_MAX_LAYERS ||
        last > UINT32_MAX) {
        moe_diag_error(job->diag, job->at, "%u layers of %lld rounds are too many; at most %d fit",
                       routing->n_layers, (long long)config->rounds, MOE_ROUTING_MAX_LAYERS);
        return false;
    }
    job->rounds = (uint32_t)config->rounds;
    return true;
}

static void
rounds_row(const void *state, const void *config, moe_transform_row *row)
{
}

static const moe_transform_ops rounds_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_SAME,
    .conserves = "Every pair stays, in the round that its place in the row says.",
    .open = rounds_open,
    .row = rounds_row,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_rounds = {
    .name = "rounds",
    .help = "A layer's experts are used in rounds that depend on one another.",
    .rows = rounds_rows,
    .n_rows = MOE_COUNT(rounds_rows),
    .config_size = sizeof(rounds_config),
    .ops = &rounds_ops,
};
