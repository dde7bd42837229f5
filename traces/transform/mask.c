/* A pruned model: only some experts of each layer are kept, by how often or how heavily the trace
 * (or one domain of it) uses them, by their logits, or as a file says. Pairs of the others go, and
 * their logits become -inf, so that a `reroute` after it fills the rows with kept experts. */
#include "traces/transform/row.h"

#include "traces/transform/score.h"
#include "traces/transform/table.h"

#include <string.h>

enum { MASK_FREQUENCY, MASK_WEIGHT, MASK_LOGIT, MASK_FILE };
enum { MASK_DROP, MASK_ERROR };

typedef struct mask_config {
    int from, lost;
    int64_t keep, best;
    double profile, floor;
    const char *file, *domain;
    bool renormalise;
} mask_config;

static const moe_param mask_rows[] = {
    {"from", MOE_PARAM_ENUM, offsetof(mask_config, from), "frequency",
     .choices = MOE_SCORE_NAMES "|file", .flags = ROW_ID,
     .help = "What chooses: the trace's use of each expert (`moesim trace score`), or `file`."},
    {"keep", MOE_PARAM_INT, offsetof(mask_config, keep), "0", 0, MOE_ROUTING_MAX_EXPERTS,
     .unit = "experts", .flags = ROW_ID, .help = "Experts kept per layer (not with a file)."},
    {"file", MOE_PARAM_TEXT, offsetof(mask_config, file), NULL,
     .help = "With `from: file`: a table of the kept experts with the columns layer,expert."},
    {"profile", MOE_PARAM_SHARE, offsetof(mask_config, profile), "100%", 0, 1, .flags = ROW_ID,
     .help = "Share of the sequences, from the start, that the choice goes by."},
    {"domain", MOE_PARAM_TEXT, offsetof(mask_config, domain), NULL, .flags = ROW_ID,
     .help = "Only tokens of this domain count for the choice; its name or number."},
    {"best", MOE_PARAM_INT, offsetof(mask_config, best), "1", 1, MOE_ROUTING_MAX_K, .flags = ROW_ID,
     .help = "With `from: logit`: highest logits of a token that count."},
    {"floor", MOE_PARAM_REAL, offsetof(mask_config, floor), "-1", -1e4, 1e4, .flags = ROW_ID,
     .help = "With `from: logit`: and those only from here on."},
    {"lost", MOE_PARAM_ENUM, offsetof(mask_config, lost), "drop", .choices = "drop|error",
     .flags = ROW_ID, .help = "What happens to pairs of experts that are not kept."},
    ROW_RENORMALISE(mask_config),
};

typedef struct mask_state {
    uint32_t n_layers, n_experts;
    bool *kept; /* [n_layers * n_experts] */
} mask_state;

static unsigned
mask_needs(const void *data)
{
    const mask_config *config = data;
    return config->from == MASK_WEIGHT  ? MOE_TRANSFORM_WEIGHTS
           : config->from == MASK_LOGIT ? MOE_TRANSFORM_LOGITS
                                        : 0;
}

static bool
mask_by_file(const moe_transform_job *job, bool *kept)
{
    const mask_config *config = job->config;
    moe_table_shape shape = moe_table_of(job, NULL, 0, 0, false);
    g_autofree double *table = moe_table_read(job, config->file, &shape);
    if (!table)
        return false;
    for (uint32_t l = 0; l < shape.n_layers; l++) {
        bool any = false;
        for (uint32_t e = 0; e < shape.n_experts; e++) {
            size_t at = (size_t)l * shape.n_experts + e;
            kept[at] = !isnan(table[at]);
            any |= kept[at];
        }
        if (any)
            continue;
        moe_diag_error(job->diag, job->at, "%s keeps no expert of layer %u", config->file,
                       shape.layer_ids[l]);
        return false;
    }
    return true;
}

