#include "profiler/tables.h"

#include "sim/base/units.h"

#include <inttypes.h>
#include <string.h>

const moe_layout *const moe_layouts[] = {
#define MOE_LAYOUT(symbol) &moe_layout_##symbol,
#include "profiler/tables.def"
#undef MOE_LAYOUT
    NULL,
};

/* So many rows may be left out before the table as a whole is what is wrong. */
static const double most_aside = 0.1;

/* ---- the header ---- */

/* The field of a layout's column: of columns with one name the first takes the first. */
static int
field_of(const moe_csv_fields *header, const moe_layout *layout, size_t column)
{
    const char *name = layout->columns[column].name;
    uint32_t before = 0;
    for (size_t i = 0; i < column; i++)
        before += !strcmp(layout->columns[i].name, name);
    for (uint32_t i = 0; i < header->n; i++) {
        const moe_csv_field *field = &header->fields[i];
        if (field->n == strlen(name) && !memcmp(field->at, name, field->n) && before-- == 0)
            return (int)i;
    }
    return -1;
}

/* How many of the columns that it must have are there, and how many there must be. */
static void
count_columns(const moe_csv_fields *header, const moe_layout *layout, size_t *there, size_t *must)
{
    *there = *must = 0;
    for (size_t i = 0; i < layout->n_columns; i++) {
        *must += layout->columns[i].must;
        *there += layout->columns[i].must && field_of(header, layout, i) >= 0;
    }
}

static char *
missing_columns(const moe_csv_fields *header, const moe_layout *layout)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < layout->n_columns; i++)
        if (layout->columns[i].must && field_of(header, layout, i) < 0)
            g_string_append_printf(out, "%s'%s'", out->len ? ", " : "", layout->columns[i].name);
    return g_string_free(out, FALSE);
}

const moe_layout *
moe_layout_find(const moe_csv_fields *header, const moe_layout **close, char **missing)
{
    const moe_layout *best = NULL;
    size_t most = 0;
    ptrdiff_t nearest = 0; /* columns that are there less those that are not */

    *close = NULL;
    *missing = NULL;
    for (size_t i = 0; moe_layouts[i]; i++) {
        size_t there = 0, must = 0;
        count_columns(header, moe_layouts[i], &there, &must);
        ptrdiff_t near = 2 * (ptrdiff_t)there - (ptrdiff_t)must;
        if (there == must && must > most) {
            most = must;
            best = moe_layouts[i];
        } else if (there < must && there > 1 && near > nearest) {
            nearest = near;
            *close = moe_layouts[i];
        }
    }
    if (!best && *close)
        *missing = missing_columns(header, *close);
    return best;
}

static void
note_unused(moe_foreign *f, const moe_csv_fields *header)
{
    g_autoptr(GString) unused = g_string_new(NULL);
    uint32_t n = 0;
    for (uint32_t i = 0; i < header->n; i++) {
        bool used = false;
        for (size_t c = 0; c < f->layout->n_columns && !used; c++)
            used = f->at[c] == (int)i;
        if (used || header->fields[i].n == 0)
            continue;
        if (n++ < 12) {
            g_autofree char *name =
                g_utf8_make_valid(header->fields[i].at, (gssize)header->fields[i].n);
            g_string_append_printf(unused, "%s%s", unused->len ? ", " : "", name);
        }
    }
    if (n > 12)
        g_string_append_printf(unused, " and %u more", n - 12);
    if (n)
        moe_foreign_note(f, "columns that are not used: %s", unused->str);
}

/* Whether a column is one of the layout's. */
static bool
is_of_layout(const moe_foreign *f, const moe_csv_field *field)
{
    for (size_t c = 0; c < f->layout->n_columns; c++) {
        const char *name = f->layout->columns[c].name;
        if (field->n == strlen(name) && !memcmp(field->at, name, field->n))
            return true;
    }
    return false;
}

/* Which of two columns with one name is meant nobody can tell. */
static bool
check_twice(const moe_foreign *f, const moe_csv_fields *header)
{
    for (uint32_t i = 0; i < header->n; i++) {
        const moe_csv_field *field = &header->fields[i];
        bool used = false;
        for (size_t c = 0; c < f->layout->n_columns && !used; c++)
            used = f->at[c] == (int)i;
        if (!used && is_of_layout(f, field))
            return moe_text_lines_fail(f->lines, field->place, "column '%.*s' twice", (int)field->n,
                                       field->at);
    }
    return true;
}

