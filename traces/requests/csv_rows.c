#include "traces/requests/csv_rows.h"

#include "traces/csv_fields.h"

#include <string.h>

#define CSV_BLOCKS "blocks_of_"
#define CSV_MAX_LINE (16u << 20) /* rows with thousands of blocks */

typedef struct csv_rows {
    const request_csv *csv;
    moe_csv_fields fields;
    const request_key *columns[MOE_CSV_MAX_FIELDS]; /* of the header; NULL: ignored */
    uint32_t n_columns;
    uint32_t at[REQUEST_ROLES]; /* column of a role, MOE_NONE: absent */
    request_key blocks;         /* of the column blocks_of_N */
    uint32_t block_tokens;
} csv_rows;

/* ---- the header ---- */

static bool
csv_is(const moe_csv_field *field, const char *name)
{
    return field->n == strlen(name) && memcmp(field->at, name, field->n) == 0;
}

static const request_key *
csv_key(const request_csv *csv, const moe_csv_field *field)
{
    for (size_t i = 0; i < csv->n_keys; i++)
        if (csv_is(field, csv->keys[i].name))
            return &csv->keys[i];
    return NULL;
}

/* The N of "blocks_of_N"; 0: another name. */
static uint32_t
csv_blocks_of(const moe_csv_field *field)
{
    size_t prefix = strlen(CSV_BLOCKS);
    uint64_t n = 0;
    if (field->n <= prefix || field->n > prefix + 9 || memcmp(field->at, CSV_BLOCKS, prefix) != 0)
        return 0;
    for (size_t i = prefix; i < field->n; i++) {
        unsigned digit = (unsigned char)(field->at[i] - '0');
        if (digit > 9)
            return 0;
        n = n * 10 + digit;
    }
    return (uint32_t)n;
}

static const char *const csv_roles[REQUEST_ROLES] = {
    [REQUEST_TIME] = "time of arrival",
    [REQUEST_PROMPT] = "prompt tokens",
    [REQUEST_OUTPUT] = "output tokens",
};

/* A role that the header does not name: the nearest name, if one was meant. */
static bool
csv_absent(csv_rows *c, request_rows *rows, request_role role)
{
    for (uint32_t i = 0; i < c->n_columns; i++) {
        const moe_csv_field *field = &c->fields.fields[i];
        g_autofree char *name = g_strndup(field->at, MIN(field->n, 60));
        for (size_t k = 0; k < c->csv->n_keys && !c->columns[i]; k++)
            if (c->csv->keys[k].role == role && moe_suggest(name, &c->csv->keys[k].name, 1))
                return request_fail(rows, field->place,
                                    "column '%s' is not known; did you mean '%s'?", name,
                                    c->csv->keys[k].name);
    }
    return request_fail(rows, NULL, "no column for the %s; wants %s", csv_roles[role],
                        c->csv->header);
}

static bool
csv_column(csv_rows *c, request_rows *rows, uint32_t i)
{
    const moe_csv_field *field = &c->fields.fields[i];
    const request_key *key = csv_key(c->csv, field);
    uint32_t block_tokens = csv_blocks_of(field);
    if (!key && block_tokens) {
        c->blocks = (request_key){"blocks", REQUEST_BLOCKS, 0, NULL};
        c->block_tokens = block_tokens;
        key = &c->blocks;
    }
    c->columns[i] = key;
    if (!key)
        return true;
    if (c->at[key->role] != MOE_NONE)
        return request_fail(rows, field->place, "column '%s' says again what column %u says",
                            key->name, c->at[key->role] + 1);
    c->at[key->role] = i;
    return true;
}

static void
csv_note_ignored(const csv_rows *c, const request_rows *rows)
{
    for (uint32_t i = 0; i < c->n_columns; i++) {
        if (c->columns[i])
            continue;
        g_autofree char *name = g_strndup(c->fields.fields[i].at, c->fields.fields[i].n);
        g_autofree char *shown = g_strescape(name, NULL);
        moe_import_note(rows->job, "column '%s' ignored", shown);
    }
}

static bool
csv_header(void *importer, request_rows *rows)
{
    csv_rows *c = importer;
    const char *bad;
    if (!g_utf8_validate_len(rows->lines.text, rows->lines.length, &bad))
        return request_fail(rows, NULL, "the header line is no text; wants %s", c->csv->header);
    if (!moe_csv_split(&c->fields, &rows->lines)) {
        rows->errors++;
        return false;
    }
    c->n_columns = c->fields.n;
    c->block_tokens = 0;
    for (int role = 0; role < REQUEST_ROLES; role++)
        c->at[role] = MOE_NONE;
    for (uint32_t i = 0; i < c->n_columns; i++)
        if (!csv_column(c, rows, i))
            return false;
    if (c->at[REQUEST_TIME] == MOE_NONE && c->at[REQUEST_PROMPT] == MOE_NONE &&
        c->at[REQUEST_OUTPUT] == MOE_NONE)
        return request_fail(rows, NULL, "no header line; wants %s", c->csv->header);
    bool ok = true;
    for (int role = REQUEST_TIME; role <= REQUEST_OUTPUT; role++)
        ok &= c->at[role] != MOE_NONE || csv_absent(c, rows, (request_role)role);
    if (!ok)
        return false;
    const request_key *time = c->columns[c->at[REQUEST_TIME]];
    if (!moe_requests_builder_clock(rows->builder,
                                    time->unit_ns ? MOE_CLOCK_TRACE : MOE_CLOCK_UNIX))
        return request_fail(rows, NULL, "'%s' is not on the clock of the inputs before",
                            time->name);
    if (c->block_tokens && !moe_requests_builder_blocks(rows->builder, c->block_tokens))
        return request_fail(rows, NULL, "blocks of %u tokens, other than in the inputs before",
                            c->block_tokens);
    csv_note_ignored(c, rows);
    return true;
}

