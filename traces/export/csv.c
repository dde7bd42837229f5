/* The CSV that `trace import --format csv` reads: a row per token and layer. */
#include "traces/export/export.h"

static void
csv_row(const moe_export_job *job, uint64_t row, uint32_t layer)
{
    const moe_routing *r = job->routing;
    moe_output *o = job->output;
    char real[MOE_EXPORT_REAL];
    uint32_t n = 0;
    moe_output_format(o, "%u,%u,%u,", r->sequence[row], r->position[row], r->layer_ids[layer]);
    for (uint32_t id; n < r->k && (id = moe_routing_id(r, row, layer, n)) < MOE_ROUTING_NOT_RUN;
         n++)
        moe_output_format(o, "%s%u", n ? " " : "", id);
    if (n == 0)
        moe_output_text(o, moe_routing_id(r, row, layer, 0) == MOE_ROUTING_NOT_RUN ? "not-run"
                                                                                   : "none");
    if (r->weights) {
        const float *weights = r->weights + (row * r->n_layers + layer) * r->k;
        moe_output_text(o, n ? "," : ",none");
        for (uint32_t j = 0; j < n; j++) {
            moe_output_text(o, j ? " " : "");
            moe_output_text(o, moe_export_real(real, weights[j]));
        }
    }
    moe_output_text(o, r->phase[row] == MOE_PREFILL ? ",prefill\n" : ",decode\n");
}

static void
csv_run(const moe_export_job *job)
{
    const moe_routing *r = job->routing;
    moe_output_text(job->output, "seq,pos,layer,experts");
    moe_output_text(job->output, r->weights ? ",weights,phase\n" : ",phase\n");
    for (uint64_t row = 0; row < r->n_tokens && !moe_output_failed(job->output); row++) {
        for (uint32_t layer = 0; layer < r->n_layers; layer++)
            csv_row(job, row, layer);
        moe_export_progress(job, row);
    }
    g_string_append_printf(job->report,
                           "the columns do not say the number of experts: --experts %u when it is "
                           "imported\n",
                           r->n_experts);
}

const moe_exporter moe_exporter_csv = {
    .name = "csv",
    .suffix = ".csv",
    .help = "seq,pos,layer,experts[,weights],phase: a row per token and layer, as `trace import` "
            "reads it; \"none\" where a token has no expert, \"not-run\" where the layer did not "
            "run. Of requests: the columns of the importer requests-csv.",
    .sequences = true,
    .weights = true,
    .run = csv_run,
    .requests = moe_requests_export_csv,
};
