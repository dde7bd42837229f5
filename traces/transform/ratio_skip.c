/* The second expert is skipped where its weight is small beside the first's: w1 / w0 < bound, the
 * bound a number, one per layer from a file, or each layer's median over the trace (MC-MoE's
 * dynamic pruning, arXiv 2410.06270). With more than two experts every one but the heaviest is
 * tested. The paper exempts the 2% most important tokens, which only hidden states tell: `exempt`
 * draws as many at random. */
#include "traces/transform/row.h"

#include "sim/base/random.h"
#include "traces/transform/table.h"

#include <stdlib.h>

enum { RATIO_GIVEN, RATIO_MEDIAN, RATIO_FILE };

typedef struct ratio_config {
    int from;
    double bound, exempt;
    const char *file;
    int64_t seed;
    bool renormalise;
} ratio_config;

static const moe_param ratio_rows[] = {
    {"from", MOE_PARAM_ENUM, offsetof(ratio_config, from), "median", .choices = "given|median|file",
     .flags = ROW_ID,
     .help = "Where the bound comes from: `bound`; each layer's median of w1 / w0; "
             "or `file`."},
    {"bound", MOE_PARAM_REAL, offsetof(ratio_config, bound), "0.5", 0, 1, .flags = ROW_ID,
     .help = "With `from: given`: skip below this share of the heaviest expert's weight."},
    {"file", MOE_PARAM_TEXT, offsetof(ratio_config, file), NULL,
     .help = "With `from: file`: a table with the columns layer,bound."},
    {"exempt", MOE_PARAM_SHARE, offsetof(ratio_config, exempt), "0", 0, 1, .flags = ROW_ID,
     .help = "Share of the tokens, drawn at random, at which nothing is skipped."},
    {"seed", MOE_PARAM_INT, offsetof(ratio_config, seed), "1", 0, 9e15, .flags = ROW_ID,
     .help = "Seed of that draw."},
    ROW_RENORMALISE(ratio_config),
};

typedef struct ratio_state {
    const moe_routing *routing;
    moe_stream stream;
    double *bound; /* [n_layers] */
} ratio_state;

static int
ratio_compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* w1 / w0 of a row; -1: it has no second expert. */
static float
ratio_of(const moe_routing *routing, uint64_t token, uint32_t layer)
{
    const float *w = routing->weights + (token * routing->n_layers + layer) * routing->k;
    float first = 0, second = -1;
    for (uint32_t j = 0; j < routing->k; j++) {
        if (moe_routing_id(routing, token, layer, j) >= MOE_ROUTING_NOT_RUN)
            break;
        if (j == 0 || w[j] > first) {
            second = j == 0 ? -1 : first;
            first = w[j];
        } else if (w[j] > second)
            second = w[j];
    }
    return second < 0 || first <= 0 ? -1 : second / first;
}

static void
ratio_medians(const moe_routing *routing, double *bound)
{
    g_autofree float *ratios = g_new(float, routing->n_tokens);
    for (uint32_t l = 0; l < routing->n_layers; l++) {
        uint64_t n = 0;
        for (uint64_t t = 0; t < routing->n_tokens; t++) {
            float ratio = ratio_of(routing, t, l);
            if (ratio >= 0)
                ratios[n++] = ratio;
        }
        qsort(ratios, n, sizeof *ratios, ratio_compare);
        bound[l] = n == 0 ? 0 : ((double)ratios[(n - 1) / 2] + (double)ratios[n / 2]) / 2;
    }
}

static bool
ratio_open(moe_transform_job *job)
{
    const ratio_config *config = job->config;
    const moe_routing *routing = job->routing;
    if ((config->from == RATIO_FILE) != (config->file != NULL)) {
        moe_diag_error(job->diag, job->at,
                       config->file ? "'file' is read with 'from: file' only"
                                    : "'from: file' needs a 'file'");
        return false;
    }
    g_autofree ratio_state *state = g_new0(ratio_state, 1);
    state->routing = routing;
    state->stream = moe_stream_new((uint64_t)config->seed, "exempt", 0);
    if (config->from == RATIO_FILE) {
        moe_table_shape shape = moe_table_of(job, "bound", 0, 1, false);
        shape.n_experts = 0;
        state->bound = moe_table_read(job, config->file, &shape);
        for (uint32_t l = 0; state->bound && l < routing->n_layers; l++)
            if (isnan(state->bound[l])) {
                moe_diag_error(job->diag, job->at, "%s says nothing of layer %u", config->file,
                               routing->layer_ids[l]);
                g_clear_pointer(&state->bound, g_free);
            }
        if (!state->bound)
            return false;
    } else {
        state->bound = g_new(double, routing->n_layers);
        for (uint32_t l = 0; l < routing->n_layers; l++)
            state->bound[l] = config->bound;
        if (config->from == RATIO_MEDIAN)
            ratio_medians(routing, state->bound);
    }
    job->state = g_steal_pointer(&state);
    return true;
}

static void
ratio_close(void *data)
{
    ratio_state *state = data;
    g_free(state->bound);
    g_free(state);
}

static void
ratio_row(const void *data, const void *settings, moe_transform_row *row)
{
    const ratio_state *state = data;
    const ratio_config *config = settings;
    uint64_t key =
        (uint64_t)state->routing->sequence[row->token] << 32 | state->routing->position[row->token];
    if (row->n < 2 ||
        (config->exempt > 0 &&
         (double)(moe_stream_at(&state->stream, key) >> 11) * 0x1.0p-53 < config->exempt))
        return;
    uint32_t order[MOE_ROUTING_MAX_K];
    bool keep[MOE_ROUTING_MAX_K];
    row_order(row, order);
    for (uint32_t j = 0; j < row->n; j++)
        keep[j] = j == order[0] || row->weights[order[0]] <= 0 ||
                  (double)(row->weights[j] / row->weights[order[0]]) >= state->bound[row->layer];
    row_keep(row, keep, config->renormalise);
}

static const moe_transform_ops ratio_ops = {
    .stage = MOE_TRANSFORM_ROWS,
    .pairs = MOE_PAIRS_FEWER,
    .conserves = "Each row keeps its heaviest pair and those whose share of its weight reaches the "
                 "bound.",
    .needs = row_needs_weights,
    .open = ratio_open,
    .close = ratio_close,
    .row = ratio_row,
    .file = offsetof(ratio_config, file),
};

const moe_variant moe_transform_ratio_skip = {
    .name = "ratio-skip",
    .help = "Skip experts whose weight is small beside the heaviest one's.",
    .rows = ratio_rows,
    .n_rows = MOE_COUNT(ratio_rows),
    .config_size = sizeof(ratio_config),
    .ops = &ratio_ops,
};
