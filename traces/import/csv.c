/* The CSV import as a whole: in one pass as a stream, or in a second one that gathers all rows. */
#include "traces/import/csv.h"

#include "sim/base/error.h"
#include "traces/import/import.h"

#include <string.h>

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
csv_read(csv_import *c)
{
    moe_text_step step = moe_text_lines_next(&c->lines, c->job->error);
    if (step == MOE_TEXT_END)
        return moe_import_fail(c->job, 0, "the file is empty");
    if (step == MOE_TEXT_FAILED || !csv_header(c))
        return false;
    while ((step = moe_text_lines_next(&c->lines, c->job->error)) == MOE_TEXT_LINE)
        if (!csv_row_read(c) && (c->no_memory || c->give_up || c->errors >= MOE_ROUTING_MAX_ERRORS))
            return false;
    if (step == MOE_TEXT_END && c->n_rows == 0 && c->errors == 0)
        return moe_import_fail(c->job, 0, "no rows behind the header line");
    return step == MOE_TEXT_END && c->errors == 0;
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
    moe_text_source *source = moe_import_open(job, 0);
    if (!source)
        return NULL;
    csv_import c = {.job = job};
    moe_text_lines_init(&c.lines, source, name, CSV_MAX_LINE, job->diag);
    c.lines.progress = job->progress;
    c.lines.context = job->context;
    c.id_limit_given = n_experts > 0;
    c.id_limit = n_experts ? MIN(n_experts, MOE_ROUTING_MAX_EXPERTS) : MOE_ROUTING_MAX_EXPERTS;
    c.k = MIN(job->options->top_k, MOE_ROUTING_MAX_K);
    c.stamps = g_new0(uint32_t, 65536);
    c.layers = g_new0(uint8_t, CSV_MAX_LAYER + 1);
    c.stream = stream ? csv_stream_new() : NULL;
    moe_routing_builder *builder = NULL;
    if (csv_read(&c))
        builder = stream ? csv_stream_finish(&c) : csv_gather_finish(&c);
    if (builder)
        csv_report(&c);
    if (c.no_memory)
        moe_error_path(job->error, MOE_ERROR_MEMORY, name, 0,
                       "no memory for more than %" G_GUINT64_FORMAT " rows", c.n_rows);
    *again = c.give_up;
    csv_clear(&c);
    moe_text_lines_clear(&c.lines);
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
