/* Statistics of TensorRT-LLM, as safetensors. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    moe_import_options options = {0};
    return fuzz_importer(&moe_importer_trtllm, "x.safetensors", data, size, &options);
}
