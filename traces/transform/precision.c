/* Experts of different precision: a width per expert, as bit allocation gives it (`moesim trace
 * bits`; MC-MoE, arXiv 2410.06270). The routing stays; loads, reads and memory follow the bytes. */
#include "traces/transform/row.h"

#include "traces/transform/table.h"

typedef struct precision_config {
    const char *file;
    double overhead;
} precision_config;

static const moe_param precision_rows[] = {
    {"file", MOE_PARAM_TEXT, offsetof(precision_config, file), NULL, .flags = MOE_PARAM_REQUIRED,
     .help = "A table with the columns layer,expert,bits; experts it does not name stay as "
             "`precision.experts` says."},
    {"overhead", MOE_PARAM_REAL, offsetof(precision_config, overhead), "0", 0, 16, .unit = "bits",
     .flags = ROW_ID, .help = "Bits per weight beyond the table's: scales and zero points."},
};

typedef struct precision_state {
    size_t n;
    double *bits; /* NAN: as it was */
} precision_state;

static bool
precision_open(moe_transform_job *job)
{
    const precision_config *config = job->config;
    moe_table_shape shape = moe_table_of(job, "bits", 0.1, 64, false);
    double *bits = moe_table_read(job, config->file, &shape);
    if (!bits)
        return false;
    precision_state *state = g_new(precision_state, 1);
    *state = (precision_state){(size_t)shape.n_layers * shape.n_experts, bits};
    job->state = state;
    return true;
}

static void
precision_close(void *data)
{
    precision_state *state = data;
    g_free(state->bits);
    g_free(state);
}

static void
precision_sizes(const void *data, const void *settings, double expert_bits, double *size)
{
    const precision_state *state = data;
    const precision_config *config = settings;
    for (size_t i = 0; i < state->n; i++)
        if (!isnan(state->bits[i]) && size[i] > 0)
            size[i] = (state->bits[i] + config->overhead) / expert_bits;
}

static const moe_transform_ops precision_ops = {
    .stage = MOE_TRANSFORM_SIZES,
    .pairs = MOE_PAIRS_SAME,
    .conserves = "Every pair stays; experts weigh what their own bits say.",
    .open = precision_open,
    .close = precision_close,
    .sizes = precision_sizes,
    .file = offsetof(precision_config, file),
};

const moe_variant moe_transform_precision = {
    .name = "precision",
    .help = "A precision per expert, from a file.",
    .rows = precision_rows,
    .n_rows = MOE_COUNT(precision_rows),
    .config_size = sizeof(precision_config),
    .ops = &precision_ops,
};
