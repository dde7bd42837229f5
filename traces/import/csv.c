/* The CSV import as a whole: unpack a block, scan its whole lines, carry the rest over. */
#include "traces/import/csv.h"

#include "sim/base/error.h"
#include "traces/import/import.h"

#include <string.h>

#define CSV_BLOCK CSV_MAX_LINE

/* The text between the source and the scanner. */
typedef struct csv_text {
    moe_text_source *source;
    char *block; /* CSV_BLOCK + 1 bytes */
    size_t n;    /* bytes in it: a line not yet whole, then what was just read */
    bool header_done, ended;
} csv_text;

/* Fills the block; at the end of the text a last line without '\n' gets one. */
static bool
csv_refill(csv_import *c, csv_text *text, GError **error)
{
    const char *damage;
    size_t n;
    while (text->n < CSV_BLOCK) {
        if (!moe_text_source_read(text->source, text->block + text->n, CSV_BLOCK - text->n, &n,
                                  &damage, error)) {
            if (damage)
                moe_diag_error(c->diag, (moe_loc){.file = c->file, .line = (int)c->line}, "%s",
                               damage);
            return false;
        }
        text->n += n;
        text->ended = n == 0;
        if (text->ended)
            break;
    }
    if (text->ended && text->n && text->block[text->n - 1] != '\n')
        text->block[text->n++] = '\n';
    return true;
}

/* The header in the first block, a byte order mark skipped; the place behind it, or NULL. */
static const char *
csv_first(csv_import *c, csv_text *text)
{
    const char *first = text->block;
    if (text->n >= 3 && memcmp(first, "\xEF\xBB\xBF", 3) == 0)
        first += 3;
    size_t n = text->n - (size_t)(first - text->block);
    const char *end = memchr(first, '\n', n);
    text->header_done = true;
    if (!end) {
        moe_diag_error(c->diag, (moe_loc){.file = c->file}, "%s",
                       n ? "the first line is longer than 1 MiB" : "the file is empty");
        return NULL;
    }
    return csv_header(c, first, (size_t)(end - first)) ? end + 1 : NULL;
}

/* Scans the whole lines of the block and moves the rest to its front. */
static bool
csv_block(csv_import *c, csv_text *text)
{
    const char *at = text->block, *end = text->block + text->n;
    if (!text->header_done && !(at = csv_first(c, text)))
        return false;
    while (end > at && end[-1] != '\n')
        end--;
    if (end == at && text->n == CSV_BLOCK && at == text->block) {
        c->line++;
        return csv_fail(c, NULL, "line longer than 1 MiB");
    }
    if (!csv_lines(c, at, end))
        return false;
    text->n = (size_t)(text->block + text->n - end);
    memmove(text->block, end, text->n);
    return true;
}

static bool
csv_read(csv_import *c, csv_text *text)
{
    moe_import_job *job = c->job;
    double done, total;
    while (!text->ended) {
        if (!csv_refill(c, text, job->error) || !csv_block(c, text))
            return false;
        moe_text_source_progress(text->source, &done, &total);
        if (job->progress)
            job->progress(job->context, done, total);
    }
    if (c->n_rows == 0 && c->errors == 0)
        moe_diag_error(c->diag, (moe_loc){.file = c->file}, "no rows behind the header line");
    return c->n_rows > 0 && c->errors == 0;
}

static void
csv_clear(csv_import *c)
{
    g_free(c->rows);
    g_free(c->ids);
    g_free(c->weights);
    g_free(c->tokens.sequence);
    g_free(c->tokens.position);
    g_free(c->tokens.phase);
    g_free(c->tokens.first_row);
    g_free(c->stamps);
    g_free(c->layers);
    moe_index_map_clear(&c->map);
}

static moe_routing_builder *
csv_run(moe_import_job *job)
{
    const char *name = job->paths[0];
    uint32_t n_experts = job->options->experts;
    csv_text text = {.source = moe_import_open(job, 0)};
    if (!text.source)
        return NULL;
    text.block = g_malloc(CSV_BLOCK + 1);
    csv_import c = {.file = moe_diag_intern(job->diag, name), .diag = job->diag, .job = job};
    c.id_limit_given = n_experts > 0;
    c.id_limit = n_experts ? MIN(n_experts, MOE_ROUTING_MAX_EXPERTS) : MOE_ROUTING_MAX_EXPERTS;
    c.stamps = g_new0(uint32_t, 65536);
    c.layers = g_new0(uint8_t, CSV_MAX_LAYER + 1);
    moe_routing_builder *builder = NULL;
    if (csv_read(&c, &text))
        builder = csv_assemble(&c);
    if (c.no_memory)
        moe_error_path(job->error, MOE_ERROR_MEMORY, name, 0, "no memory for more than %zu rows",
                       c.n_rows);
    csv_clear(&c);
    g_free(text.block);
    moe_text_source_close(text.source);
    return builder;
}

/* Any text whose first line names one of our columns may be meant as CSV. */
static int
csv_sniff(const char *path, const char *head, size_t n)
{
    const char *end = memchr(head, '\n', n);
    g_autofree char *line = g_strndup(head, end ? (size_t)(end - head) : n);
    int named = 0;
    g_auto(GStrv) names = g_strsplit(line, ",", CSV_MAX_COLUMNS);
    for (size_t i = 0; names[i]; i++)
        for (int kind = CSV_SEQ; kind <= CSV_EXPERTS; kind++)
            named += strcmp(g_strstrip(names[i]), csv_names[kind]) == 0;
    if (named > CSV_EXPERTS)
        return 90;
    g_autofree char *lower = g_ascii_strdown(path, -1);
    return named > 1 || strstr(lower, ".csv") ? 20 : 0;
}

const moe_importer moe_importer_csv = {
    .name = "csv",
    .help = "A header line with the columns seq, pos, layer, experts and, if wanted, weights and "
            "phase (0 or prefill, 1 or decode), in any order; a row per token and layer; experts "
            "(and weights) separated by spaces; plain, .gz or .zst.",
    .sniff = csv_sniff,
    .run = csv_run,
};
