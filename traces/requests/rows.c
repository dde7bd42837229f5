#include "traces/requests/rows.h"

#include "sim/base/error.h"
#include "traces/requests/timestamp.h"

#include <stdarg.h>
#include <string.h>

#define REQUESTS_MAX_ERRORS 20

__attribute__((cold)) bool
request_fail(request_rows *rows, const char *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    rows->errors++;
    return moe_text_lines_fail(&rows->lines, at, "%s", message);
}

/* The word at a place, for messages; false when there is none. */
static bool
request_word(const char *at, char buffer[28])
{
    size_t n = 0;
    for (; n < 24 && !strchr(",\n\r\"}]", at[n]); n++)
        buffer[n] = at[n] >= 0x20 && at[n] < 0x7F ? at[n] : '?';
    buffer[n] = '\0';
    return n > 0;
}

/* ---- numbers and times ---- */

static bool
request_ends(const char *at)
{
    return strchr(",\n\r\"}] ", *at) != NULL; /* NUL too: the end of an unquoted copy */
}

/* A date of a year that is not read: YEAR-MM-DD. */
static bool
request_far_year(const char *at)
{
    static const char digits[] = "0123456789";
    size_t n = strspn(at, digits);
    int64_t year = g_ascii_strtoll(at, NULL, 10);
    return n >= 4 && at[n] == '-' && strspn(at + n + 1, digits) == 2 && at[n + 3] == '-' &&
           strspn(at + n + 4, digits) == 2 && (year < 1950 || year > 2200);
}

bool
request_read_time(request_rows *rows, const request_key *key, const char *at, const char **end,
                  int64_t *ns)
{
    char word[28];
    const char *rest =
        key->unit_ns ? moe_duration_read(at, key->unit_ns, ns) : moe_timestamp_read(at, ns);
    if (MOE_LIKELY(rest && request_ends(rest) && (key->unit_ns == 0 || *ns >= 0))) {
        *end = rest;
        return true;
    }
    if (*at == '"' && key->unit_ns)
        return request_fail(rows, at, "'%s' wants a number, found a text in quotes", key->name);
    if (!request_word(at, word))
        return request_fail(rows, at,
                            "'%s' is missing: a request needs its time of arrival; add it "
                            "or remove the row",
                            key->name);
    if (*at == '-')
        return request_fail(rows, at, "'%s': %s is negative", key->name, word);
    if (key->unit_ns == 0 && request_far_year(at))
        return request_fail(rows, at, "'%s': %s is out of range: years are 1950 to 2200", key->name,
                            word);
    if (key->unit_ns == 0)
        return request_fail(rows, at,
                            "'%s' wants a time such as 2023-11-16 18:17:03.97996, found %s",
                            key->name, word);
    size_t digits = strspn(at, "0123456789.eE+");
    if (!rest && digits && request_ends(at + digits))
        return request_fail(rows, at, "'%s': %s is beyond what nanoseconds in 64 bits hold",
                            key->name, word);
    return request_fail(rows, at, "'%s' wants a number, found %s", key->name, word);
}

__attribute__((cold)) static bool
request_no_tokens(request_rows *rows, const char *name, const char *at)
{
    char word[28];
    if (!request_word(at, word))
        return request_fail(rows, at, "'%s' is missing; add it or remove the row", name);
    if (at[0] == '-' && (unsigned char)(at[1] - '0') <= 9)
        return request_fail(rows, at, "'%s': %s is negative", name, word);
    size_t digits = strspn(at, "0123456789");
    if (digits && request_ends(at + digits))
        return request_fail(rows, at, "'%s': %s is too large (at most %u)", name, word,
                            MOE_REQUESTS_MAX_TOKENS);
    return request_fail(rows, at, "'%s' wants a whole number of tokens, found %s", name, word);
}

bool
request_read_tokens(request_rows *rows, const char *name, const char *at, const char **end,
                    uint32_t *tokens)
{
    const char *p = at;
    uint64_t value = 0;
    for (unsigned digit; (digit = (unsigned char)(*p - '0')) <= 9 && value <= UINT32_MAX; p++)
        value = value * 10 + digit;
    const char *last = p;
    if (*p == '.') /* 374.0, as some programs write whole numbers */
        for (p++; *p == '0';)
            p++;
    if (MOE_UNLIKELY(last == at || !request_ends(p) || value > MOE_REQUESTS_MAX_TOKENS))
        return request_no_tokens(rows, name, at);
    *end = p;
    *tokens = (uint32_t)value;
    return true;
}

bool
request_block(request_rows *rows, uint64_t block)
{
    if (rows->n_blocks == rows->max_blocks) {
        rows->max_blocks = rows->max_blocks * 2 + 64;
        rows->blocks = g_realloc_n(rows->blocks, rows->max_blocks, sizeof *rows->blocks);
    }
    rows->blocks[rows->n_blocks++] = block;
    return true;
}

