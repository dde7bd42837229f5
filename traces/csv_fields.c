#include "traces/csv_fields.h"

#include <string.h>

/* A copy of a quoted field in which quotes written twice are single; `used` bytes of the text are
 * taken. */
static void
fields_unquote(moe_csv_fields *f, moe_csv_field *field, size_t *used)
{
    char *to = f->text + *used;
    for (const char *c = field->at; c < field->at + field->n; c++) {
        *to++ = *c;
        c += *c == '"';
    }
    *to = '\0';
    field->at = f->text + *used;
    field->n = (size_t)(to - field->at);
    *used += field->n + 1;
}

/* A field in quotes at *at, which moves behind it. */
static bool
fields_quoted(moe_csv_fields *f, const moe_text_lines *lines, const char **at, size_t *used)
{
    const char *end = lines->text + lines->length, *close = *at + 1;
    moe_csv_field *field = &f->fields[f->n++];
    bool twice = false;
    for (; close < end; close++) {
        if (*close != '"')
            continue;
        if (close[1] != '"')
            break;
        twice = true;
        close++;
    }
    if (close >= end)
        return moe_text_lines_fail(lines, *at, "the quoted field does not end in its line");
    *field = (moe_csv_field){*at + 1, (size_t)(close - *at - 1), *at};
    if (twice) {
        if (f->max_text < lines->length + 1) {
            f->max_text = lines->length + 1;
            f->text = g_realloc(f->text, f->max_text);
        }
        fields_unquote(f, field, used);
    }
    *at = close + 1;
    return true;
}

static inline void
fields_plain(moe_csv_fields *f, const char **at, const char *end)
{
    const char *first = *at, *close = first;
    while (close < end && *close != ',')
        close++;
    const char *last = close;
    while (last > first && last[-1] == ' ')
        last--;
    f->fields[f->n++] = (moe_csv_field){first, (size_t)(last - first), first};
    *at = close;
}

bool
moe_csv_split(moe_csv_fields *f, const moe_text_lines *lines)
{
    const char *at = lines->text, *end = at + lines->length;
    const char *nul = memchr(at, 0, lines->length);
    size_t used = 0;
    f->n = 0;
    if (nul)
        return moe_text_lines_fail(lines, nul, "a byte 0 in a table of text");
    for (;; at++) {
        while (at < end && *at == ' ')
            at++;
        if (f->n == MOE_CSV_MAX_FIELDS)
            return moe_text_lines_fail(lines, at, "more than %d fields", MOE_CSV_MAX_FIELDS);
        if (at < end && *at == '"') {
            if (!fields_quoted(f, lines, &at, &used))
                return false;
            while (at < end && *at == ' ')
                at++;
        } else {
            fields_plain(f, &at, end);
        }
        if (at == end)
            return true;
        if (*at != ',')
            return moe_text_lines_fail(lines, at, "wants ',' behind a quoted field");
    }
}

void
moe_csv_fields_clear(moe_csv_fields *f)
{
    g_free(f->text);
    *f = (moe_csv_fields){0};
}