/* ---- rows ---- */

static const moe_csv_field *
csv_field(const csv_rows *c, request_role role)
{
    return c->at[role] == MOE_NONE ? NULL : &c->fields.fields[c->at[role]];
}

static const char *
csv_name(const csv_rows *c, request_role role)
{
    return c->columns[c->at[role]]->name;
}

/* Whether a value that was read goes to the end of its field. */
static bool
csv_whole(csv_rows *c, request_rows *rows, request_role role, const char *end)
{
    const moe_csv_field *field = csv_field(c, role);
    return end == field->at + field->n ||
           request_fail(rows, field->place, "'%s' holds more than one value", csv_name(c, role));
}

static bool
csv_tokens(csv_rows *c, request_rows *rows, request_role role, uint32_t *tokens)
{
    const char *end;
    return request_read_tokens(rows, csv_name(c, role), csv_field(c, role)->at, &end, tokens) &&
           csv_whole(c, rows, role, end);
}

/* Ids separated by spaces; as many as the prompt has blocks, or none. */
static bool
csv_blocks(csv_rows *c, request_rows *rows, uint32_t prompt)
{
    const moe_csv_field *field = csv_field(c, REQUEST_BLOCKS);
    const char *at = field->at, *end = at + field->n;
    while (at < end) {
        uint64_t id = 0;
        const char *first = at;
        for (unsigned digit; at < end && (digit = (unsigned char)(*at - '0')) <= 9; at++)
            if (__builtin_mul_overflow(id, 10u, &id) || __builtin_add_overflow(id, digit, &id))
                return request_fail(rows, field->place, "a block's number is above 2^64 - 1");
        if (at == first || (at < end && *at != ' '))
            return request_fail(rows, field->place,
                                "wants whole numbers of blocks, separated by spaces");
        request_block(rows, id);
        while (at < end && *at == ' ')
            at++;
    }
    size_t wanted = ((size_t)prompt + c->block_tokens - 1) / c->block_tokens;
    if (rows->n_blocks && rows->n_blocks != wanted)
        return request_fail(rows, field->place,
                            "%zu blocks of %u tokens, but a prompt of %u has %zu", rows->n_blocks,
                            c->block_tokens, prompt, wanted);
    return true;
}

static moe_request_name
csv_named(const csv_rows *c, request_role role)
{
    const moe_csv_field *field = csv_field(c, role);
    return field ? (moe_request_name){field->at, field->n} : (moe_request_name){NULL, 0};
}

static bool
csv_row(void *importer, request_rows *rows)
{
    csv_rows *c = importer;
    if (MOE_UNLIKELY(!moe_csv_split(&c->fields, &rows->lines))) {
        rows->errors++;
        return false;
    }
    if (MOE_UNLIKELY(c->fields.n != c->n_columns))
        return request_fail(rows, NULL, "%u fields; the header names %u", c->fields.n,
                            c->n_columns);
    moe_request request = {.session = csv_named(c, REQUEST_SESSION),
                           .model = csv_named(c, REQUEST_MODEL)};
    const char *end;
    if (!request_read_time(rows, c->columns[c->at[REQUEST_TIME]], csv_field(c, REQUEST_TIME)->at,
                           &end, &request.time_ns) ||
        !csv_whole(c, rows, REQUEST_TIME, end) ||
        !csv_tokens(c, rows, REQUEST_PROMPT, &request.prompt) ||
        !csv_tokens(c, rows, REQUEST_OUTPUT, &request.output) ||
        (c->block_tokens && !csv_blocks(c, rows, request.prompt)))
        return false;
    return request_rows_add(rows, &request);
}

moe_requests_builder *
request_csv_read(const request_csv *csv, moe_import_job *job)
{
    csv_rows c = {.csv = csv};
    moe_requests_builder *builder = request_rows_read(job, CSV_MAX_LINE, csv_header, csv_row, &c);
    moe_csv_fields_clear(&c.fields);
    return builder;
}

int
request_csv_sniff(const request_csv *csv, const char *head, size_t n, int sure)
{
    const char *end = memchr(head, '\n', n);
    if (!end || end == head)
        return 0;
    size_t mark = n >= 3 && memcmp(head, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_text_lines lines = {.diag = diag, .line = 1, .text = head + mark};
    lines.length = (size_t)(end - lines.text);
    lines.length -= lines.length && end[-1] == '\r';
    moe_csv_fields fields = {0};
    unsigned seen = 0;
    if (moe_csv_split(&fields, &lines)) {
        for (uint32_t i = 0; i < fields.n; i++) {
            const request_key *key = csv_key(csv, &fields.fields[i]);
            seen |= key ? 1u << key->role : 0;
        }
    }
    moe_csv_fields_clear(&fields);
    unsigned wanted = 1u << REQUEST_TIME | 1u << REQUEST_PROMPT | 1u << REQUEST_OUTPUT;
    return (seen & wanted) == wanted ? sure : 0;
}
