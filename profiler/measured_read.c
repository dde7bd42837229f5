/* Measured tables from CSV. */
#include "profiler/measured_columns.h"
#include "profiler/tables.h"
#include "sim/base/units.h"
#include "traces/csv_fields.h"

#include <inttypes.h>
#include <string.h>

enum { LONGEST_LINE = 1 << 20, MOST_ROWS = 4 << 20, MOST_ERRORS = 100 };

typedef struct reader {
    moe_measured *table;
    moe_text_lines lines;
    moe_csv_fields fields;
    const moe_column *columns[MOE_CSV_MAX_FIELDS];
    const char *places[MOE_MEASURED_MOST_COLUMNS]; /* in the line at hand, by column of the list;
                                                      NULL: not written */
    uint32_t n_columns, errors, rows;
    moe_foreign foreign;  /* of a table in another layout, `layout` NULL: it is ours */
    GArray *loads, *ends; /* uint32_t, of the row at hand */
} reader;

static size_t
number_of(const moe_column *column)
{
    return (size_t)(column - moe_columns);
}

/* ---- the header ---- */

static const moe_column *
find_column(const char *name)
{
    for (size_t i = 0; i < moe_n_columns; i++)
        if (!strcmp(moe_columns[i].name, name))
            return &moe_columns[i];
    return NULL;
}

static bool
unknown_column(const reader *r, const char *at, const char *name)
{
    const char *names[MOE_MEASURED_MOST_COLUMNS];
    for (size_t i = 0; i < moe_n_columns; i++)
        names[i] = moe_columns[i].name;
    const char *close = moe_suggest(name, names, moe_n_columns);
    if (close)
        return moe_text_lines_fail(&r->lines, at, "unknown column '%s'; did you mean '%s'?", name,
                                   close);
    return moe_text_lines_fail(&r->lines, at, "unknown column '%s'", name);
}

static bool
read_columns(reader *r)
{
    bool seen[MOE_MEASURED_MOST_COLUMNS] = {false}, good = true;
    moe_assert(moe_n_columns <= MOE_COUNT(seen), "%zu columns", moe_n_columns);
    r->n_columns = r->fields.n;
    for (uint32_t i = 0; i < r->fields.n; i++) {
        const moe_csv_field *field = &r->fields.fields[i];
        g_autofree char *name = g_strndup(field->at, field->n);
        const moe_column *column = r->columns[i] = find_column(name);
        if (!column)
            good = unknown_column(r, field->place, name);
        else if (seen[number_of(column)])
            good = moe_text_lines_fail(&r->lines, field->place, "column '%s' twice", name);
        if (column)
            seen[number_of(column)] = true;
    }
    for (size_t i = 0; i < moe_n_columns && good; i++)
        if (!seen[i] && moe_columns[i].must == (1u << MOE_MEASURED_KINDS) - 1)
            good = moe_text_lines_fail(&r->lines, NULL, "no column '%s'", moe_columns[i].name);
    return good;
}

/* Whether the header has a column that every table of ours has. */
static bool
is_ours(const reader *r)
{
    for (uint32_t i = 0; i < r->fields.n; i++)
        if (r->fields.fields[i].n == 4 && !memcmp(r->fields.fields[i].at, "kind", 4))
            return true;
    return false;
}

static bool
read_header(reader *r)
{
    const moe_layout *layout = NULL, *close = NULL;
    g_autofree char *missing = NULL;
    if (!moe_csv_split(&r->fields, &r->lines))
        return false;
    if (!is_ours(r))
        layout = moe_layout_find(&r->fields, &close, &missing);
    if (layout)
        return moe_foreign_begin(&r->foreign, layout, r->table, &r->lines, &r->fields);
    if (close)
        return moe_text_lines_fail(&r->lines, NULL, "a table like '%s' lacks the columns %s",
                                   close->name, missing);
    return read_columns(r);
}

/* ---- a field ---- */

static bool
bad_choice(const reader *r, const moe_column *column, const char *at, const char *text)
{
    size_t n = 0;
    while (column->choices[n])
        n++;
    const char *close = moe_suggest(text, column->choices, n);
    g_autoptr(GString) list = g_string_new(NULL);
    for (size_t i = 0; i < n; i++)
        if (*column->choices[i])
            g_string_append_printf(list, "%s%s", list->len ? ", " : "", column->choices[i]);
    if (close && *close)
        return moe_text_lines_fail(&r->lines, at, "'%s' is no %s; did you mean '%s'?", text,
                                   column->name, close);
    return moe_text_lines_fail(&r->lines, at, "'%s' is no %s; one of %s", text, column->name,
                               list->str);
}

static bool
read_choice(const reader *r, const moe_column *column, const char *at, const char *text, int *out)
{
    for (int i = 0; column->choices[i]; i++)
        if (!strcmp(column->choices[i], text)) {
            *out = i;
            return true;
        }
    return bad_choice(r, column, at, text);
}