/* ---- rows ---- */

static bool
request_drop(request_rows *rows, request_drops *drops)
{
    if (drops->n++ == 0) {
        drops->line = rows->lines.line;
        drops->file = rows->lines.file;
    }
    rows->n_blocks = 0;
    return true;
}

/* Times fall: said once, for one look at the file is enough to see it. */
static bool
request_falls(request_rows *rows, int64_t time_ns)
{
    if (rows->falls)
        return true;
    rows->falls = true;
    return request_fail(rows, NULL,
                        "arrives %.9g s before the request of line %" G_GUINT64_FORMAT
                        ": is this the time of arrival? --sort puts the requests in order",
                        (double)(rows->latest_ns - time_ns) / 1e9, rows->latest_line);
}

bool
request_rows_add(request_rows *rows, moe_request *request)
{
    if (MOE_UNLIKELY(request->output == 0))
        return request_drop(rows, &rows->no_output);
    if (MOE_UNLIKELY(request->prompt == 0))
        return request_drop(rows, &rows->no_prompt);
    if (MOE_UNLIKELY(rows->n_rows && request->time_ns < rows->latest_ns &&
                     !rows->job->options->sort && !request_falls(rows, request->time_ns)))
        return false;
    if (request->time_ns >= rows->latest_ns || rows->n_rows == 0) {
        rows->latest_ns = request->time_ns;
        rows->latest_line = rows->lines.line;
    }
    rows->n_rows++;
    request->blocks = rows->blocks;
    request->n_blocks = rows->n_blocks;
    bool added = moe_requests_builder_add(rows->builder, request);
    rows->n_blocks = 0;
    return added || request_fail(rows, NULL, "more than %u models", MOE_REQUESTS_NO_MODEL);
}

static void
request_report_drops(const request_rows *rows, const request_drops *drops, const char *what)
{
    if (drops->n)
        moe_import_note(rows->job,
                        "%" G_GUINT64_FORMAT
                        " requests %s dropped, the first in %s:%" G_GUINT64_FORMAT,
                        drops->n, what, drops->file, drops->line);
}

static void
request_report(const request_rows *rows)
{
    uint64_t n = moe_requests_builder_count(rows->builder);
    uint64_t late = moe_requests_builder_late(rows->builder);
    moe_import_note(rows->job, "%" G_GUINT64_FORMAT " requests", n);
    request_report_drops(rows, &rows->no_output, "without output (failed)");
    request_report_drops(rows, &rows->no_prompt, "with an empty prompt");
    if (late)
        moe_import_note(rows->job,
                        "%" G_GUINT64_FORMAT " requests came after later ones: sorted by time",
                        late);
}

/* ---- inputs ---- */

static bool
request_lines(request_rows *rows, request_line *first, request_line *row, void *importer)
{
    const moe_text_lines *lines = &rows->lines;
    moe_text_step step;
    while ((step = moe_text_lines_next(&rows->lines, rows->job->error)) == MOE_TEXT_LINE) {
        rows->n_blocks = 0;
        if (lines->line == 1 && first) {
            if (!first(importer, rows))
                return false;
            continue;
        }
        if (!row(importer, rows) && rows->errors >= REQUESTS_MAX_ERRORS)
            return false;
    }
    rows->errors += step == MOE_TEXT_FAILED;
    if (step == MOE_TEXT_END && !lines->text)
        rows->errors += !moe_import_fail(rows->job, 0, "the file is empty");
    return step == MOE_TEXT_END;
}

static bool
request_input(request_rows *rows, size_t i, size_t max_line, request_line *first, request_line *row,
              void *importer)
{
    const moe_import_job *job = rows->job;
    moe_text_source *source = moe_import_open(job, i);
    if (!source)
        return false;
    moe_text_lines_init(&rows->lines, source, job->paths[i], max_line, job->diag);
    rows->lines.progress = job->progress;
    rows->lines.context = job->context;
    bool ok = request_lines(rows, first, row, importer);
    moe_text_lines_clear(&rows->lines);
    return ok;
}

moe_requests_builder *
request_rows_read(const moe_import_job *job, size_t max_line, request_line *first,
                  request_line *row, void *importer)
{
    request_rows rows = {.job = job, .builder = moe_import_requests_builder(job)};
    bool ok = true;
    for (size_t i = 0; ok && i < job->n_paths; i++)
        ok = request_input(&rows, i, max_line, first, row, importer);
    ok = ok && rows.errors == 0;
    if (ok && moe_requests_builder_count(rows.builder) == 0)
        ok = moe_import_fail(job, 0, "no requests%s",
                             rows.no_output.n ? ": none has an output" : "");
    if (ok)
        request_report(&rows);
    g_free(rows.blocks);
    if (ok)
        return rows.builder;
    moe_requests_builder_free(rows.builder);
    return NULL;
}
