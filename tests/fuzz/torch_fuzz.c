/* A PyTorch profiler trace: a profile, or messages. */
#include "profiler/import_torch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_profile_writer *writer = moe_profile_writer_new(NULL, &error);
    moe_torch_input input = {"trace.json", size ? (const void *)data : "", size};
    bool ok = moe_torch_import(&input, writer, diag, &error);
    moe_assert(ok != (error != NULL || moe_diag_errors(diag) > 0),
               "neither a profile nor a message");
    if (!ok) {
        moe_profile_writer_discard(writer);
        return 0;
    }
    moe_assert(moe_profile_writer_finish(writer, NULL, &error), "%s", error->message);
    return 0;
}