bool
moe_foreign_begin(moe_foreign *f, const moe_layout *layout, moe_measured *table,
                  moe_text_lines *lines, moe_csv_fields *fields)
{
    moe_assert(layout->n_columns <= MOE_LAYOUT_MAX_COLUMNS, "%zu columns", layout->n_columns);
    *f = (moe_foreign){.layout = layout,
                       .table = table,
                       .lines = lines,
                       .fields = fields,
                       .n_fields = fields->n,
                       .base = moe_measured_blank(table)};
    for (size_t i = 0; i < layout->n_columns; i++)
        f->at[i] = field_of(fields, layout, i);
    f->base.file = moe_measured_files(table) - 1;
    f->first = moe_measured_count(table);
    f->row = f->base;
    if (!check_twice(f, fields))
        return false;
    note_unused(f, fields);
    if (layout->begin && !layout->begin(f))
        return false;
    f->base = f->row;
    return true;
}

/* ---- rows ---- */

bool
moe_foreign_read(moe_foreign *f)
{
    f->failed = false;
    if (!moe_csv_split(f->fields, f->lines))
        return false;
    if (f->fields->n != f->n_fields)
        return moe_text_lines_fail(f->lines, NULL, "%u fields, but the header names %u columns",
                                   f->fields->n, f->n_fields);
    f->row = f->base;
    f->row.line = f->lines->line;
    f->layout->row(f);
    return !f->failed;
}

static moe_loc
place_of(const moe_foreign *f, const struct moe_left_out *left)
{
    return (moe_loc){.file = f->lines->file, .line = (int)MIN(left->line, INT32_MAX)};
}

static void
say_skipped(const moe_foreign *f)
{
    const struct moe_left_out *left = &f->skipped;
    if (left->rows)
        moe_diag_warning(f->lines->diag, place_of(f, left),
                         "%s left out as not modelled, this one first: %s",
                         f->added || f->aside.rows ? "rows are" : "all rows are", left->why);
}

bool
moe_foreign_end(moe_foreign *f)
{
    const struct moe_left_out *left = &f->aside;
    uint64_t all = f->added + left->rows;
    if (f->layout->end)
        f->layout->end(f);
    say_skipped(f);
    if (!left->rows)
        return true;
    const char *unit = strstr(left->why, ": microseconds are wanted");
    int n = unit ? (int)(unit - left->why) : (int)strlen(left->why);
    if ((double)left->rows > most_aside * (double)all) {
        moe_diag_error(f->lines->diag, place_of(f, left),
                       "%" PRIu64 " of %" PRIu64 " rows cannot be, this one first: %.*s; times of "
                       "'%s' are %s",
                       left->rows, all, n, left->why, f->layout->name, f->layout->unit);
        return false;
    }
    moe_diag_warning(f->lines->diag, place_of(f, left),
                     "%" PRIu64 " of %" PRIu64 " rows are left out, this one first: %.*s",
                     left->rows, all, n, left->why);
    return true;
}

static void
leave_out(const moe_foreign *f, struct moe_left_out *left, const char *why)
{
    if (left->rows++)
        return;
    left->line = f->lines->line;
    left->why = why;
}

void
moe_foreign_set_aside(moe_foreign *f, const char *why)
{
    leave_out(f, &f->aside, why);
}

void
moe_foreign_skip(moe_foreign *f, const char *what)
{
    leave_out(f, &f->skipped, what);
}

void
moe_foreign_add(moe_foreign *f, double time)
{
    const char *column = NULL;
    if (f->failed)
        return;
    if (!(time > 0)) {
        moe_foreign_set_aside(f, "it took no time");
        return;
    }
    f->row.time_us = time * f->layout->microseconds;
    const char *wrong = moe_measured_complete(f->table, &f->row, &column);
    if (wrong) {
        moe_foreign_set_aside(f, wrong);
        return;
    }
    f->added++;
    const char *odd = moe_known_odd(&f->row, moe_measured_file(f->table, f->row.file));
    f->row.odd = moe_measured_intern(f->table, odd);
    moe_measured_append(f->table, &f->row);
}

void
moe_foreign_note(moe_foreign *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_measured_note(f->table, text);
}

bool
moe_foreign_first(moe_foreign *f, unsigned bit)
{
    bool first = !(f->said & bit);
    f->said |= bit;
    return first;
}
