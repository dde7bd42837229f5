/* From rows as they came to tokens: first it is made sure that each token has each layer once,
 * then the tokens go to the builder one after another. */
#include "traces/import/csv.h"

#include <string.h>

#define PLACE_N_BITS 9 /* 1 .. MOE_ROUTING_MAX_K */

typedef struct csv_matrix {
    csv_import *c;
    uint32_t n_tokens, n_layers, k;
    uint32_t *layer_ids; /* ascending */
    uint16_t *column;    /* [CSV_MAX_LAYER + 1]: number in the file -> column */
    uint64_t *places;    /* [tokens, layers]: of the ids, and how many; 0: no row yet */
    uint64_t short_rows;
} csv_matrix;

static void
csv_layers(csv_matrix *m)
{
    m->layer_ids = g_new(uint32_t, m->c->n_layers);
    m->column = g_new0(uint16_t, CSV_MAX_LAYER + 1);
    for (uint32_t layer = 0; layer <= CSV_MAX_LAYER; layer++) {
        if (!m->c->layers[layer])
            continue;
        m->column[layer] = (uint16_t)m->n_layers;
        m->layer_ids[m->n_layers++] = layer;
    }
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
        c->line = c->tokens.first_row[token] + 2;
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
            c->line = i + 2;
            csv_fail(c, NULL, "seq %u, pos %u has layer %u already", c->tokens.sequence[row->token],
                     c->tokens.position[row->token], row->layer);
            if (c->errors >= MOE_ROUTING_MAX_ERRORS)
                return false;
        }
        *place = at << PLACE_N_BITS | row->n;
        at += row->n;
        m->short_rows += row->n < m->k;
    }
    if (c->n_rows != cells || c->errors)
        csv_explain_missing(m);
    return c->errors == 0;
}

static void
csv_report(const csv_matrix *m, uint32_t n_experts)
{
    const csv_import *c = m->c;
    const moe_import_job *job = c->job;
    if (!c->id_limit_given)
        moe_import_note(job, "%u experts, as the largest id is %u", n_experts, c->max_id);
    if (!c->has_phase)
        moe_import_note(job, "no phase column: all tokens taken as decode");
    if (m->layer_ids[m->n_layers - 1] != m->n_layers - 1)
        moe_import_note(job, "%u layers, numbered %u .. %u with gaps or an offset", m->n_layers,
                        m->layer_ids[0], m->layer_ids[m->n_layers - 1]);
    if (m->short_rows)
        moe_import_note(job, "%" G_GUINT64_FORMAT " of %zu rows name fewer than %u experts: padded",
                        m->short_rows, c->n_rows, m->k);
    if (c->scattered)
        moe_import_note(job, "rows of a token do not follow one another: gathered");
}

static moe_routing_builder *
csv_build(const csv_matrix *m)
{
    csv_import *c = m->c;
    uint32_t n_experts = c->id_limit_given ? c->id_limit : c->max_id + 1;
    n_experts = MAX(n_experts, m->k);
    moe_routing_builder *builder = moe_import_builder(c->job, m->n_layers, n_experts, m->k);
    moe_routing_builder_layers(builder, m->layer_ids);
    size_t n = (size_t)m->n_layers * m->k;
    g_autofree uint16_t *ids = g_new(uint16_t, n);
    g_autofree float *weights = g_new(float, n);
    for (uint32_t token = 0; token < m->n_tokens; token++) {
        memset(ids, 0xFF, n * sizeof *ids);
        memset(weights, 0, n * sizeof *weights);
        for (uint32_t layer = 0; layer < m->n_layers; layer++) {
            uint64_t place = m->places[(size_t)token * m->n_layers + layer];
            size_t at = place >> PLACE_N_BITS, some = place & ((1u << PLACE_N_BITS) - 1);
            memcpy(ids + (size_t)layer * m->k, c->ids + at, some * sizeof *ids);
            if (c->has_weights)
                memcpy(weights + (size_t)layer * m->k, c->weights + at, some * sizeof *weights);
        }
        moe_routing_builder_add(builder, c->tokens.sequence[token], c->tokens.position[token],
                                c->tokens.phase[token], ids, c->has_weights ? weights : NULL);
    }
    csv_report(m, n_experts);
    return builder;
}

moe_routing_builder *
csv_assemble(csv_import *c)
{
    csv_matrix m = {.c = c, .n_tokens = c->map.n, .k = c->k};
    moe_routing_builder *builder = NULL;
    csv_layers(&m);
    if (csv_complete(&m))
        builder = csv_build(&m);
    g_free(m.layer_ids);
    g_free(m.column);
    g_free(m.places);
    return builder;
}
