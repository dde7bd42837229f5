/* Any bytes as a measured table; rows that are read are written, and read back as the same text. */
#include "profiler/measured.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *
written(const moe_measured *table)
{
    GString *out = g_string_new(NULL);
    moe_measured_header(out);
    for (size_t i = 0; i < moe_measured_count(table); i++)
        moe_measured_write(moe_measured_at(table, i), out);
    return g_string_free(out, FALSE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_measured) table = moe_measured_new(), again = moe_measured_new();
    bool good = moe_measured_parse(table, "t.csv", data, size, diag);
    g_autofree char *said = moe_diag_render(diag);
    moe_assert(g_utf8_validate(said, -1, NULL), "messages are not UTF-8");
    moe_assert(good == (moe_diag_errors(diag) == 0), "%u errors", moe_diag_errors(diag));
    if (!good)
        return 0;
    g_autofree char *text = written(table);
    good = moe_measured_parse(again, "t.csv", text, strlen(text), diag);
    g_autofree char *why = moe_diag_render(diag);
    moe_assert(good, "%s\n%s", text, why);
    g_autofree char *other = written(again);
    moe_assert(strcmp(text, other) == 0, "%s\nbecame\n%s", text, other);
    return 0;
}
