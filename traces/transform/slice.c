/* A part of a trace: ranges of sequences, of positions, of layers, one phase. */
#include "traces/transform/row.h"

enum { SLICE_ALL, SLICE_PREFILL, SLICE_DECODE };

typedef struct slice_config {
    int64_t sequence, sequences, position, positions, layer, layers;
    int phase;
} slice_config;

static const moe_param slice_rows[] = {
    {"sequence", MOE_PARAM_INT, offsetof(slice_config, sequence), "0", 0, 4e9, .flags = ROW_ID,
     .help = "First sequence that stays, counted from 0 in order of the file."},
    {"sequences", MOE_PARAM_COUNT, offsetof(slice_config, sequences), "all", 1, 4e9,
     .flags = ROW_ID, .help = "How many sequences stay."},
    {"position", MOE_PARAM_INT, offsetof(slice_config, position), "0", 0, 4e9, .flags = ROW_ID,
     .help = "First token of each sequence that stays, counted from 0 in order of position."},
    {"positions", MOE_PARAM_COUNT, offsetof(slice_config, positions), "all", 1, 4e9,
     .flags = ROW_ID, .help = "How many tokens of each sequence stay."},
    {"layer", MOE_PARAM_INT, offsetof(slice_config, layer), "0", 0, MOE_ROUTING_MAX_LAYERS,
     .flags = ROW_ID, .help = "First layer of the trace that stays, counted from 0."},
    {"layers", MOE_PARAM_COUNT, offsetof(slice_config, layers), "all", 1, MOE_ROUTING_MAX_LAYERS,
     .flags = ROW_ID, .help = "How many layers stay."},
    {"phase", MOE_PARAM_ENUM, offsetof(slice_config, phase), "all", .choices = "all|prefill|decode",
     .flags = ROW_ID, .help = "Tokens of which phase stay."},
};

/* Whether first .. first + n - 1 are there; n beyond any trace means all from there on. */
static bool
slice_within(const moe_transform_job *job, const char *what, int64_t first, int64_t n, uint32_t all)
{
    if (first >= all)
        moe_diag_error(job->diag, job->at, "the slice begins with %s %lld, but %s has %u", what,
                       (long long)first, job->routing->path, all);
    else if (n != INT64_MAX && n > all - first)
        moe_diag_error(job->diag, job->at,
                       "the slice wants %lld %ss from %s %lld on, but %s has %u: at most %lld",
                       (long long)n, what, what, (long long)first, job->routing->path, all,
                       (long long)(all - first));
    else
        return true;
    return false;
}

/* A bit per token of the routing. */
static bool
slice_open(moe_transform_job *job)
{
    const slice_config *config = job->config;
    const moe_routing *routing = job->routing;
    if (!slice_within(job, "sequence", config->sequence, config->sequences, routing->n_sequences) ||
        !slice_within(job, "layer", config->layer, config->layers, routing->n_layers))
        return false;
    job->first_layer = (uint32_t)config->layer;
    job->n_layers = (uint32_t)MIN(config->layers, (int64_t)routing->n_layers - config->layer);
    uint8_t *kept = g_malloc0(routing->n_tokens / 8 + 1);
    uint32_t end =
        (uint32_t)MIN(config->sequences, (int64_t)routing->n_sequences - config->sequence) +
        (uint32_t)config->sequence;
    for (uint32_t s = (uint32_t)config->sequence; s < end; s++) {
        uint64_t length = routing->sequence_first[s + 1] - routing->sequence_first[s];
        uint64_t first = MIN((uint64_t)config->position, length);
        uint64_t last = first + MIN((uint64_t)config->positions, length - first);
        for (uint64_t i = first; i < last; i++) {
            uint64_t row = moe_routing_token(routing, s, i);
            if (config->phase == SLICE_ALL ||
                routing->phase[row] == (config->phase == SLICE_DECODE ? MOE_DECODE : MOE_PREFILL))
                kept[row / 8] |= (uint8_t)(1u << row % 8);
        }
    }
    job->state = kept;
    return true;
}

static bool
slice_token(const void *state, const void *config, uint64_t token)
{
    return ((const uint8_t *)state)[token / 8] >> token % 8 & 1;
}

static const moe_transform_ops slice_ops = {
    .stage = MOE_TRANSFORM_TOKENS,
    .pairs = MOE_PAIRS_SAME,
    .factual = true,
    .conserves = "The tokens and layers that stay keep their pairs, sequences and positions.",
    .open = slice_open,
    .token = slice_token,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_slice = {
    .name = "slice",
    .help = "A part of the trace: ranges of sequences, positions and layers, one phase.",
    .rows = slice_rows,
    .n_rows = MOE_COUNT(slice_rows),
    .config_size = sizeof(slice_config),
    .ops = &slice_ops,
};
