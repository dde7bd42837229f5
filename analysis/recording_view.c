#include "analysis/recording_view.h"

#include "sim/base/units.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#define MOE_VIEW_ROW(name, needs_all, shown, title, help)                                          \
    {#name, title, help, needs_all, shown, moe_view_##name},
static const moe_view_info infos[] = {MOE_RECORDING_VIEWS(MOE_VIEW_ROW)};

const moe_view_info *
moe_view_list(size_t *n)
{
    *n = MOE_COUNT(infos);
    return infos;
}

moe_view *
moe_view_of(const moe_recording *recording, const moe_view_info *info,
            const moe_view_config *config)
{
    moe_view *view = g_new0(moe_view, 1);
    view->name = info->name;
    view->title = info->title;
    view->cells = g_array_new(FALSE, FALSE, sizeof(moe_cell));
    view->notes = g_ptr_array_new_with_free_func(g_free);
    view->texts = g_string_chunk_new(1024);
    info->make(recording, config, view);
    moe_assert(view->n_fields == 0 || view->cells->len % view->n_fields == 0,
               "view %s: %u cells in rows of %zu", info->name, view->cells->len, view->n_fields);
    return view;
}

void
moe_view_free(moe_view *view)
{
    if (!view)
        return;
    g_array_unref(view->cells);
    g_ptr_array_unref(view->notes);
    g_string_chunk_free(view->texts);
    g_free(view);
}

/* ---- making ---- */

void
moe_view_fields(moe_view *view, const moe_field *fields, size_t n)
{
    view->fields = fields;
    view->n_fields = n;
}

void
moe_view_add(moe_view *view, moe_cell cell)
{
    if (cell.kind == MOE_CELL_TEXT)
        cell =
            cell.text ? moe_text(g_string_chunk_insert_const(view->texts, cell.text)) : moe_null();
    g_array_append_val(view->cells, cell);
}

void
moe_view_addf(moe_view *view, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_view_add(view, moe_text(text));
}

void
moe_view_note(moe_view *view, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_ptr_array_add(view->notes, g_strdup_vprintf(fmt, args));
    va_end(args);
}

moe_cell
moe_view_number(int64_t value)
{
    return value == MOE_RECORDING_UNKNOWN ? moe_null() : moe_int(value);
}

moe_cell
moe_view_ratio(double a, double b)
{
    return b != 0 ? moe_real(a / b) : moe_null();
}

/* ---- texts ---- */

static double
number_of(const moe_cell *cell)
{
    return cell->kind == MOE_CELL_INT ? (double)cell->integer : cell->real;
}

static char *
format(double value, const char *how)
{
    char buffer[64]; /* %.6g, %.3f and %.1f of int64 and of finite values that views hold */
    return g_strdup(g_ascii_formatd(buffer, sizeof buffer, how, value));
}

char *
moe_view_text(const moe_view *view, size_t row, size_t field)
{
    const moe_cell *cell = moe_view_cell(view, row, field);
    if (cell->kind == MOE_CELL_NULL)
        return g_strdup("–");
    if (cell->kind == MOE_CELL_TEXT)
        return g_strdup(cell->text);
    switch (view->fields[field].kind) {
    case MOE_FIELD_MS:
        return format(number_of(cell) / 1e6, "%.3f");
    case MOE_FIELD_US:
        return format(number_of(cell) / 1e3, "%.3f");
    case MOE_FIELD_SHARE:
        return format(number_of(cell) * 100, "%.1f");
    case MOE_FIELD_BYTES:
        return moe_format_bytes(cell->integer);
    case MOE_FIELD_RATE:
        return moe_format_rate(cell->real);
    case MOE_FIELD_TEXT:
    case MOE_FIELD_ID:
    case MOE_FIELD_COUNT:
    case MOE_FIELD_REAL:
        break;
    }
    return cell->kind == MOE_CELL_INT ? g_strdup_printf("%lld", (long long)cell->integer)
                                      : format(cell->real, "%.6g");
}

static void
append_csv_text(GString *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        g_string_append(out, text);
        return;
    }
    g_string_append_c(out, '"');
    for (; *text; text++)
        g_string_append(out, *text == '"' ? "\"\"" : (char[]){*text, '\0'});
    g_string_append_c(out, '"');
}

void
moe_view_csv(const moe_view *view, GString *out)
{
    char real[32];
    for (size_t f = 0; f < view->n_fields; f++)
        g_string_append_printf(out, "%s%s", f ? "," : "", view->fields[f].name);
    g_string_append_c(out, '\n');
    for (size_t i = 0; i < view->cells->len; i++) {
        const moe_cell *cell = &g_array_index(view->cells, moe_cell, i);
        if (cell->kind == MOE_CELL_INT)
            g_string_append_printf(out, "%lld", (long long)cell->integer);
        else if (cell->kind == MOE_CELL_REAL && isfinite(cell->real))
            g_string_append(out, moe_format_real(real, cell->real));
        else if (cell->kind == MOE_CELL_TEXT)
            append_csv_text(out, cell->text);
        g_string_append_c(out, (i + 1) % view->n_fields ? ',' : '\n');
    }
}
