/* Whole sequences drawn at random, without repetition. */
#include "traces/transform/row.h"

#include "sim/base/random.h"

typedef struct sample_config {
    double share;
    int64_t seed;
} sample_config;

static const moe_param sample_rows[] = {
    {"share", MOE_PARAM_SHARE, offsetof(sample_config, share), NULL, 0, 1,
     .flags = ROW_ID | MOE_PARAM_REQUIRED,
     .help = "Share of the sequences that stay, rounded up to a whole one."},
    {"seed", MOE_PARAM_INT, offsetof(sample_config, seed), "1", 0, 9e15, .flags = ROW_ID,
     .help = "Seed of the draw."},
};

/* A bit per token of the routing. */
static bool
sample_open(moe_transform_job *job)
{
    const sample_config *config = job->config;
    const moe_routing *routing = job->routing;
    uint32_t n = routing->n_sequences;
    uint32_t wanted = (uint32_t)ceil(config->share * n);
    moe_stream stream = moe_stream_new((uint64_t)config->seed, "sample", 0);
    uint8_t *kept = g_malloc0(routing->n_tokens / 8 + 1);
    for (uint32_t s = 0; s < n; s++) {
        if (moe_stream_below(&stream, n - s) >= wanted)
            continue; /* `wanted` of the n - s that are left, each with the same chance */
        wanted--;
        for (uint64_t i = routing->sequence_first[s]; i < routing->sequence_first[s + 1]; i++) {
            uint64_t row = routing->rows ? routing->rows[i] : i;
            kept[row / 8] |= (uint8_t)(1u << row % 8);
        }
    }
    job->state = kept;
    return true;
}

static bool
sample_token(const void *state, const void *config, uint64_t token)
{
    return ((const uint8_t *)state)[token / 8] >> token % 8 & 1;
}

static const moe_transform_ops sample_ops = {
    .stage = MOE_TRANSFORM_TOKENS,
    .pairs = MOE_PAIRS_SAME,
    .factual = true,
    .conserves = "The sequences that stay are whole and keep their pairs.",
    .open = sample_open,
    .token = sample_token,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_sample = {
    .name = "sample",
    .help = "A random part of the sequences.",
    .rows = sample_rows,
    .n_rows = MOE_COUNT(sample_rows),
    .config_size = sizeof(sample_config),
    .ops = &sample_ops,
};
