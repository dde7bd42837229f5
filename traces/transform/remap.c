/* Experts that became others: each has one image, several may share one (merged experts), and a
 * token that was routed to two of them goes to their image once, with both weights. The table is a
 * file, or the merge groups of MC-SMoE (score.h) made from the trace. */
#include "traces/transform/row.h"

#include "traces/transform/score.h"
#include "traces/transform/table.h"

#include <string.h>

enum { REMAP_FILE, REMAP_GROUPS };

typedef struct remap_config {
    int from;
    const char *file;
    int64_t groups;
} remap_config;

static const moe_param remap_rows[] = {
    {"from", MOE_PARAM_ENUM, offsetof(remap_config, from), "file", .choices = "file|groups",
     .flags = ROW_ID,
     .help = "file: a table; groups: each layer's most used experts stay, each "
             "other one joins the most similar of them."},
    {"file", MOE_PARAM_TEXT, offsetof(remap_config, file), NULL,
     .help = "A table with the columns layer,expert,to; experts it does not name stay."},
    {"groups", MOE_PARAM_INT, offsetof(remap_config, groups), "0", 0, MOE_ROUTING_MAX_EXPERTS,
     .unit = "experts", .flags = ROW_ID,
     .help = "With `from: groups`: experts left per layer, on "
             "average."},
};

typedef struct remap_state {
    uint32_t n_layers, n_experts;
    uint16_t *to; /* [n_layers * n_experts] */
} remap_state;

static bool
remap_by_file(const moe_transform_job *job, uint16_t *to)
{
    const remap_config *config = job->config;
    uint32_t n_experts = job->routing->n_experts;
    moe_table_shape shape = moe_table_of(job, "to", 0, n_experts - 1, true);
    g_autofree double *table = moe_table_read(job, config->file, &shape);
    for (size_t i = 0; table && i < (size_t)shape.n_layers * n_experts; i++)
        to[i] = (uint16_t)(isnan(table[i]) ? (double)(i % n_experts) : table[i]);
    return table != NULL;
}

static bool
remap_open(moe_transform_job *job)
{
    const remap_config *config = job->config;
    const moe_routing *routing = job->routing;
    if ((config->from == REMAP_FILE) != (config->file != NULL)) {
        moe_diag_error(job->diag, job->at,
                       config->file ? "'file' is read with 'from: file' only"
                                    : "'from: file' needs a 'file'");
        return false;
    }
    if (config->from == REMAP_GROUPS &&
        (config->groups < 1 || config->groups > routing->n_experts)) {
        moe_diag_error(job->diag, job->at, "'groups' must be from 1 to %u experts, got %lld",
                       routing->n_experts, (long long)config->groups);
        return false;
    }
    g_autofree uint16_t *to = g_new(uint16_t, (size_t)routing->n_layers * routing->n_experts);
    if (config->from == REMAP_GROUPS)
        moe_score_groups(routing, (uint32_t)config->groups, to);
    else if (!remap_by_file(job, to))
        return false;
    remap_state *state = g_new(remap_state, 1);
    *state = (remap_state){routing->n_layers, routing->n_experts, g_steal_pointer(&to)};
    job->state = state;
    return true;
}

static void
remap_close(void *data)
{
    remap_state *state = data;
    g_free(state->to);
    g_free(state);
}

/* The first pair of an image keeps its place. */
static void
remap_ids(const uint16_t *to, moe_transform_row *row)
{
    uint32_t n = 0;
    for (uint32_t j = 0; j < row->n; j++) {
        uint16_t image = to[row->ids[j]];
        uint32_t at = 0;
        while (at < n && row->ids[at] != image)
            at++;
        if (at == n) {
            row->ids[n] = image;
            if (row->weights)
                row->weights[n] = row->weights[j];
            n++;
        } else if (row->weights)
            row->weights[at] += row->weights[j];
    }
    row->n = n;
}

/* An image's logit is the highest of those it stands for; what is no image cannot be chosen. */
static void
remap_logits(const remap_state *state, const uint16_t *to, float *logits)
{
    g_autofree float *before = g_new(float, state->n_experts);
    memcpy(before, logits, state->n_experts * sizeof *before);
    for (uint32_t e = 0; e < state->n_experts; e++)
        logits[e] = -INFINITY;
    for (uint32_t e = 0; e < state->n_experts; e++)
        logits[to[e]] = MAX(logits[to[e]], before[e]);
}

static void
remap_row(const void *data, const void *config, moe_transform_row *row)
{
    const remap_state *state = data;
    const uint16_t *to = state->to + (size_t)row->layer * state->n_experts;
    remap_ids(to, row);
    if (row->logits)
        remap_logits(state, to, row->logits);
}

static void
remap_sizes(const void *data, const void *config, double expert_bits, double *size)
{
    const remap_state *state = data;
    g_autofree bool *image = g_new(bool, state->n_experts);
    for (uint32_t l = 0; l < state->n_layers; l++) {
        size_t first = (size_t)l * state->n_experts;
        memset(image, 0, state->n_experts * sizeof *image);
        for (uint32_t e = 0; e < state->n_experts; e++)
            image[state->to[first + e]] = true;
        for (uint32_t e = 0; e < state->n_experts; e++)
            if (!image[e])
                size[first + e] = 0;
    }
}

static const moe_transform_ops remap_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_RENAMED,
    .ahead = true,
    .conserves = "Each pair becomes that of its expert's image; two of one image become one, and "
                 "the sum of a row's weights stays.",
    .open = remap_open,
    .close = remap_close,
    .row = remap_row,
    .sizes = remap_sizes,
    .file = offsetof(remap_config, file),
};

const moe_variant moe_transform_remap = {
    .name = "remap",
    .help = "Experts that became others: a table of images, or merge groups.",
    .rows = remap_rows,
    .n_rows = MOE_COUNT(remap_rows),
    .config_size = sizeof(remap_config),
    .ops = &remap_ops,
};
