/* [tokens, layers, k] for numpy, sequence by sequence; format:
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html (version 1.0). */
#include "traces/export/export.h"

#define NPY_ALIGN 64 /* of the data, as numpy writes it */

static void
npy_header(const moe_export_job *job, bool wide)
{
    const moe_routing *r = job->routing;
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(
        text, "{'descr': '%s', 'fortran_order': False, 'shape': (%" G_GUINT64_FORMAT ", %u, %u), }",
        wide ? "<i4" : "<i2", r->n_tokens, r->n_layers, r->k);
    while ((10 + text->len + 1) % NPY_ALIGN)
        g_string_append_c(text, ' ');
    g_string_append_c(text, '\n');
    const uint8_t magic[] = {0x93,
                             'N',
                             'U',
                             'M',
                             'P',
                             'Y',
                             1,
                             0,
                             (uint8_t)(text->len & 0xFF),
                             (uint8_t)(text->len >> 8)};
    moe_output_write(job->output, magic, sizeof magic);
    moe_output_write(job->output, text->str, text->len);
}

/* One token; how many of its rows are empty without being "not run". */
static uint64_t
npy_token(const moe_export_job *job, uint64_t row, bool wide)
{
    const moe_routing *r = job->routing;
    uint64_t empty = 0;
    for (uint32_t layer = 0; layer < r->n_layers; layer++) {
        empty += moe_routing_id(r, row, layer, 0) == MOE_ROUTING_NO_EXPERT;
        for (uint32_t j = 0; j < r->k; j++) {
            uint32_t id = moe_routing_id(r, row, layer, j);
            int32_t value = id >= MOE_ROUTING_NOT_RUN ? -1 : (int32_t)id;
            int16_t narrow = (int16_t)value;
            if (wide)
                moe_output_write(job->output, &value, sizeof value);
            else
                moe_output_write(job->output, &narrow, sizeof narrow);
        }
    }
    return empty;
}

static void
npy_run(const moe_export_job *job)
{
    const moe_routing *r = job->routing;
    bool wide = r->n_experts > INT16_MAX;
    uint64_t done = 0, empty = 0;
    npy_header(job, wide);
    for (uint32_t s = 0; s < r->n_sequences; s++) {
        uint64_t n = r->sequence_first[s + 1] - r->sequence_first[s];
        for (uint64_t i = 0; i < n && !moe_output_failed(job->output); i++) {
            empty += npy_token(job, moe_routing_token(r, s, i), wide);
            moe_export_progress(job, done++);
        }
    }
    if (empty)
        g_string_append_printf(job->report,
                               "left out: that %" G_GUINT64_FORMAT
                               " token-layers have no expert: -1, as where the layer did not run\n",
                               empty);
    if (r->n_layers && r->layer_ids[r->n_layers - 1] != r->n_layers - 1)
        g_string_append(job->report, "left out: the layers' numbers\n");
}

const moe_exporter moe_exporter_npy = {
    .name = "npy",
    .suffix = ".npy",
    .help = "An array of numpy, [tokens, layers, k] of int16 (int32 above 32767 experts), sequence "
            "after sequence, by position; -1: no expert.",
    .run = npy_run,
};
