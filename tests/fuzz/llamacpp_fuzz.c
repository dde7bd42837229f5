/* Rows that llama.cpp wrote, as CSV or binary. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    moe_import_options options = {0};
    return fuzz_importer(&moe_importer_llamacpp, "x.csv", data, size, &options);
}
