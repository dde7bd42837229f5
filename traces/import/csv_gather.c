/* Rows as they came, whatever their order, in flat lists; then it is made sure that each token has
 * each layer once, and the tokens are assembled one after another. */
#include "traces/import/csv.h"

#include <string.h>

#define PLACE_N_BITS 9 /* up to CSV_NOT_RUN */

/* The token of a row that is not the one before: known or new. */
static bool
gather_token(csv_import *c, uint64_t key, uint32_t phase)
{
    uint32_t known = c->map.n, token = moe_index_map_add(&c->map, key);
    csv_tokens *t = &c->tokens;
    if (token == MOE_NONE || known == MOE_NONE - 1) {
        c->no_memory = true;
        return false;
    }
    c->token = token;
    c->token_key = key;
    if (token < known) {
        c->scattered = true;
        return true;
    }
    if (token == t->max) {
        size_t max = t->max ? t->max * 2 : 4096;
        void *sequence = g_try_realloc_n(t->sequence, max, sizeof *t->sequence);
        t->sequence = sequence ? sequence : t->sequence;
        void *position = g_try_realloc_n(t->position, max, sizeof *t->position);
        t->position = position ? position : t->position;
        void *phases = g_try_realloc_n(t->phase, max, sizeof *t->phase);
        t->phase = phases ? phases : t->phase;
        void *rows = g_try_realloc_n(t->first_row, max, sizeof *t->first_row);
        t->first_row = rows ? rows : t->first_row;
        if (!sequence || !position || !phases || !rows) {
            c->no_memory = true;
            return false;
        }
        t->max = max;
    }
    t->sequence[token] = (uint32_t)(key >> 32);
    t->position[token] = (uint32_t)key;
    t->phase[token] = (uint8_t)phase;
    t->first_row[token] = c->n_rows - 1;
    return true;
}

bool
csv_gather_row(csv_import *c, const csv_fields *f)
{
    uint64_t key = (uint64_t)f->seq << 32 | f->pos;
    if (MOE_UNLIKELY(key != c->token_key || c->map.n == 0)) {
        if (!gather_token(c, key, f->phase))
            return false;
    }
    if (MOE_UNLIKELY(c->has_phase && c->tokens.phase[c->token] != f->phase))
        return csv_fail(c, NULL, "another phase than in the token's row in line %" G_GUINT64_FORMAT,
                        c->tokens.first_row[c->token] + 2);
    c->rows[c->n_rows - 1] = (csv_row){c->token, (uint16_t)f->layer, (uint16_t)f->n_experts};
    c->n_ids += f->n_experts > MOE_ROUTING_MAX_K ? 0 : f->n_experts;
    return true;
}

/* ---- the matrix ---- */

typedef struct csv_matrix {
    csv_import *c;
    uint32_t n_tokens, n_layers, k;
    uint32_t *layer_ids; /* ascending */
    uint16_t *column;    /* [CSV_MAX_LAYER + 1]: number in the file -> column */
    uint64_t *places;    /* [tokens, layers]: of the ids, and how many; 0: no row yet */
} csv_matrix;

static void
csv_layers(csv_matrix *m)
{
    m->layer_ids = csv_layer_ids(m->c);
    m->n_layers = m->c->n_layers;
    m->column = g_new0(uint16_t, CSV_MAX_LAYER + 1);
    for (uint32_t i = 0; i < m->n_layers; i++)
        m->column[m->layer_ids[i]] = (uint16_t)i;
}

/* Names the first layer that each token with too few rows lacks. */
static void
csv_explain_missing(csv_matrix *m)
{
    csv_import *c = m->c;
    for (uint32_t token = 0; token < m->n_tokens && c->errors < MOE_ROUTING_MAX_ERRORS; token++) {
        const uint64_t *places = m->places + (size_t)token * m->n_layers;
        uint32_t missing = 0, first = 0;
        for (uint32_t i = m->n_layers; i-- > 0;) {
            if (places[i])
                continue;
            first = m->layer_ids[i];
            missing++;
        }
        if (!missing)
            continue;
        c->lines.line = c->tokens.first_row[token] + 2;
        csv_fail(c, NULL, "seq %u, pos %u: %u of %u layers are missing, first layer %u",
                 c->tokens.sequence[token], c->tokens.position[token], missing, m->n_layers, first);
    }
}

