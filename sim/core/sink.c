#include "sim/core/sink.h"

#include <glib.h>
#include <math.h>
#include <string.h>

/* One table: rows of cells, back to back; a row is a range of cells. */
typedef struct sink_table {
    char *name;
    GArray *cells;  /* moe_cell */
    GArray *starts; /* size_t: first cell of each row, and one past the last row's */
} sink_table;

struct moe_result {
    GPtrArray *tables;   /* sink_table, in order of first use */
    GStringChunk *texts; /* copies that cells point to */
};

static void
sink_table_free(gpointer data)
{
    sink_table *table = data;
    g_free(table->name);
    g_array_free(table->cells, TRUE);
    g_array_free(table->starts, TRUE);
    g_free(table);
}

moe_result *
moe_result_new(void)
{
    moe_result *result = g_new0(moe_result, 1);
    result->tables = g_ptr_array_new_with_free_func(sink_table_free);
    result->texts = g_string_chunk_new(4096);
    return result;
}

void
moe_result_free(moe_result *result)
{
    if (!result)
        return;
    g_ptr_array_free(result->tables, TRUE);
    g_string_chunk_free(result->texts);
    g_free(result);
}

static sink_table *
sink_find(const moe_result *result, const char *name)
{
    for (guint i = result->tables->len; i-- > 0;) {
        sink_table *table = g_ptr_array_index(result->tables, i);
        if (strcmp(table->name, name) == 0)
            return table;
    }
    return NULL;
}

static sink_table *
sink_create(moe_result *result, const char *name)
{
    sink_table *table = g_new0(sink_table, 1);
    size_t start = 0;
    table->name = g_strdup(name);
    table->cells = g_array_new(FALSE, FALSE, sizeof(moe_cell));
    table->starts = g_array_new(FALSE, FALSE, sizeof(size_t));
    g_array_append_val(table->starts, start);
    g_ptr_array_add(result->tables, table);
    return table;
}

void
moe_result_add(moe_result *result, const char *table, const moe_cell *cells, size_t n)
{
    sink_table *into = sink_find(result, table);
    if (!into)
        into = sink_create(result, table);
    for (size_t i = 0; i < n; i++) {
        moe_cell cell = cells[i];
        if (cell.kind == MOE_CELL_TEXT && cell.text)
            cell.text = g_string_chunk_insert_const(result->texts, cell.text);
        else if (cell.kind == MOE_CELL_TEXT)
            cell = moe_null();
        g_array_append_val(into->cells, cell);
    }
    size_t end = into->cells->len;
    g_array_append_val(into->starts, end);
}

static const sink_table *
sink_at(const moe_result *result, size_t table)
{
    moe_assert(table < result->tables->len, "table %zu of %u", table, result->tables->len);
    return g_ptr_array_index(result->tables, (guint)table);
}

size_t
moe_result_tables(const moe_result *result)
{
    return result->tables->len;
}

const char *
moe_result_table(const moe_result *result, size_t table)
{
    return sink_at(result, table)->name;
}

size_t
moe_result_rows(const moe_result *result, size_t table)
{
    return sink_at(result, table)->starts->len - 1;
}

const moe_cell *
moe_result_row(const moe_result *result, size_t table, size_t row, size_t *n)
{
    const sink_table *from = sink_at(result, table);
    moe_assert(row + 1 < from->starts->len, "row %zu of %u", row, from->starts->len - 1);
    size_t start = g_array_index(from->starts, size_t, row);
    *n = g_array_index(from->starts, size_t, row + 1) - start;
    return (const moe_cell *)(const void *)from->cells->data + start;
}

double
moe_result_metric(const moe_result *result, const char *name)
{
    const sink_table *table = sink_find(result, "metric");
    for (guint row = 0; table && row + 1 < table->starts->len; row++) {
        size_t start = g_array_index(table->starts, size_t, row);
        const moe_cell *cell = (const moe_cell *)(const void *)table->cells->data + start;
        if (g_array_index(table->starts, size_t, row + 1) - start < 2 ||
            cell[0].kind != MOE_CELL_TEXT || strcmp(cell[0].text, name) != 0)
            continue;
        if (cell[1].kind == MOE_CELL_REAL)
            return cell[1].real;
        if (cell[1].kind == MOE_CELL_INT)
            return (double)cell[1].integer;
    }
    return NAN;
}
