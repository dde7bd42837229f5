/* Routing as CSV text from memory, packed or not; what is let through must be a valid routing. */
#include "traces/routing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) report = g_string_new(NULL);
    g_autoptr(moe_routing_builder) builder =
        moe_routing_import_csv_memory("x.csv", data, size, 0, diag, report, &error);
    moe_assert((builder == NULL) == (error != NULL || moe_diag_errors(diag) > 0),
               "neither a routing nor a message");
    bool valid = !builder || moe_routing_builder_check(builder, "x.csv", diag);
    g_autofree char *text = moe_diag_render(diag);
    moe_assert(valid, "%s", text);
    return 0;
}
