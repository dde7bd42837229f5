/* Token by token, as rows come: the first token tells the layers, every later one must have each
 * of them once, and positions of a sequence must rise. Anything else gives up. */
#include "traces/import/csv.h"

#include <string.h>

#define STREAM_NO_COLUMN UINT16_MAX

/* A row of the first token: its ids stand behind those of the rows before. */
typedef struct stream_first {
    uint16_t layer, n;
} stream_first;

typedef struct csv_stream {
    moe_traps *traps; /* NULL: the first token is not whole yet */
    stream_first *first;
    uint32_t n_first;

    uint16_t *column; /* [CSV_MAX_LAYER + 1]: number in the file -> column */
    uint32_t n_layers, k, n_seen;
    uint64_t *seen; /* [n_layers]: token that last had a row there */
    uint64_t n_tokens;
    int32_t *ids;   /* [n_layers, k] */
    float *weights; /* [n_layers, k] */

    bool started;
    uint64_t key, first_line; /* of the token at hand */
    uint8_t phase;
    moe_index_map sequences;
    uint32_t *last, max_sequences; /* position that came last in each */
} csv_stream;

csv_stream *
csv_stream_new(void)
{
    csv_stream *s = g_new0(csv_stream, 1);
    s->first = g_new(stream_first, MOE_ROUTING_MAX_LAYERS);
    return s;
}

void
csv_stream_free(csv_stream *s)
{
    if (!s)
        return;
    moe_traps_free(s->traps);
    moe_index_map_clear(&s->sequences);
    g_free(s->first);
    g_free(s->column);
    g_free(s->seen);
    g_free(s->ids);
    g_free(s->weights);
    g_free(s->last);
    g_free(s);
}

static bool
stream_give_up(csv_import *c)
{
    c->give_up = true;
    return false;
}

/* ---- tokens ---- */

static bool
stream_add(csv_import *c)
{
    csv_stream *s = c->stream;
    moe_traps_line(s->traps, s->first_line);
    if (moe_traps_add(s->traps, (uint32_t)(s->key >> 32), (uint32_t)s->key, s->phase, s->ids,
                      c->has_weights ? s->weights : NULL))
        return true;
    c->errors = MOE_ROUTING_MAX_ERRORS; /* told already */
    return false;
}

/* The first token is whole: it says which layers there are. */
static bool
stream_begin(csv_import *c)
{
    csv_stream *s = c->stream;
    if (s->n_first != c->n_layers) /* the next token has another layer */
        return stream_give_up(c);
    g_autofree uint32_t *layer_ids = csv_layer_ids(c);
    uint32_t n = s->n_layers = c->n_layers, k = s->k = MAX(c->k, 1);
    s->traps = moe_traps_new(
        c->job,
        &(moe_traps_shape){.n_layers = n, .k = k, .layer_ids = layer_ids, .sentinels = true});
    if (!s->traps) {
        c->errors = MOE_ROUTING_MAX_ERRORS;
        return false;
    }
    s->column = g_new(uint16_t, CSV_MAX_LAYER + 1);
    for (uint32_t i = 0; i <= CSV_MAX_LAYER; i++)
        s->column[i] = STREAM_NO_COLUMN;
    for (uint32_t i = 0; i < n; i++)
        s->column[layer_ids[i]] = (uint16_t)i;
    s->seen = g_new0(uint64_t, n);
    s->ids = g_new(int32_t, (gsize)n * k);
    s->weights = g_new0(float, (gsize)n *k);
    size_t from = 0;
    for (uint32_t i = 0; i < s->n_first; i++) {
        size_t to = (size_t)s->column[s->first[i].layer] * k;
        csv_place(c, s->first[i].n, c->ids + from, c->has_weights ? c->weights + from : NULL, k,
                  s->ids + to, s->weights + to);
        from += s->first[i].n > MOE_ROUTING_MAX_K ? 0 : s->first[i].n;
    }
    /* the row at hand, behind them, is the next token's */
    size_t at_hand = MIN(MOE_ROUTING_MAX_K, c->max_ids - from);
    memmove(c->ids, c->ids + from, at_hand * sizeof *c->ids);
    if (c->has_weights)
        memmove(c->weights, c->weights + from, at_hand * sizeof *c->weights);
    c->n_ids = 0;
    return true;
}

/* The token at hand is over: all its layers must be there. */
static bool
stream_end_token(csv_import *c)
{
    csv_stream *s = c->stream;
    if (!s->traps) {
        if (!stream_begin(c))
            return false;
    } else if (s->n_seen != s->n_layers) {
        return stream_give_up(c);
    }
    return stream_add(c);
}

