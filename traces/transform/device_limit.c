/* A token's experts lie on at most so many devices (or nodes): those with the best experts for it.
 * The others are barred, so that a `reroute` after it fills the row. DeepSeek-V2 ranks devices by
 * their best expert, DeepSeek-V3 nodes by the sum of their best k / limit sigmoid scores
 * (arXiv 2405.04434, 2412.19437). Devices hold consecutive experts. */
#include "traces/transform/row.h"

typedef struct limit_config {
    int64_t devices, limit, best;
    bool renormalise;
} limit_config;

enum { LIMIT_DEVICES = 1024 };

static const moe_param limit_rows[] = {
    {"devices", MOE_PARAM_INT, offsetof(limit_config, devices), NULL, 1, LIMIT_DEVICES,
     .flags = ROW_ID | MOE_PARAM_REQUIRED, .help = "Devices that the experts are spread over."},
    {"limit", MOE_PARAM_INT, offsetof(limit_config, limit), NULL, 1, LIMIT_DEVICES,
     .flags = ROW_ID | MOE_PARAM_REQUIRED, .help = "Devices that a token may be sent to."},
    {"best", MOE_PARAM_INT, offsetof(limit_config, best), "1", 1, MOE_ROUTING_MAX_K,
     .flags = ROW_ID,
     .help = "A device is worth the sum of its best so many sigmoid scores; "
             "without logits, the gate weights it has in the row."},
    ROW_RENORMALISE(limit_config),
};

static unsigned
limit_needs(const void *config)
{
    return MOE_TRANSFORM_ORDERED;
}

typedef struct limit_state {
    uint32_t n_experts;
} limit_state;

static bool
limit_open(moe_transform_job *job)
{
    const limit_config *config = job->config;
    if (config->devices > job->routing->n_experts || config->limit > config->devices) {
        bool limit = config->limit > config->devices;
        moe_diag_error(job->diag, job->at, "'%s' is %lld, but there are %lld %s",
                       limit ? "limit" : "devices",
                       (long long)(limit ? config->limit : config->devices),
                       limit ? (long long)config->devices : (long long)job->routing->n_experts,
                       limit ? "devices" : "experts");
        return false;
    }
    limit_state *state = g_new(limit_state, 1);
    state->n_experts = job->routing->n_experts;
    job->state = state;
    return true;
}

static uint32_t
limit_device(const limit_state *state, const limit_config *config, uint32_t expert)
{
    return (uint32_t)((uint64_t)expert * (uint64_t)config->devices / state->n_experts);
}

/* What each device is worth to the token. */
static void
limit_worth(const limit_state *state, const limit_config *config, const moe_transform_row *row,
            double *worth)
{
    for (uint32_t d = 0; d < config->devices; d++)
        worth[d] = 0;
    if (!row->logits) {
        for (uint32_t j = 0; j < row->n; j++) /* in order of weight where there is none */
            worth[limit_device(state, config, row->ids[j])] +=
                row->weights ? (double)row->weights[j] : 1.0 / (1 << MIN(j, 30));
        return;
    }
    uint16_t ids[MOE_ROUTING_MAX_K];
    for (uint32_t first = 0, last; first < state->n_experts; first = last) {
        uint32_t device = limit_device(state, config, first);
        last = first;
        while (last < state->n_experts && limit_device(state, config, last) == device)
            last++;
        uint32_t n = row_best(row->logits + first, last - first, (uint32_t)config->best, ids);
        for (uint32_t j = 0; j < n; j++)
            worth[device] += row_sigmoid((double)row->logits[first + ids[j]]);
    }
}

static void
limit_row(const void *data, const void *settings, moe_transform_row *row)
{
    const limit_state *state = data;
    const limit_config *config = settings;
    double worth[LIMIT_DEVICES];
    bool allowed[LIMIT_DEVICES] = {false}, keep[MOE_ROUTING_MAX_K];
    limit_worth(state, config, row, worth);
    for (int64_t i = 0; i < config->limit; i++) {
        uint32_t best = MOE_NONE;
        for (uint32_t d = 0; d < config->devices; d++)
            if (!allowed[d] && (best == MOE_NONE || worth[d] > worth[best]))
                best = d;
        allowed[best] = true;
    }
    for (uint32_t j = 0; j < row->n; j++)
        keep[j] = allowed[limit_device(state, config, row->ids[j])];
    for (uint32_t e = 0; row->logits && e < state->n_experts; e++)
        if (!allowed[limit_device(state, config, e)])
            row->logits[e] = -INFINITY;
    row_keep(row, keep, config->renormalise);
}

static const moe_transform_ops limit_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_FEWER,
    .conserves = "Each row keeps the pairs of the devices that are worth most to it.",
    .needs = limit_needs,
    .open = limit_open,
    .row = limit_row,
    .file = SIZE_MAX,
};

const moe_variant moe_transform_device_limit = {
    .name = "device-limit",
    .help = "A token's experts lie on at most so many devices.",
    .rows = limit_rows,
    .n_rows = MOE_COUNT(limit_rows),
    .config_size = sizeof(limit_config),
    .ops = &limit_ops,
};
