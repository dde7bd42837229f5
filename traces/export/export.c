#include "traces/export/export.h"

#include "sim/base/error.h"
#include "sim/base/text.h"
#include "traces/routing_file.h"

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

bool
moe_export_meta(const moe_routing_file *file, size_t i, const char **key, const char **value)
{
    static const char *const described[] = {"format", "version", "layer_ids", "experts",
                                            "top_k",  "domains", "modalities"};
    if (i >= file->n_meta)
        return false;
    *key = file->meta[i].key;
    *value = file->meta[i].value;
    for (size_t j = 0; j < MOE_COUNT(described); j++)
        if (*key && strcmp(*key, described[j]) == 0)
            *key = NULL;
    return true;
}

/* The keys of metadata that is not written, in one line. */
static void
export_meta_left_out(const moe_routing_file *file, GString *report)
{
    const char *key, *value;
    bool some = false;
    for (size_t i = 0; moe_export_meta(file, i, &key, &value); i++) {
        if (!key)
            continue;
        g_autofree char *seen = moe_text_visible(key, strlen(key));
        g_string_append_printf(report, "%s%s", some ? ", " : "left out: metadata ", seen);
        some = true;
    }
    if (some)
        g_string_append_c(report, '\n');
}

/* What the trace holds and the format does not. */
static void
export_left_out(const moe_exporter *e, const moe_routing_file *file, GString *report)
{
    const moe_routing *r = moe_routing_get(file);
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
        {r->times != NULL, "stage times"},
        {r->similarity != NULL, "similarity"},
    };
    for (size_t i = 0; i < MOE_COUNT(parts); i++)
        if (parts[i].lost)
            g_string_append_printf(report, "left out: %s\n", parts[i].what);
    if (!e->meta)
        export_meta_left_out(file, report);
}

bool
moe_export(const moe_exporter *exporter, const moe_routing_file *file, const char *path,
           moe_progress *progress, void *context, GString *report, GError **error)
{
    g_autoptr(GString) unheard = g_string_new(NULL);
    moe_export_job job = {.file = file,
                          .routing = moe_routing_get(file),
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
    export_left_out(exporter, file, job.report);
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
