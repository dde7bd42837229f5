/* Router logits, as npz or safetensors. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    moe_import_options options = {.top_k = 2, .sequences = 2};
    return fuzz_importer(&moe_importer_hf_logits, "x.safetensors", data, size, &options);
}
