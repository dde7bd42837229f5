/* Requests as LLMServingSim's JSON lines, blocks of 4 tokens, packed or not. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    moe_import_options options = {.block_tokens = 4};
    return fuzz_requests(&moe_importer_llmservingsim, "x.jsonl", data, size, &options);
}
