/* Requests as BurstGPT's CSV, packed or not. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    moe_import_options options = {0};
    return fuzz_requests(&moe_importer_burstgpt, "x.csv", data, size, &options);
}
