/* A ServeGen client and its lengths, one text behind the other, cut at the first '{'. */
#include "tests/import.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"x-trace.csv", "x-dataset.json"};
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    const uint8_t *lengths = size ? memchr(data, '{', size) : NULL;
    size_t client = lengths ? (size_t)(lengths - data) : size;
    moe_import_options options = {.seed = 1};
    moe_import_bytes memory[] = {{data, client}, {data + client, size - client}};
    moe_import_job job = {.paths = names,
                          .n_paths = 2,
                          .memory = memory,
                          .options = &options,
                          .diag = diag,
                          .error = &error};
    g_autoptr(moe_requests_builder) builder = moe_import_requests(&moe_importer_servegen, &job);
    moe_assert((builder == NULL) == (error != NULL || moe_diag_errors(diag) > 0),
               "neither requests nor a message");
    return 0;
}