static bool
mask_by_score(const moe_transform_job *job, bool *kept)
{
    const mask_config *config = job->config;
    const moe_routing *routing = job->routing;
    moe_score_of of = {.kind = (moe_score_kind)config->from,
                       .to = (uint32_t)ceil(config->profile * routing->n_sequences),
                       .domain = MOE_NONE,
                       .best = (uint32_t)config->best,
                       .floor = config->floor};
    if (config->keep < 1 || config->keep > routing->n_experts) {
        moe_diag_error(job->diag, job->at, "'keep' must be from 1 to %u experts, got %lld",
                       routing->n_experts, (long long)config->keep);
        return false;
    }
    if (config->domain &&
        !moe_score_domain(routing, config->domain, &of.domain, job->at, job->diag))
        return false;
    g_autofree double *scores = moe_score(routing, &of);
    g_autofree uint32_t *order = g_new(uint32_t, routing->n_experts);
    for (uint32_t l = 0; l < routing->n_layers; l++) {
        size_t first = (size_t)l * routing->n_experts;
        moe_score_rank(scores + first, routing->n_experts, order);
        for (uint32_t i = 0; i < config->keep; i++)
            kept[first + order[i]] = true;
    }
    return true;
}

static bool
mask_loses_none(const moe_transform_job *job, const bool *kept)
{
    const moe_routing *routing = job->routing;
    for (uint64_t t = 0; t < routing->n_tokens; t++)
        for (uint32_t l = 0; l < routing->n_layers; l++)
            for (uint32_t j = 0; j < routing->k; j++) {
                uint32_t id = moe_routing_id(routing, t, l, j);
                if (id >= MOE_ROUTING_NOT_RUN)
                    break;
                if (kept[(size_t)l * routing->n_experts + id])
                    continue;
                moe_diag_error(
                    job->diag, job->at,
                    "%s: token %llu, layer %u: expert %u is not kept ('lost: drop' would "
                    "drop the pair)",
                    routing->path, (unsigned long long)t, routing->layer_ids[l], id);
                return false;
            }
    return true;
}

static bool
mask_open(moe_transform_job *job)
{
    const mask_config *config = job->config;
    const moe_routing *routing = job->routing;
    if ((config->from == MASK_FILE) != (config->file != NULL)) {
        moe_diag_error(job->diag, job->at,
                       config->file ? "'file' is read with 'from: file' only"
                                    : "'from: file' needs a 'file'");
        return false;
    }
    g_autofree bool *kept = g_new0(bool, (size_t)routing->n_layers * routing->n_experts);
    if (!(config->from == MASK_FILE ? mask_by_file(job, kept) : mask_by_score(job, kept)) ||
        (config->lost == MASK_ERROR && !mask_loses_none(job, kept)))
        return false;
    mask_state *state = g_new(mask_state, 1);
    *state = (mask_state){routing->n_layers, routing->n_experts, g_steal_pointer(&kept)};
    job->state = state;
    return true;
}

static void
mask_close(void *data)
{
    mask_state *state = data;
    g_free(state->kept);
    g_free(state);
}

static void
mask_row(const void *data, const void *settings, moe_transform_row *row)
{
    const mask_state *state = data;
    const mask_config *config = settings;
    const bool *kept = state->kept + (size_t)row->layer * state->n_experts;
    bool keep[MOE_ROUTING_MAX_K];
    for (uint32_t j = 0; j < row->n; j++)
        keep[j] = kept[row->ids[j]];
    for (uint32_t e = 0; row->logits && e < state->n_experts; e++)
        if (!kept[e])
            row->logits[e] = -INFINITY;
    row_keep(row, keep, config->renormalise);
}

static void
mask_sizes(const void *data, const void *config, double expert_bits, double *size)
{
    const mask_state *state = data;
    for (size_t i = 0; i < (size_t)state->n_layers * state->n_experts; i++)
        if (!state->kept[i])
            size[i] = 0;
}

static const moe_transform_ops mask_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_FEWER,
    .ahead = true,
    .conserves = "Each row keeps the pairs of kept experts.",
    .needs = mask_needs,
    .open = mask_open,
    .close = mask_close,
    .row = mask_row,
    .sizes = mask_sizes,
    .file = offsetof(mask_config, file),
};

const moe_variant moe_transform_mask = {
    .name = "mask",
    .help = "A pruned set: only some experts of each layer are kept.",
    .rows = mask_rows,
    .n_rows = MOE_COUNT(mask_rows),
    .config_size = sizeof(mask_config),
    .ops = &mask_ops,
};
