/* One importer over one input: either a trace that passes every check, or messages. */
#ifndef MOE_TESTS_FUZZ_IMPORT_H
#define MOE_TESTS_FUZZ_IMPORT_H

#include "tests/import.h"

#include "traces/requests/requests_file.h"

#include <string.h>

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

/* Requests as CSV, imported and written as CSV again: the same text. */
__attribute__((unused)) static void
fuzz_requests_again(const moe_requests *requests)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GString) again = g_string_new(NULL);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_import_options options = {0};
    moe_requests_csv(requests, 0, requests->n, text);
    moe_requests_builder *builder =
        import_requests(&moe_importer_requests_csv, "again.csv", text->str, text->len, &options,
                        diag, NULL, &error);
    g_autofree char *messages = moe_diag_render(diag);
    moe_assert(builder, "%s\n%s", messages, text->str);
    g_autoptr(moe_requests_file) file = moe_requests_builder_finish(builder, "again", &error);
    moe_requests_csv(moe_requests_get(file), 0, moe_requests_get(file)->n, again);
    moe_assert(moe_requests_get(file)->n == requests->n && strcmp(again->str, text->str) == 0,
               "%s\nbecame\n%s", text->str, again->str);
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
    if (!file)
        return 0;
    moe_requests requests = *moe_requests_get(file);
    bool valid = moe_requests_check(&requests, diag);
    g_autofree char *text = moe_diag_render(diag);
    moe_assert(valid, "%s", text);
    moe_requests_describe(file, report);
    fuzz_requests_again(&requests);
    return 0;
}

#endif
