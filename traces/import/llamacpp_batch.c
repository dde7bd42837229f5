#include "traces/import/llamacpp.h"

#include <stdarg.h>
#include <string.h>

static moe_place
batch_place(const llamacpp_batch *b, uint64_t line)
{
    return (moe_place){.loc = {.file = b->file, .line = (int)MIN(line, (uint64_t)G_MAXINT)},
                       .diag = b->job->diag};
}

bool
llamacpp_fail(const llamacpp_batch *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_place place = batch_place(b, b->line);
    return moe_place_error(&place, "%s", message);
}

static llamacpp_part *
batch_part(const llamacpp_batch *b, guint i)
{
    return &g_array_index(b->parts, llamacpp_part, i);
}

/* The shortest run of a layer; the last one of an input may be cut short. */
static bool
batch_measure(llamacpp_batch *b, bool end)
{
    for (guint i = 0; i < b->parts->len; i++) {
        if (end && b->shortest && i + 1 == b->parts->len)
            break;
        uint64_t n = batch_part(b, i)->n;
        b->shortest = b->shortest ? MIN(b->shortest, n) : n;
    }
    return true;
}

/* Tokens of a part, if it holds whole ones. */
static bool
batch_tokens(llamacpp_batch *b, const llamacpp_part *part, uint64_t *n)
{
    *n = part->n / b->k;
    if (part->n % b->k == 0)
        return true;
    moe_place place = batch_place(b, part->line);
    return moe_place_error(&place,
                           "layer %u: %" G_GUINT64_FORMAT " experts in a row are no multiple of %u "
                           "per token (--top-k)",
                           part->layer, part->n, b->k);
}

/* The views of all layers. The last one may have only the tokens whose logits are wanted, the last
 * ones; the others' rows are filled with "not run" in `cut`. */
static bool
batch_views(llamacpp_batch *b, uint64_t n_tokens, moe_array *views, uint32_t *numbers, GArray *cut)
{
    uint32_t k = b->k;
    for (guint i = 0; i < b->parts->len; i++) {
        const llamacpp_part *part = batch_part(b, i);
        uint64_t n;
        if (!batch_tokens(b, part, &n))
            return false;
        numbers[i] = part->layer;
        views[i] =
            (moe_array){.name = "",
                        .data = (const uint8_t *)(&g_array_index(b->ids, int32_t, part->first)),
                        .type = MOE_ARRAY_I32,
                        .rank = 2,
                        .shape = {n_tokens, k},
                        .stride = {(int64_t)(k * sizeof(int32_t)), sizeof(int32_t)}};
        if (n == n_tokens)
            continue;
        if (n > n_tokens || i + 1 < b->parts->len) {
            moe_place place = batch_place(b, part->line);
            return moe_place_error(&place,
                                   "layer %u has %" G_GUINT64_FORMAT " tokens, but layer %u of the "
                                   "same ubatch has %" G_GUINT64_FORMAT,
                                   part->layer, n, batch_part(b, 0)->layer, n_tokens);
        }
        g_array_set_size(cut, (guint)(n_tokens * k));
        for (uint64_t j = 0; j < n_tokens * k; j++) {
            uint64_t missing = (n_tokens - n) * k;
            int32_t id = MOE_BLOCK_NOT_RUN;
            if (j >= missing)
                id = g_array_index(b->ids, int32_t, part->first + j - missing);
            g_array_index(cut, int32_t, j) = id;
        }
        views[i].data = (const uint8_t *)cut->data;
        b->n_cut += n_tokens - n;
    }
    return true;
}

static bool
batch_block(llamacpp_batch *b)
{
    g_autofree moe_array *views = g_new(moe_array, b->parts->len);
    g_autofree uint32_t *numbers = g_new(uint32_t, b->parts->len);
    g_autoptr(GArray) cut = g_array_new(FALSE, FALSE, sizeof(int32_t));
    uint64_t n_tokens;
    if (!batch_tokens(b, batch_part(b, 0), &n_tokens) ||
        !batch_views(b, n_tokens, views, numbers, cut))
        return false;
    bool prompt = b->phase ? b->phase == LLAMACPP_PROMPT : n_tokens > 1 || !b->begun;
    if (prompt && b->answering) {
        b->sequence++;
        b->position = 0;
    }
    b->answering = !prompt;
    b->begun = true;
    moe_block block = {.place = batch_place(b, batch_part(b, 0)->line),
                       .input = b->input,
                       .n_tokens = n_tokens,
                       .n_layers = b->parts->len,
                       .k = b->k,
                       .layers = views,
                       .numbers = numbers,
                       .sequence = b->sequence,
                       .position = b->position,
                       .phase_known = true,
                       .n_prefill = prompt ? b->position + n_tokens : 0,
                       .not_run = true,
                       .done = b->done,
                       .total = b->total};
    b->position += (uint32_t)n_tokens;
    b->n_layers = b->n_layers ? b->n_layers : b->parts->len;
    return b->sink(b->context, &block);
}

bool
llamacpp_flush(llamacpp_batch *b)
{
    bool ok = b->parts->len == 0 || (b->measuring ? batch_measure(b, false) : batch_block(b));
    g_array_set_size(b->parts, 0);
    g_array_set_size(b->ids, 0);
    return ok;
}

bool
llamacpp_end(llamacpp_batch *b)
{
    if (b->measuring)
        batch_measure(b, true);
    else if (b->parts->len < b->n_layers && b->parts->len)
        moe_import_note(
            b->job, "%s: the last ubatch has %u of %u layers, as if it were cut short: left out",
            b->job->paths[b->input], b->parts->len, b->n_layers);
    else if (b->parts->len)
        return llamacpp_flush(b);
    g_array_set_size(b->parts, 0);
    g_array_set_size(b->ids, 0);
    return true;
}

bool
llamacpp_row(llamacpp_batch *b, uint32_t layer, const int32_t *ids, uint64_t n, bool same)
{
    llamacpp_part *last = b->parts->len ? batch_part(b, b->parts->len - 1) : NULL;
    if (last && (layer < last->layer || (layer == last->layer && !same))) {
        if (!llamacpp_flush(b))
            return false;
        last = NULL;
    }
    if (b->ids->len + n > LLAMACPP_MAX_IDS || b->parts->len > MOE_ROUTING_MAX_LAYERS)
        return llamacpp_fail(b, "a ubatch of more than %u experts or %d layers", LLAMACPP_MAX_IDS,
                             MOE_ROUTING_MAX_LAYERS);
    if (!last || last->layer != layer) {
        llamacpp_part part = {.layer = layer, .first = b->ids->len, .line = b->line};
        g_array_append_val(b->parts, part);
        last = batch_part(b, b->parts->len - 1);
    }
    last->n += n;
    g_array_append_vals(b->ids, ids, (guint)n);
    return true;
}
