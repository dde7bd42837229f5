/* One importer over one input: either a trace that passes every check, or messages. */
#ifndef MOE_TESTS_FUZZ_IMPORT_H
#define MOE_TESTS_FUZZ_IMPORT_H

#include "tests/import.h"

#include "traces/requests/requests_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((unused)) static int
fuzz_importer(const moe_importer *importer, const char *name, const uint8_t *data, size_t size,
              const moe_import_options *options)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) report = g_string_new(NULL);
    g_autoptr(moe_routing_builder) builder =
        import_memory(importer, name, data, size, options, diag, report, &error);
    moe_assert((builder == NULL) == (error != NULL || moe_diag_errors(diag) > 0),
               "neither a routing nor a message");
    bool valid = !builder || moe_routing_builder_check(builder, name, diag);
    g_autofree char *text = moe_diag_render(diag);
    moe_assert(valid, "%s", text);
    return 0;
}

__attribute__((unused)) static int
fuzz_requests(const moe_importer *importer, const char *name, const uint8_t *data, size_t size,
              const moe_import_options *options)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) report = g_string_new(NULL);
    moe_requests_builder *builder =
        import_requests(importer, name, data, size, options, diag, report, &error);
    moe_assert((builder == NULL) == (error != NULL || moe_diag_errors(diag) > 0),
               "neither requests nor a message");
    if (!builder)
        return 0;
    g_autoptr(moe_requests_file) file = moe_requests_builder_finish(builder, name, &error);
    moe_requests requests = file ? *moe_requests_get(file) : (moe_requests){0};
    bool valid = !file || moe_requests_check(&requests, diag);
    g_autofree char *text = moe_diag_render(diag);
    moe_assert(valid, "%s", text);
    if (file)
        moe_requests_describe(file, report);
    return 0;
}

#endif
