/* Importers called from tests: from memory, from a file. */
#ifndef MOE_TESTS_IMPORT_H
#define MOE_TESTS_IMPORT_H

#include "traces/import/import.h"

/* `report` and `error` may be NULL. */
__attribute__((unused)) static moe_routing_builder *
import_memory(const moe_importer *importer, const char *name, const void *bytes, size_t n,
              const moe_import_options *options, moe_diag *diag, GString *report, GError **error)
{
    moe_import_bytes memory = {bytes, n};
    moe_import_job job = {.paths = &name,
                          .n_paths = 1,
                          .memory = &memory,
                          .options = options,
                          .diag = diag,
                          .report = report,
                          .error = error};
    return moe_import_run(importer, &job);
}

__attribute__((unused)) static moe_requests_builder *
import_requests(const moe_importer *importer, const char *name, const void *bytes, size_t n,
                const moe_import_options *options, moe_diag *diag, GString *report, GError **error)
{
    moe_import_bytes memory = {bytes, n};
    moe_import_job job = {.paths = &name,
                          .n_paths = 1,
                          .memory = &memory,
                          .options = options,
                          .diag = diag,
                          .report = report,
                          .error = error};
    return moe_import_requests(importer, &job);
}

__attribute__((unused)) static moe_routing_builder *
import_file(const moe_importer *importer, const char *path, moe_diag *diag, GError **error)
{
    moe_import_options options = {0};
    moe_import_job job = {
        .paths = &path, .n_paths = 1, .options = &options, .diag = diag, .error = error};
    return moe_import_run(importer, &job);
}

/* What came of an import, for tables of cases. */
typedef struct import_outcome {
    moe_routing_file *file; /* NULL: refused */
    char *messages, *report;
} import_outcome;

__attribute__((unused)) static void
import_outcome_clear(import_outcome *o)
{
    moe_routing_close(o->file);
    g_free(o->messages);
    g_free(o->report);
}

/* "seq,pos,phase: ids weights | …;" for each token, and what is known of it beside. */
__attribute__((unused)) static char *
import_contents(const moe_routing_file *file)
{
    const moe_routing *r = moe_routing_get(file);
    GString *text = g_string_new(NULL);
    for (uint32_t row = 0; row < r->n_tokens; row++) {
        g_string_append_printf(text, "%u,%u,%c", r->sequence[row], r->position[row],
                               r->phase[row] == MOE_DECODE ? 'd' : 'p');
        if (r->step)
            g_string_append_printf(text, ",step %u", r->step[row]);
        if (r->domain)
            g_string_append_printf(text, ",%s", r->domain_names[r->domain[row]]);
        if (r->token_id)
            g_string_append_printf(text, ",id %u", r->token_id[row]);
        for (uint32_t layer = 0; layer < r->n_layers; layer++) {
            uint16_t ids[MOE_ROUTING_MAX_K];
            uint32_t n = moe_routing_row(r, row, layer, ids);
            g_string_append(text, layer ? " |" : ":");
            if (n == 0)
                g_string_append(text, moe_routing_id(r, row, layer, 0) == MOE_ROUTING_NOT_RUN
                                          ? " not-run"
                                          : " none");
            for (uint32_t j = 0; j < n; j++)
                g_string_append_printf(text, " %u", ids[j]);
            for (uint32_t j = 0; r->weights && j < n; j++)
                g_string_append_printf(
                    text, " %g",
                    (double)r->weights[((size_t)row * r->n_layers + layer) * r->k + j]);
        }
        g_string_append_c(text, ';');
    }
    return g_string_free(text, FALSE);
}

#endif
