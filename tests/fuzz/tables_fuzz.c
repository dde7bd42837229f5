/* Any bytes as a measured table of any layout: the first line is the file's name, of which layouts
 * take devices and shapes. Rows that are read are written as rows of our own, and read back as the
 * same text. */
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

/* The first line, as a name that a file can have. */
static char *
name_of(const uint8_t *data, size_t size, size_t *end)
{
    const uint8_t *newline = memchr(data, '\n', size);
    size_t n = newline ? (size_t)(newline - data) : 0;
    g_autofree char *line = g_strndup((const char *)data, n);
    *end = newline ? n + 1 : 0;
    g_strdelimit(line, "/", '_');
    return *line ? g_utf8_make_valid(line, -1) : g_strdup("t.csv");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_measured) table = moe_measured_new(), again = moe_measured_new();
    size_t begin = 0;
    g_autofree char *name = name_of(data, size, &begin);
    bool good = moe_measured_parse(table, name, data + begin, size - begin, diag);
    g_autofree char *said = moe_diag_render(diag);
    moe_assert(g_utf8_validate(said, -1, NULL), "messages are not UTF-8");
    moe_assert(good == (moe_diag_errors(diag) == 0), "%u errors", moe_diag_errors(diag));
    if (!good || !moe_measured_count(table))
        return 0;
    g_autofree char *text = written(table);
    good = moe_measured_parse(again, "t.csv", text, strlen(text), diag);
    g_autofree char *why = moe_diag_render(diag);
    moe_assert(good, "%s\n%s", text, why);
    g_autofree char *other = written(again);
    moe_assert(strcmp(text, other) == 0, "%s\nbecame\n%s", text, other);
    return 0;
}
