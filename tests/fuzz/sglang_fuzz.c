/* Answers of SGLang, as JSON. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    moe_import_options options = {.top_k = 2};
    return fuzz_importer(&moe_importer_sglang, "x.json", data, size, &options);
}