/* Positions of a sequence rise: so no token comes twice, and none in pieces. */
static bool
stream_rises(csv_import *c, uint32_t sequence, uint32_t position)
{
    csv_stream *s = c->stream;
    uint32_t known = s->sequences.n, at = moe_index_map_add(&s->sequences, sequence);
    if (at < known) {
        bool rises = position > s->last[at];
        s->last[at] = position;
        return rises || stream_give_up(c);
    }
    if (at != MOE_NONE && at == s->max_sequences) {
        uint32_t max = s->max_sequences ? s->max_sequences * 2 : 1024;
        uint32_t *last = g_try_realloc_n(s->last, max, sizeof *last);
        s->last = last ? last : s->last;
        s->max_sequences = last ? max : s->max_sequences;
    }
    if (at == MOE_NONE || at >= s->max_sequences) {
        c->no_memory = true;
        return false;
    }
    s->last[at] = position;
    return true;
}

static bool
stream_token(csv_import *c, const csv_fields *f, uint64_t key)
{
    csv_stream *s = c->stream;
    if (s->started && c->errors == 0 && !stream_end_token(c))
        return false;
    s->started = true;
    s->key = key;
    s->first_line = c->lines.line;
    s->phase = (uint8_t)f->phase;
    s->n_seen = 0;
    s->n_tokens++;
    return c->errors || stream_rises(c, f->seq, f->pos);
}

/* ---- rows ---- */

static bool
stream_first_row(csv_import *c, const csv_fields *f)
{
    csv_stream *s = c->stream;
    for (uint32_t i = 0; i < s->n_first; i++)
        if (s->first[i].layer == f->layer)
            return stream_give_up(c);
    s->first[s->n_first++] = (stream_first){(uint16_t)f->layer, (uint16_t)f->n_experts};
    c->n_ids += f->n_experts > MOE_ROUTING_MAX_K ? 0 : f->n_experts;
    return true;
}

/* Rows of the token at hand move apart. */
static void
stream_widen(csv_stream *s, uint32_t k)
{
    s->ids = g_renew(int32_t, s->ids, (gsize)s->n_layers * k);
    s->weights = g_renew(float, s->weights, (gsize)s->n_layers *k);
    for (uint32_t i = s->n_layers; i-- > 0;) {
        memmove(s->ids + (size_t)i * k, s->ids + (size_t)i * s->k, s->k * sizeof *s->ids);
        memmove(s->weights + (size_t)i * k, s->weights + (size_t)i * s->k,
                s->k * sizeof *s->weights);
        for (uint32_t j = s->k; j < k; j++) {
            s->ids[(size_t)i * k + j] =
                s->ids[(size_t)i * k] == MOE_TRAPS_NOT_RUN ? MOE_TRAPS_NOT_RUN : MOE_TRAPS_NONE;
            s->weights[(size_t)i * k + j] = 0;
        }
    }
    moe_traps_widen(s->traps, k);
    s->k = k;
}

bool
csv_stream_row(csv_import *c, const csv_fields *f)
{
    csv_stream *s = c->stream;
    uint64_t key = (uint64_t)f->seq << 32 | f->pos;
    if (MOE_UNLIKELY(key != s->key || !s->started) && !stream_token(c, f, key))
        return false;
    if (MOE_UNLIKELY(s->phase != f->phase))
        return csv_fail(c, NULL, "another phase than in the token's row in line %" G_GUINT64_FORMAT,
                        s->first_line);
    if (MOE_UNLIKELY(c->errors))
        return true;
    if (MOE_UNLIKELY(!s->traps))
        return stream_first_row(c, f);
    uint32_t column = s->column[f->layer];
    if (MOE_UNLIKELY(column == STREAM_NO_COLUMN || s->seen[column] == s->n_tokens))
        return stream_give_up(c);
    if (MOE_UNLIKELY(c->k > s->k))
        stream_widen(s, c->k);
    s->seen[column] = s->n_tokens;
    s->n_seen++;
    size_t to = (size_t)column * s->k;
    csv_place(c, f->n_experts, c->ids, c->has_weights ? c->weights : NULL, s->k, s->ids + to,
              s->weights + to);
    return true;
}

moe_routing_builder *
csv_stream_finish(csv_import *c)
{
    csv_stream *s = c->stream;
    if (!stream_end_token(c))
        return NULL;
    return moe_traps_finish(g_steal_pointer(&s->traps));
}
