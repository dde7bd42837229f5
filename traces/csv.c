/* The CSV import as a whole: unpack a block, scan its whole lines, carry the rest over. */
#include "traces/csv.h"

#include "sim/base/error.h"
#include "traces/text_source.h"

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
csv_first(csv_import *c, csv_text *text, GString *report)
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
    return csv_header(c, first, (size_t)(end - first), report) ? end + 1 : NULL;
}

/* Scans the whole lines of the block and moves the rest to its front. */
static bool
csv_block(csv_import *c, csv_text *text, GString *report)
{
    const char *at = text->block, *end = text->block + text->n;
    if (!text->header_done && !(at = csv_first(c, text, report)))
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
csv_read(csv_import *c, csv_text *text, moe_progress *progress, void *context, GString *report,
         GError **error)
{
    double done, total;
    while (!text->ended) {
        if (!csv_refill(c, text, error) || !csv_block(c, text, report))
            return false;
        moe_text_source_progress(text->source, &done, &total);
        if (progress)
            progress(context, done, total);
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

/* Takes the source. */
static moe_routing_builder *
csv_import_from(moe_text_source *source, const char *name, uint32_t n_experts,
                moe_progress *progress, void *context, moe_diag *diag, GString *report,
                GError **error)
{
    csv_text text = {.source = source, .block = g_malloc(CSV_BLOCK + 1)};
    csv_import c = {.file = moe_diag_intern(diag, name), .diag = diag};
    c.id_limit_given = n_experts > 0;
    c.id_limit = n_experts ? MIN(n_experts, MOE_ROUTING_MAX_EXPERTS) : MOE_ROUTING_MAX_EXPERTS;
    c.stamps = g_new0(uint32_t, 65536);
    c.layers = g_new0(uint8_t, CSV_MAX_LAYER + 1);
    moe_routing_builder *builder = NULL;
    if (csv_read(&c, &text, progress, context, report, error))
        builder = csv_assemble(&c, report);
    if (c.no_memory)
        moe_error_path(error, MOE_ERROR_MEMORY, name, 0, "no memory for more than %zu rows",
                       c.n_rows);
    csv_clear(&c);
    g_free(text.block);
    moe_text_source_close(source);
    return builder;
}

moe_routing_builder *
moe_routing_import_csv(const char *path, uint32_t n_experts, moe_progress *progress, void *context,
                       moe_diag *diag, GString *report, GError **error)
{
    moe_text_source *source = moe_text_source_open(path, error);
    if (!source)
        return NULL;
    return csv_import_from(source, path, n_experts, progress, context, diag, report, error);
}

moe_routing_builder *
moe_routing_import_csv_memory(const char *name, const void *bytes, size_t n_bytes,
                              uint32_t n_experts, moe_diag *diag, GString *report, GError **error)
{
    moe_text_source *source = moe_text_source_memory(name, bytes, n_bytes);
    return csv_import_from(source, name, n_experts, NULL, NULL, diag, report, error);
}
