/* Tokens of a modality have experts of their own (MoMa, arXiv 2407.21770): the experts of a layer
 * are divided among the modalities in their order, those of the others are barred. A `reroute` or
 * `expert-choice` after it fills the groups. */
#include "traces/transform/row.h"

#include "sim/base/units.h"

typedef struct groups_config {
    const char *experts;
    bool renormalise;
} groups_config;

static const moe_param groups_rows[] = {
    {"experts", MOE_PARAM_TEXT, offsetof(groups_config, experts), NULL, .flags = ROW_ID,
     .help = "Experts of each modality, such as '6,2'; equal groups unless said."},
    ROW_RENORMALISE(groups_config),
};

enum { GROUPS_MODALITIES = 256 };

typedef struct groups_state {
    const moe_routing *routing;
    uint32_t first[GROUPS_MODALITIES + 1]; /* modality m has experts first[m] .. first[m + 1] - 1 */
} groups_state;

static unsigned
groups_needs(const void *config)
{
    return MOE_TRANSFORM_MODALITY;
}

static bool
groups_sizes(const char *text, uint32_t n_modalities, uint32_t n_experts, uint32_t *first)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", GROUPS_MODALITIES + 1);
    uint32_t m = 0;
    for (; parts[m] && m < n_modalities; m++) {
        int64_t n;
        if (!moe_parse_int(g_strstrip(parts[m]), &n) || n < 1 || n > n_experts - first[m])
            return false;
        first[m + 1] = first[m] + (uint32_t)n;
    }
    return m == n_modalities && !parts[m] && first[m] == n_experts;
}

static bool
groups_open(moe_transform_job *job)
{
    const groups_config *config = job->config;
    const moe_routing *routing = job->routing;
    uint32_t n = routing->n_modalities;
    g_autofree groups_state *state = g_new0(groups_state, 1);
    state->routing = routing;
    for (uint32_t m = 0; m < n && !config->experts; m++)
        state->first[m + 1] = (uint32_t)((uint64_t)routing->n_experts * (m + 1) / n);
    if (config->experts ? !groups_sizes(config->experts, n, routing->n_experts, state->first)
                        : n > routing->n_experts) {
        moe_diag_error(job->diag, job->at,
                       "'experts' must be %u numbers from 1 on that add up to %u, got '%s'", n,
                       routing->n_experts, config->experts ? config->experts : "");
        return false;
    }
    job->state = g_steal_pointer(&state);
    return true;
}

static void
groups_row(const void *data, const void *settings, moe_transform_row *row)
{
    const groups_state *state = data;
    const groups_config *config = settings;
    uint32_t modality = state->routing->modality[row->token];
    uint32_t first = state->first[modality], last = state->first[modality + 1];
    bool keep[MOE_ROUTING_MAX_K];
    for (uint32_t j = 0; j < row->n; j++)
        keep[j] = row->ids[j] >= first && row->ids[j] < last;
    for (uint32_t e = 0; row->logits && e < state->routing->n_experts; e++)
        if (e < first || e >= last)
            row->logits[e] = -INFINITY;
    row_keep(row, keep, config->renormalise);
}

static const moe_transform_ops groups_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_FEWER,
    .ahead = true,
    .conserves = "Each row keeps the pairs of its modality's experts.",
    .needs = groups_needs,
    .open = groups_open,
    .row = groups_row,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_modality_groups = {
    .name = "modality-groups",
    .help = "Each modality has experts of its own.",
    .rows = groups_rows,
    .n_rows = MOE_COUNT(groups_rows),
    .config_size = sizeof(groups_config),
    .ops = &groups_ops,
};