static bool
read_whole(const reader *r, const moe_column *column, const char *at, const char *text,
           int64_t *out)
{
    if (moe_parse_int(text, out) && *out > 0 && (double)*out <= column->max)
        return true;
    return moe_text_lines_fail(&r->lines, at, "'%s' wants a whole number from 1 to %.0f, not '%s'",
                               column->name, column->max, text);
}

static bool
read_real(const reader *r, const moe_column *column, const char *at, const char *text, double *out)
{
    if (moe_parse_real(text, out) && *out > 0 && *out <= column->max)
        return true;
    if (column->max < 1e6)
        return moe_text_lines_fail(&r->lines, at, "'%s' wants a number up to %g, not '%s'",
                                   column->name, column->max, text);
    return moe_text_lines_fail(&r->lines, at, "'%s' wants a number above 0, not '%s'", column->name,
                               text);
}

/* "3;0;5|4;4;0": idle experts are left out. */
static bool
read_loads(reader *r, const moe_column *column, const moe_csv_field *field)
{
    const char *at = field->at, *end = at + field->n;
    for (;; at++) {
        uint64_t load = 0;
        const char *first = at;
        for (; at < end && g_ascii_isdigit(*at) && at - first < 9; at++)
            load = 10 * load + (uint64_t)(*at - '0');
        if (at == first || (at < end && *at != ';' && *at != '|') || (double)load > column->max)
            return moe_text_lines_fail(&r->lines, field->place + (first - field->at),
                                       "'loads' wants numbers of tokens joined by ';'");
        uint32_t tokens = (uint32_t)load;
        if (tokens > 0)
            g_array_append_val(r->loads, tokens);
        if (at < end && *at == ';')
            continue;
        g_array_append_val(r->ends, r->loads->len);
        if (at == end)
            break;
    }
    if (r->loads->len == 0 || r->loads->len > (guint)MOE_MEASURED_MOST_EXPERTS * r->ends->len)
        return moe_text_lines_fail(&r->lines, field->place, "'loads' names %u experts with tokens",
                                   r->loads->len);
    return true;
}

static bool
read_field(reader *r, const moe_column *column, const moe_csv_field *field, moe_measured_row *row)
{
    void *out = (char *)row + column->offset;
    g_autofree char *text = NULL;
    int choice = 0;

    if (column->type == MOE_COLUMN_LOADS)
        return read_loads(r, column, field);
    text = g_strndup(field->at, field->n);
    switch (column->type) {
    case MOE_COLUMN_TEXT:
        if (!g_utf8_validate(text, -1, NULL))
            return moe_text_lines_fail(&r->lines, field->place, "'%s' is not UTF-8", column->name);
        *(const char **)out = moe_measured_intern(r->table, text);
        return true;
    case MOE_COLUMN_CHOICE:
        return read_choice(r, column, field->place, text, out);
    case MOE_COLUMN_WORD:
        if (!read_choice(r, column, field->place, text, &choice))
            return false;
        *(bool *)out = choice;
        return true;
    case MOE_COLUMN_WHOLE:
        return read_whole(r, column, field->place, text, out);
    case MOE_COLUMN_REAL:
        return read_real(r, column, field->place, text, out);
    case MOE_COLUMN_LOADS:
        break;
    }
    return false;
}

/* ---- a row ---- */

/* What a row of its kind must and must not say. */
static bool
check_fields(const reader *r, const moe_measured_row *row)
{
    const char *kind = moe_measured_kind_name(row->kind);
    unsigned bit = 1u << row->kind;
    bool good = true;

    for (size_t i = 0; i < moe_n_columns; i++) {
        const moe_column *column = &moe_columns[i];
        const char *at = r->places[i];
        if (at && !(column->may & bit))
            good = moe_text_lines_fail(&r->lines, at, "'%s' says nothing about a row of kind %s",
                                       column->name, kind);
        if (!at && column->must & bit)
            good = moe_text_lines_fail(&r->lines, NULL, "a row of kind %s wants '%s'", kind,
                                       column->name);
    }
    return good;
}

static bool
read_fields(reader *r, moe_measured_row *row)
{
    bool good = true;
    memset(r->places, 0, sizeof r->places);
    g_array_set_size(r->loads, 0);
    g_array_set_size(r->ends, 0);
    for (uint32_t i = 0; i < r->n_columns; i++) {
        const moe_csv_field *field = &r->fields.fields[i];
        if (field->n == 0)
            continue;
        r->places[number_of(r->columns[i])] = field->place;
        good = read_field(r, r->columns[i], field, row) && good;
    }
    return good;
}

static uint32_t *
keep_numbers(reader *r, const GArray *numbers)
{
    uint32_t *kept = moe_measured_loads(r->table, numbers->len);
    memcpy(kept, numbers->data, numbers->len * sizeof *kept);
    return kept;
}

static void
keep_loads(reader *r, moe_measured_row *row)
{
    if (!r->loads->len)
        return;
    row->loads = keep_numbers(r, r->loads);
    row->n_loads = r->loads->len;
    row->draws = r->ends->len;
    row->ends = row->draws > 1 ? keep_numbers(r, r->ends) : NULL;
}

