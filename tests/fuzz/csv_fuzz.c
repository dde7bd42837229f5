/* Routing as CSV text from memory, packed or not. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    moe_import_options options = {.scratch_above = 64};
    return fuzz_importer(&moe_importer_csv, "x.csv", data, size, &options);
}
