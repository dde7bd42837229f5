/* Request traces from memory: opened with every check, or messages. */
#include "tests/fuzz/import.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(moe_requests_file) file = moe_requests_open_memory("x.safetensors", data, size, diag);
    moe_assert((file == NULL) == (moe_diag_errors(diag) > 0), "neither requests nor a message");
    if (file)
        moe_requests_describe(file, text);
    if (file)
        fuzz_requests_again(moe_requests_get(file));
    return 0;
}
