/* Routing as a bare stream of ids from memory, packed or not. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    moe_import_options options = {.layers = 2, .experts = 10, .top_k = 2};
    return fuzz_importer(&moe_importer_raw_u32, "x.bin", data, size, &options);
}
