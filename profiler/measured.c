#include "profiler/measured_columns.h"

#include "profiler/routing_draws.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

struct moe_measured {
    GArray *rows;         /* moe_measured_row */
    GStringChunk *texts;  /* all of its texts */
    GPtrArray *files;     /* char * */
    GPtrArray *all_loads; /* uint32_t * */
    GPtrArray *notes;     /* char * */
    GHashTable *spreads;  /* text -> moe_draws *, looked up only */
};

static void
free_draws(void *draws)
{
    moe_draws_clear(draws);
    g_free(draws);
}

moe_measured *
moe_measured_new(void)
{
    moe_measured *table = g_new0(moe_measured, 1);
    table->rows = g_array_new(false, false, sizeof(moe_measured_row));
    table->texts = g_string_chunk_new(4096);
    table->files = g_ptr_array_new();
    table->all_loads = g_ptr_array_new_with_free_func(g_free);
    table->notes = g_ptr_array_new_with_free_func(g_free);
    table->spreads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_draws);
    return table;
}

void
moe_measured_free(moe_measured *table)
{
    if (!table)
        return;
    g_array_unref(table->rows);
    g_string_chunk_free(table->texts);
    g_ptr_array_unref(table->files);
    g_ptr_array_unref(table->all_loads);
    g_ptr_array_unref(table->notes);
    g_hash_table_unref(table->spreads);
    g_free(table);
}

const char *
moe_measured_intern(moe_measured *table, const char *text)
{
    return g_string_chunk_insert_const(table->texts, text ? text : "");
}

uint32_t *
moe_measured_loads(moe_measured *table, uint32_t n)
{
    uint32_t *loads = g_new0(uint32_t, n);
    g_ptr_array_add(table->all_loads, loads);
    return loads;
}

void
moe_measured_note(moe_measured *table, const char *text)
{
    const char *file = g_ptr_array_index(table->files, table->files->len - 1);
    g_ptr_array_add(table->notes, g_strdup_printf("%s: %s", file, text));
}

const char *const *
moe_measured_notes(const moe_measured *table, size_t *n)
{
    *n = table->notes->len;
    return (const char *const *)table->notes->pdata;
}

bool
moe_measured_brings_strays(const char *version)
{
    static const char before[] = "0.", series[] = "5.";
    char *rest = NULL;

    if (strncmp(version, before, strlen(before)))
        return false;
    version += strlen(before);
    if (strncmp(version, series, strlen(series)))
        return g_ascii_strtoull(version, &rest, 10) < 5 && rest > version;
    return g_ascii_strtoull(version + strlen(series), NULL, 10) <= 10;
}

/* SGLang's kernels for mxfp4 were always timed as they are; since 0.5.11 so are those of models
 * whose router is more than a softmax, which Gemma 4's is not. */
static bool
brings_strays(const moe_measured_row *row)
{
    bool gemma = row->hidden == 2816 && row->width * row->tp == 704;
    return row->ep > 1 && !strcmp(row->framework, "sglang") && !strstr(row->dtype, "mxfp4") &&
           (gemma || moe_measured_brings_strays(row->version));
}

const char *
moe_measured_spread(moe_measured *table, moe_measured_row *row)
{
    moe_spread spread = {.tokens = row->tokens,
                         .top_k = row->top_k,
                         .ranks = MAX(row->ep, 1),
                         .experts = row->experts * MAX(row->ep, 1),
                         .strays = brings_strays(row),
                         .in_order = row->ordered,
                         .groups = row->groups,
                         .kept = row->kept};
    g_autofree char *key = g_strdup_printf(
        "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %d %d %" PRId64 " %" PRId64 " %s",
        spread.tokens, spread.top_k, spread.ranks, spread.experts, (int)spread.strays,
        (int)spread.in_order, spread.groups, spread.kept, row->distribution);
    moe_draws *draws = g_hash_table_lookup(table->spreads, key);
    if (!draws) {
        moe_draws made = {0};
        const char *wrong = moe_draws_make(&spread, row->distribution, &made);
        if (wrong)
            return wrong;
        draws = g_memdup2(&made, sizeof made);
        g_hash_table_insert(table->spreads, g_steal_pointer(&key), draws);
    }
    row->draws = draws->n;
    row->loads = draws->loads;
    row->ends = draws->n > 1 ? draws->ends : NULL;
    row->n_loads = draws->ends[draws->n - 1];
    row->since = draws->since;
    row->drawn = true;
    row->strays = spread.strays;
    return NULL;
}

moe_measured_row
moe_measured_blank(moe_measured *table)
{
    moe_measured_row row = {0};
    for (size_t i = 0; i < moe_n_columns; i++) {
        if (moe_columns[i].type == MOE_COLUMN_TEXT)
            *(const char **)((char *)&row + moe_columns[i].offset) = moe_measured_intern(table, "");
        else if (moe_columns[i].none)
            *(int64_t *)((char *)&row + moe_columns[i].offset) = moe_columns[i].none;
    }
    return row;
}

