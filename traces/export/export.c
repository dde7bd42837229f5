#include "traces/export/export.h"

#include "sim/base/error.h"

#include <string.h>

const moe_exporter *const moe_exporters[] = {
#define MOE_EXPORTER(symbol, name, suffix) &moe_exporter_##symbol,
#include "traces/export/exporters.def"
#undef MOE_EXPORTER
    NULL,
};

const moe_exporter *
moe_exporter_of(const char *path)
{
    for (size_t i = 0; moe_exporters[i]; i++)
        if (g_str_has_suffix(path, moe_exporters[i]->suffix))
            return moe_exporters[i];
    return NULL;
}

void
moe_export_progress(const moe_export_job *job, uint64_t done)
{
    if (job->progress && (done & 1023) == 0)
        job->progress(job->context, (double)done, (double)job->routing->n_tokens);
}

const char *
moe_export_real(char buffer[MOE_EXPORT_REAL], float value)
{
    static const char *const formats[] = {"%.6g", "%.7g", "%.8g", "%.9g"};
    for (size_t i = 0; i < MOE_COUNT(formats); i++) {
        g_ascii_formatd(buffer, MOE_EXPORT_REAL, formats[i], (double)value);
        if ((float)g_ascii_strtod(buffer, NULL) == value)
            break;
    }
    return buffer;
}

/* What the trace holds and the format does not. */
static void
export_left_out(const moe_exporter *e, const moe_routing *r, GString *report)
{
    const struct {
        bool lost;
        const char *what;
    } parts[] = {
        {r->weights && !e->weights, "gate weights"},
        {!e->sequences && r->n_sequences > 1, "which tokens are one sequence"},
        {r->step && !e->labels, "steps"},
        {r->domain && !e->labels, "domains"},
        {r->token_id && !e->labels, "token ids"},
        {r->modality != NULL, "modalities"},
        {r->logits != NULL, "router logits"},
        {r->n_lookahead > 0, "look-ahead predictions"},
    };
    for (size_t i = 0; i < MOE_COUNT(parts); i++)
        if (parts[i].lost)
            g_string_append_printf(report, "left out: %s\n", parts[i].what);
}

bool
moe_export(const moe_exporter *exporter, const moe_routing *routing, const char *path,
           moe_progress *progress, void *context, GString *report, GError **error)
{
    g_autoptr(GString) unheard = g_string_new(NULL);
    moe_export_job job = {.routing = routing,
                          .progress = progress,
                          .context = context,
                          .report = report ? report : unheard};
    job.output = moe_output_new(path, error);
    if (!job.output)
        return false;
    if (exporter->seeks && !moe_output_seekable(job.output)) {
        moe_output_discard(job.output);
        moe_error_path(error, MOE_ERROR_FILE, path, 0,
                       "%s is written from its end, which a pipe or device cannot take",
                       exporter->name);
        return false;
    }
    export_left_out(exporter, routing, job.report);
    exporter->run(&job);
    return moe_output_finish(job.output, error);
}

bool
moe_export_requests(const moe_exporter *exporter, const moe_requests *requests, const char *path,
                    GError **error)
{
    moe_output *output = moe_output_new(path, error);
    if (!output)
        return false;
    exporter->requests(requests, output);
    return moe_output_finish(output, error);
}