/* Each (token, layer) once; false after messages. */
static bool
csv_complete(csv_matrix *m)
{
    csv_import *c = m->c;
    uint64_t cells = (uint64_t)m->n_tokens * m->n_layers, at = 0;
    m->places = g_try_new0(uint64_t, cells);
    if (!m->places) {
        c->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < c->n_rows; i++) {
        const csv_row *row = &c->rows[i];
        uint64_t *place = &m->places[(uint64_t)row->token * m->n_layers + m->column[row->layer]];
        if (MOE_UNLIKELY(*place)) {
            c->lines.line = i + 2;
            csv_fail(c, NULL, "seq %u, pos %u has layer %u already", c->tokens.sequence[row->token],
                     c->tokens.position[row->token], row->layer);
            if (c->errors >= MOE_ROUTING_MAX_ERRORS)
                return false;
        }
        *place = at << PLACE_N_BITS | row->n;
        at += row->n > MOE_ROUTING_MAX_K ? 0 : row->n;
    }
    if (c->n_rows != cells || c->errors)
        csv_explain_missing(m);
    return c->errors == 0;
}

static void
csv_add_token(const csv_matrix *m, moe_traps *traps, uint32_t token, int32_t *ids, float *weights)
{
    const csv_import *c = m->c;
    for (uint32_t layer = 0; layer < m->n_layers; layer++) {
        uint64_t place = m->places[(size_t)token * m->n_layers + layer];
        size_t at = place >> PLACE_N_BITS, to = (size_t)layer * m->k;
        csv_place(c, (uint32_t)(place & ((1u << PLACE_N_BITS) - 1)), c->ids + at,
                  c->has_weights ? c->weights + at : NULL, m->k, ids + to, weights + to);
    }
    moe_traps_line(traps, c->tokens.first_row[token] + 2);
    moe_traps_add(traps, c->tokens.sequence[token], c->tokens.position[token],
                  c->tokens.phase[token], ids, c->has_weights ? weights : NULL);
}

static moe_routing_builder *
csv_build(const csv_matrix *m)
{
    moe_traps *traps = moe_traps_new(m->c->job, &(moe_traps_shape){.n_layers = m->n_layers,
                                                                   .k = m->k,
                                                                   .layer_ids = m->layer_ids,
                                                                   .sentinels = true});
    size_t n = (size_t)m->n_layers * m->k;
    g_autofree int32_t *ids = g_new(int32_t, n);
    g_autofree float *weights = g_new(float, n);
    for (uint32_t token = 0; traps && token < m->n_tokens; token++)
        csv_add_token(m, traps, token, ids, weights);
    return traps ? moe_traps_finish(traps) : NULL;
}

void
csv_gather_clear(csv_import *c)
{
    g_clear_pointer(&c->rows, g_free);
    g_clear_pointer(&c->tokens.sequence, g_free);
    g_clear_pointer(&c->tokens.position, g_free);
    g_clear_pointer(&c->tokens.phase, g_free);
    g_clear_pointer(&c->tokens.first_row, g_free);
    moe_index_map_clear(&c->map);
}

moe_routing_builder *
csv_gather_finish(csv_import *c)
{
    csv_matrix m = {.c = c, .n_tokens = c->map.n, .k = MAX(c->k, 1)};
    moe_routing_builder *builder = NULL;
    csv_layers(&m);
    if (csv_complete(&m))
        builder = csv_build(&m);
    if (builder)
        moe_import_note(c->job, "%s",
                        c->scattered ? "rows of a token do not follow one another: gathered"
                        : moe_import_again(c->job, 0)
                            ? "tokens do not come in order of position: all held in memory"
                            : "the input can be read once only: all held in memory");
    g_free(m.layer_ids);
    g_free(m.column);
    g_free(m.places);
    return builder;
}
