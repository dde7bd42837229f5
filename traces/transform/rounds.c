/* A layer's experts are used in rounds that depend on one another (Chain-of-Experts, arXiv
 * 2506.18945): k / rounds of them in each, every round after a router of its own. Pairs stay; what
 * changes is that a layer is `rounds` smaller expert kernels with a router before each. In the
 * paper each round's router may choose what an earlier one chose; a recorded row has no expert
 * twice. */
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
    if (job->routing->k % config->rounds == 0)
        return true;
    moe_diag_error(job->diag, job->at, "%u experts per token cannot be used in %lld equal rounds",
                   job->routing->k, (long long)config->rounds);
    return false;
}

static void
rounds_group(const void *state, const void *config, moe_transform_group *group)
{
}

static uint32_t
rounds_rounds(const void *data)
{
    const rounds_config *config = data;
    return (uint32_t)config->rounds;
}

static const moe_transform_ops rounds_ops = {
    .stage = MOE_TRANSFORM_DISPATCH,
    .pairs = MOE_PAIRS_SAME,
    .conserves = "Every pair stays; the experts of a row are used in rounds, in order of the row.",
    .open = rounds_open,
    .group = rounds_group,
    .rounds = rounds_rounds,
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
