/* Measured rows as text. */
#include "profiler/measured_columns.h"
#include "sim/base/units.h"

#include <inttypes.h>
#include <string.h>

void
moe_measured_header(GString *out)
{
    for (size_t i = 0; i < moe_n_columns; i++)
        g_string_append_printf(out, "%s%s", i ? "," : "", moe_columns[i].name);
    g_string_append_c(out, '\n');
}

/* In quotes where it must be. */
static void
append_text(const char *text, GString *out)
{
    size_t n = strlen(text);
    if (!strpbrk(text, ",\"#") && *text != ' ' && (!n || text[n - 1] != ' ')) {
        g_string_append(out, text);
        return;
    }
    g_string_append_c(out, '"');
    for (; *text; text++)
        g_string_append_printf(out, *text == '"' ? "\"\"" : "%c", *text);
    g_string_append_c(out, '"');
}

/* A draw without a token is a zero. */
static void
append_draw(const moe_measured_row *row, uint32_t draw, GString *out)
{
    uint32_t n = 0;
    const uint32_t *loads = moe_measured_draw(row, draw, &n);
    if (draw)
        g_string_append_c(out, '|');
    for (uint32_t i = 0; i < n; i++)
        g_string_append_printf(out, "%s%u", i ? ";" : "", loads[i]);
    if (!n)
        g_string_append_c(out, '0');
}

/* Loads that are drawn again, the same ones, when the row is read. */
static bool
is_drawn(const moe_measured_row *row)
{
    return row->drawn && (row->draws > 1 || row->ep > 1);
}

void
moe_measured_field(const moe_column *column, const moe_measured_row *row, GString *out)
{
    const void *field = (const char *)row + column->offset;
    char number[32];

    switch (column->type) {
    case MOE_COLUMN_TEXT:
        append_text(*(const char *const *)field ? *(const char *const *)field : "", out);
        return;
    case MOE_COLUMN_CHOICE:
        g_string_append(out, column->choices[*(const int *)field]);
        return;
    case MOE_COLUMN_WORD:
        g_string_append(out, column->choices[*(const bool *)field]);
        return;
    case MOE_COLUMN_WHOLE:
        if (*(const int64_t *)field != column->none)
            g_string_append_printf(out, "%" PRId64, *(const int64_t *)field);
        return;
    case MOE_COLUMN_REAL:
        if (*(const double *)field > 0)
            g_string_append(out, moe_format_real(number, *(const double *)field));
        return;
    case MOE_COLUMN_LOADS:
        for (uint32_t d = 0; d < row->draws && !is_drawn(row); d++)
            append_draw(row, d, out);
        return;
    }
}

void
moe_measured_write(const moe_measured_row *row, GString *out)
{
    for (size_t i = 0; i < moe_n_columns; i++) {
        if (i)
            g_string_append_c(out, ',');
        bool derived = moe_columns[i].offset == offsetof(moe_measured_row, distinct);
        if (moe_columns[i].may & 1u << row->kind && !(derived && is_drawn(row)))
            moe_measured_field(&moe_columns[i], row, out);
    }
    g_string_append_c(out, '\n');
}

void
moe_measured_describe(const moe_measured_row *row, GString *out)
{
    gsize start = out->len;
    for (size_t i = 1; i < moe_n_columns; i++) { /* behind the kind */
        const moe_column *column = &moe_columns[i];
        const void *field = (const char *)row + column->offset;
        bool said = column->type == MOE_COLUMN_WHOLE    ? *(const int64_t *)field != column->none
                    : column->type == MOE_COLUMN_WORD   ? *(const bool *)field
                    : column->type == MOE_COLUMN_CHOICE ? *(const int *)field != 0
                                                        : false;
        if (!said || !(column->may & 1u << row->kind))
            continue;
        g_string_append_printf(out, "%s%s=", out->len > start ? " " : "", column->name);
        moe_measured_field(column, row, out);
    }
    if (row->weight_bits != 16 || row->activation_bits != 16) {
        char weights[32], activations[32];
        g_string_append_printf(out, " bits=%s/%s", moe_format_real(weights, row->weight_bits),
                               moe_format_real(activations, row->activation_bits));
    }
}