void
moe_measured_begin(moe_measured *table, const char *name)
{
    g_ptr_array_add(table->files, g_string_chunk_insert(table->texts, name));
}

void
moe_measured_append(moe_measured *table, const moe_measured_row *row)
{
    g_array_append_vals(table->rows, row, 1);
}

static const uint32_t *
keep(moe_measured *table, const uint32_t *numbers, uint32_t n)
{
    if (!n)
        return NULL;
    uint32_t *copy = moe_measured_loads(table, n);
    memcpy(copy, numbers, n * sizeof *copy);
    return copy;
}

bool
moe_measured_add(moe_measured *table, const moe_measured_row *row, const char **why)
{
    moe_measured_row copy = *row;
    const char *column = NULL;
    for (size_t i = 0; i < moe_n_columns; i++) {
        if (moe_columns[i].type == MOE_COLUMN_TEXT) {
            const char **text = (const char **)((char *)&copy + moe_columns[i].offset);
            *text = moe_measured_intern(table, *text);
        } else if (moe_columns[i].none) {
            int64_t *number = (int64_t *)((char *)&copy + moe_columns[i].offset);
            *number = *number ? *number : moe_columns[i].none;
        }
    }
    copy.loads = keep(table, row->loads, row->n_loads);
    copy.ends = keep(table, row->ends, row->ends ? row->draws : 0);
    copy.since = keep(table, row->since, row->since ? row->n_loads : 0);
    if (row->n_loads && !row->draws)
        copy.draws = 1;
    moe_assert(table->files->len > 0, "a row without moe_measured_begin");
    copy.file = table->files->len - 1;
    *why = moe_measured_complete(table, &copy, &column);
    if (*why)
        return false;
    moe_measured_append(table, &copy);
    return true;
}

void
moe_measured_mark_odd(moe_measured *table, size_t i, const char *why)
{
    g_array_index(table->rows, moe_measured_row, i).odd = moe_measured_intern(table, why);
}

size_t
moe_measured_count(const moe_measured *table)
{
    return table->rows->len;
}

const moe_measured_row *
moe_measured_at(const moe_measured *table, size_t i)
{
    return &g_array_index(table->rows, moe_measured_row, i);
}

uint32_t
moe_measured_files(const moe_measured *table)
{
    return table->files->len;
}

const char *
moe_measured_file(const moe_measured *table, uint32_t file)
{
    return g_ptr_array_index(table->files, file);
}

/* ---- choosing ---- */

static const moe_column *
column_called(const char *name, const char **closest)
{
    const char *names[MOE_MEASURED_MOST_COLUMNS];
    moe_assert(moe_n_columns <= MOE_COUNT(names), "%zu columns", moe_n_columns);
    for (size_t i = 0; i < moe_n_columns; i++) {
        if (!strcmp(moe_columns[i].name, name))
            return &moe_columns[i];
        names[i] = moe_columns[i].name;
    }
    *closest = moe_suggest(name, names, moe_n_columns);
    return NULL;
}

/* The text of a column that is nearest to what no row says. */
static const char *
nearest_text(moe_measured *table, const moe_column *column, const char *text)
{
    g_autoptr(GPtrArray) seen = g_ptr_array_new();
    for (guint i = 0; i < table->rows->len && seen->len < 1000; i++) {
        g_autoptr(GString) said = g_string_new(NULL);
        moe_measured_field(column, moe_measured_at(table, i), said);
        const char *kept = moe_measured_intern(table, said->str);
        if (!g_ptr_array_find(seen, kept, NULL))
            g_ptr_array_add(seen, (gpointer)(uintptr_t)kept);
    }
    return moe_suggest(text, (const char *const *)seen->pdata, seen->len);
}

static bool
says(const moe_measured_row *row, const moe_column *column, const char *text)
{
    if (column->type == MOE_COLUMN_TEXT)
        return !strcmp(*(const char *const *)((const char *)row + column->offset), text);
    g_autoptr(GString) said = g_string_new(NULL);
    moe_measured_field(column, row, said);
    return !strcmp(said->str, text);
}

bool
moe_measured_choose(moe_measured *table, const char *name, const char *text, bool keep,
                    const char **closest)
{
    const moe_column *column = column_called(name, closest);
    g_autoptr(GArray) left = g_array_new(false, false, sizeof(moe_measured_row));
    guint said = 0;
    if (!column)
        return false;
    for (guint i = 0; i < table->rows->len; i++) {
        const moe_measured_row *row = moe_measured_at(table, i);
        bool so = says(row, column, text);
        said += so;
        if (so == keep)
            g_array_append_vals(left, row, 1);
    }
    *closest = said ? NULL : nearest_text(table, column, text);
    if (!said || !left->len)
        return false;
    g_array_unref(table->rows);
    table->rows = g_steal_pointer(&left);
    return true;
}
