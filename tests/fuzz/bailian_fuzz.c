/* Requests as Qwen-Bailian's JSON lines, sorted, packed or not. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    moe_import_options options = {.sort = true};
    return fuzz_requests(&moe_importer_bailian, "x.jsonl", data, size, &options);
}
