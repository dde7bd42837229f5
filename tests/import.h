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

#endif
