/* Route records as JSON lines, one per token and layer, behind one that says what they do not. */
#include "traces/export/export.h"

#include "traces/json_scan.h"

static void
jsonl_text(moe_output *o, const char *text)
{
    g_autoptr(GString) quoted = g_string_new(NULL);
    moe_json_put_text(quoted, text);
    moe_output_text(o, quoted->str);
}

static void
jsonl_token(const moe_export_job *job, uint64_t row)
{
    const moe_routing *r = job->routing;
    moe_output *o = job->output;
    moe_output_format(o, "{\"type\":\"route\",\"req_id\":%u,\"token_idx\":%u,\"phase\":\"%s\"",
                      r->sequence[row], r->position[row],
                      r->phase[row] == MOE_PREFILL ? "prefill" : "decode");
    if (r->step)
        moe_output_format(o, ",\"step\":%u", r->step[row]);
    if (r->token_id)
        moe_output_format(o, ",\"token_id\":%u", r->token_id[row]);
    if (!r->domain)
        return;
    g_autofree char *number = g_strdup_printf("%u", r->domain[row]);
    moe_output_text(o, ",\"domain\":");
    jsonl_text(o, r->domain_names ? r->domain_names[r->domain[row]] : number);
}

static void
jsonl_layer(const moe_export_job *job, uint64_t row, uint32_t layer)
{
    const moe_routing *r = job->routing;
    moe_output *o = job->output;
    char real[MOE_EXPORT_REAL];
    uint32_t n = 0;
    bool not_run = moe_routing_id(r, row, layer, 0) == MOE_ROUTING_NOT_RUN;
    moe_output_format(o, ",\"layer\":%u,\"topk_ids\":%s", r->layer_ids[layer],
                      not_run ? "null" : "[");
    for (uint32_t id; n < r->k && (id = moe_routing_id(r, row, layer, n)) < MOE_ROUTING_NOT_RUN;
         n++)
        moe_output_format(o, "%s%u", n ? "," : "", id);
    moe_output_text(o, not_run ? "" : "]");
    if (r->weights) {
        const float *weights = r->weights + (row * r->n_layers + layer) * r->k;
        moe_output_text(o, ",\"topk_weights\":[");
        for (uint32_t j = 0; j < n; j++) {
            moe_output_text(o, j ? "," : "");
            moe_output_text(o, moe_export_real(real, weights[j]));
        }
        moe_output_text(o, "]");
    }
    moe_output_text(o, "}\n");
}

/* ,"metadata":{"counterfactual":"true",…}: so that what was changed stays marked. */
static void
jsonl_meta(const moe_export_job *job)
{
    const char *key, *value;
    bool some = false;
    for (size_t i = 0; moe_export_meta(job->file, i, &key, &value); i++) {
        if (!key)
            continue;
        moe_output_text(job->output, some ? "," : ",\"metadata\":{");
        jsonl_text(job->output, key);
        moe_output_text(job->output, ":");
        jsonl_text(job->output, value);
        some = true;
    }
    moe_output_text(job->output, some ? "}" : "");
}

static void
jsonl_run(const moe_export_job *job)
{
    const moe_routing *r = job->routing;
    moe_output *o = job->output;
    moe_output_text(o, "{\"type\":\"meta\"");
    if (*r->model) {
        moe_output_text(o, ",\"model\":");
        jsonl_text(o, r->model);
    }
    moe_output_format(o, ",\"n_experts\":%u,\"top_k\":%u,\"layers\":%u", r->n_experts, r->k,
                      r->n_layers);
    jsonl_meta(job);
    moe_output_text(o, "}\n");
    for (uint64_t row = 0; row < r->n_tokens && !moe_output_failed(o); row++) {
        for (uint32_t layer = 0; layer < r->n_layers; layer++) {
            jsonl_token(job, row);
            jsonl_layer(job, row, layer);
        }
        moe_export_progress(job, row);
    }
}

const moe_exporter moe_exporter_jsonl = {
    .name = "jsonl",
    .suffix = ".jsonl",
    .help = "JSON lines: a record of type \"meta\" (model, n_experts, top_k, layers, metadata), "
            "then one per "
            "token and layer with req_id, token_idx, phase, layer, topk_ids (null: layer not run) "
            "and what there is of topk_weights, step, token_id, domain.",
    .sequences = true,
    .weights = true,
    .labels = true,
    .meta = true,
    .run = jsonl_run,
};
