/* Rows of sequences that alternate, as npy, npz or safetensors. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    moe_import_options options = {.sequences = 2};
    return fuzz_importer(&moe_importer_megatron, "x.npy", data, size, &options);
}