static bool
read_row(reader *r)
{
    moe_measured_row row = moe_measured_blank(r->table);
    const char *column = NULL;

    if (!moe_csv_split(&r->fields, &r->lines))
        return false;
    if (r->fields.n != r->n_columns)
        return moe_text_lines_fail(&r->lines, NULL, "%u fields, but the header names %u columns",
                                   r->fields.n, r->n_columns);
    if (!read_fields(r, &row) || !check_fields(r, &row))
        return false;
    row.line = r->lines.line;
    row.file = moe_measured_files(r->table) - 1;
    keep_loads(r, &row);
    const char *wrong = moe_measured_complete(r->table, &row, &column);
    if (wrong) {
        const char *at = column ? r->places[number_of(find_column(column))] : NULL;
        return moe_text_lines_fail(&r->lines, at, "%s", wrong);
    }
    moe_measured_append(r->table, &row);
    return true;
}

/* A line that begins with '#' is one, unless it names the columns of a layout ("#Groups,…"). */
static bool
is_comment(reader *r, bool header)
{
    if (r->lines.length == 0 || r->lines.text[0] != '#')
        return false;
    if (header || !memchr(r->lines.text, ',', r->lines.length))
        return true;
    const moe_layout *close = NULL;
    g_autofree char *missing = NULL;
    return !moe_csv_split(&r->fields, &r->lines) || !moe_layout_find(&r->fields, &close, &missing);
}

static bool
read_all(reader *r, GError **error)
{
    moe_text_step step;
    bool header = false;

    while ((step = moe_text_lines_next(&r->lines, error)) == MOE_TEXT_LINE) {
        if (is_comment(r, header))
            continue;
        if (!header && !read_header(r))
            return false;
        if (!header) {
            header = true;
            continue;
        }
        if (r->rows++ == MOST_ROWS)
            return moe_text_lines_fail(&r->lines, NULL, "more than %d rows", MOST_ROWS);
        if (!(r->foreign.layout ? moe_foreign_read(&r->foreign) : read_row(r)) &&
            ++r->errors == MOST_ERRORS)
            return false;
    }
    if (step == MOE_TEXT_FAILED)
        return false;
    moe_loc file = {.file = r->lines.file};
    if (!header)
        moe_diag_error(r->lines.diag, file, "no header line: the table is empty");
    else if (!r->rows)
        moe_diag_error(r->lines.diag, file, "no rows behind the header line");
    bool good = header && r->rows && !r->errors;
    return good && r->foreign.layout ? moe_foreign_end(&r->foreign) : good;
}

static bool
read_source(moe_measured *table, moe_text_source *source, const char *name, moe_diag *diag,
            GError **error)
{
    reader r = {.table = table,
                .loads = g_array_new(false, false, sizeof(uint32_t)),
                .ends = g_array_new(false, false, sizeof(uint32_t))};
    moe_measured_begin(table, name);
    moe_text_lines_init(&r.lines, source, name, LONGEST_LINE, diag);
    bool good = read_all(&r, error);
    moe_text_lines_clear(&r.lines);
    moe_csv_fields_clear(&r.fields);
    g_array_unref(r.loads);
    g_array_unref(r.ends);
    return good;
}

bool
moe_measured_understands(const char *path, char **lacks)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_measured) table = moe_measured_new();
    moe_text_source *source = moe_text_source_open(path, NULL);
    reader r = {.table = table};
    GError *error = NULL;
    bool known = false;
    *lacks = NULL;
    if (!source)
        return true; /* whoever reads it says why */
    moe_measured_begin(table, path);
    moe_text_lines_init(&r.lines, source, path, LONGEST_LINE, diag);
    moe_text_step step;
    while ((step = moe_text_lines_next(&r.lines, &error)) == MOE_TEXT_LINE)
        if (!is_comment(&r, false))
            break;
    if (step == MOE_TEXT_LINE && moe_csv_split(&r.fields, &r.lines)) {
        const moe_layout *close = NULL;
        g_autofree char *missing = NULL;
        known = is_ours(&r) || moe_layout_find(&r.fields, &close, &missing);
        if (!known && close)
            *lacks =
                g_strdup_printf("a table like '%s' lacks the columns %s", close->name, missing);
    }
    g_clear_error(&error);
    moe_text_lines_clear(&r.lines);
    moe_csv_fields_clear(&r.fields);
    return known;
}

const char *
moe_measured_layout(size_t i, const char **help)
{
    if (moe_layouts[i])
        *help = moe_layouts[i]->help;
    return moe_layouts[i] ? moe_layouts[i]->name : NULL;
}

bool
moe_measured_read(moe_measured *table, const char *path, moe_diag *diag, GError **error)
{
    moe_text_source *source = moe_text_source_open(path, error);
    return source && read_source(table, source, path, diag, error);
}

bool
moe_measured_parse(moe_measured *table, const char *name, const void *bytes, size_t n_bytes,
                   moe_diag *diag)
{
    GError *error = NULL; /* memory has none */
    bool good =
        read_source(table, moe_text_source_memory(name, bytes, n_bytes), name, diag, &error);
    g_clear_error(&error);
    return good;
}
