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

/* ---- what both ways of taking rows need ---- */

bool
csv_new_layer(csv_import *c, uint32_t layer)
{
    if (c->n_layers == MOE_ROUTING_MAX_LAYERS)
        return csv_fail(c, NULL, "more than %d layers", MOE_ROUTING_MAX_LAYERS);
    c->layers[layer] = 1;
    c->n_layers++;
    return true;
}

/* Room for one more row of any length. */
bool
csv_reserve(csv_import *c)
{
    if (MOE_UNLIKELY(!c->stream && c->n_rows == c->max_rows)) {
        c->no_memory = c->n_rows > MOE_NONE / 2; /* rows and lines are counted in 32 bits */
        if (c->no_memory)
            return false;
        size_t max = c->max_rows ? c->max_rows * 2 : 65536;
        void *rows = g_try_realloc_n(c->rows, max, sizeof *c->rows);
        c->no_memory = !rows;
        if (!rows)
            return false;
        c->rows = rows;
        c->max_rows = max;
    }
    if (MOE_UNLIKELY(c->max_ids - c->n_ids < MOE_ROUTING_MAX_K)) {
        size_t max = c->max_ids ? c->max_ids * 2 : 65536;
        void *ids = g_try_realloc_n(c->ids, max, sizeof *c->ids);
        c->ids = ids ? ids : c->ids;
        void *weights =
            c->has_weights ? g_try_realloc_n(c->weights, max, sizeof *c->weights) : NULL;
        c->weights = weights ? weights : c->weights;
        c->no_memory = !ids || (c->has_weights && !weights);
        if (c->no_memory)
            return false;
        c->max_ids = max;
    }
    return true;
}

uint32_t *
csv_layer_ids(const csv_import *c)
{
    uint32_t *ids = g_new(uint32_t, MAX(c->n_layers, 1)), n = 0;
    for (uint32_t layer = 0; layer <= CSV_MAX_LAYER; layer++)
        if (c->layers[layer])
            ids[n++] = layer;
    return ids;
}

void
csv_place(const csv_import *c, uint32_t n, const uint16_t *from, const float *from_weights,
          uint32_t k, int32_t *ids, float *weights)
{
    int32_t rest = n == CSV_NOT_RUN ? MOE_TRAPS_NOT_RUN : MOE_TRAPS_NONE;
    n = n > MOE_ROUTING_MAX_K ? 0 : n;
    for (uint32_t j = 0; j < n; j++)
        ids[j] = from[j];
    for (uint32_t j = n; j < k; j++)
        ids[j] = rest;
    if (!from_weights)
        return;
    for (uint32_t j = 0; j < k; j++)
        weights[j] = j < n ? from_weights[j] : 0;
}

void
csv_report(const csv_import *c)
{
    g_autofree uint32_t *layer_ids = csv_layer_ids(c);
    uint32_t last = layer_ids[c->n_layers - 1];
    uint64_t n_short = 0;
    for (uint32_t n = 0; n < c->k; n++)
        n_short += c->lengths[n];
    if (!c->has_phase)
        moe_import_note(c->job, "no phase column: all tokens taken as decode");
    if (last != c->n_layers - 1)
        moe_import_note(c->job, "%u layers, numbered %u .. %u with gaps or an offset", c->n_layers,
                        layer_ids[0], last);
    if (n_short)
        moe_import_note(c->job,
                        "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                        " rows name fewer than %u experts: padded",
                        n_short, c->n_rows, c->k);
}

/* ---- the whole ---- */

static bool
csv_read(csv_import *c, csv_text *text)
{
    const moe_import_job *job = c->job;
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
    csv_gather_clear(c);
    csv_stream_free(c->stream);
    g_free(c->ids);
    g_free(c->weights);
    g_free(c->stamps);
    g_free(c->layers);
}

/* One reading of the file; *again: rows do not come in a way that a stream can take. */
static moe_routing_builder *
csv_pass(moe_import_job *job, bool stream, bool *again)
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
    c.stream = stream ? csv_stream_new() : NULL;
    moe_routing_builder *builder = NULL;
    if (csv_read(&c, &text))
        builder = stream ? csv_stream_finish(&c) : csv_gather_finish(&c);
    if (builder)
        csv_report(&c);
    if (c.no_memory)
        moe_error_path(job->error, MOE_ERROR_MEMORY, name, 0,
                       "no memory for more than %" G_GUINT64_FORMAT " rows", c.n_rows);
    *again = c.give_up;
    csv_clear(&c);
    g_free(text.block);
    moe_text_source_close(text.source);
    return builder;
}

static moe_routing_builder *
csv_run(moe_import_job *job)
{
    bool again = true;
    gsize said = job->report->len;
    moe_routing_builder *builder = NULL;
    if (moe_import_again(job, 0))
        builder = csv_pass(job, true, &again);
    if (!again)
        return builder;
    g_string_truncate(job->report, said);
    return csv_pass(job, false, &again);
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
