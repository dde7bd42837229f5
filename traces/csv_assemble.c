/* From rows as they came to [tokens, layers, k]: first it is made sure that each token has each
 * layer once, then the matrix is filled in one pass over the rows. */
#include "traces/csv.h"

#include <string.h>

typedef struct csv_matrix {
    csv_import *c;
    uint32_t n_tokens, n_layers, k;
    uint32_t *layer_ids; /* ascending */
    uint16_t *column;    /* [CSV_MAX_LAYER + 1]: number in the file -> column */
    uint64_t *seen;      /* a bit per token and column */
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
        uint32_t missing = 0, first = 0;
        for (uint32_t i = m->n_layers; i-- > 0;) {
            uint64_t cell = (uint64_t)token * m->n_layers + i;
            if (m->seen[cell / 64] >> cell % 64 & 1)
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
    uint64_t cells = (uint64_t)m->n_tokens * m->n_layers;
    m->seen = g_try_new0(uint64_t, cells / 64 + 1);
    if (!m->seen) {
        c->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < c->n_rows; i++) {
        const csv_row *row = &c->rows[i];
        uint64_t cell = (uint64_t)row->token * m->n_layers + m->column[row->layer];
        uint64_t bit = 1ull << cell % 64;
        if (MOE_UNLIKELY(m->seen[cell / 64] & bit)) {
            c->line = i + 2;
            csv_fail(c, NULL, "seq %u, pos %u has layer %u already", c->tokens.sequence[row->token],
                     c->tokens.position[row->token], row->layer);
            if (c->errors >= MOE_ROUTING_MAX_ERRORS)
                return false;
        }
        m->seen[cell / 64] |= bit;
        m->short_rows += row->n < m->k;
    }
    if (c->n_rows != cells || c->errors)
        csv_explain_missing(m);
    return c->errors == 0;
}

static void
csv_fill_ids(const csv_matrix *m, void *out, bool narrow)
{
    const csv_import *c = m->c;
    const uint16_t *ids = c->ids;
    for (size_t i = 0; i < c->n_rows; i++) {
        const csv_row *row = &c->rows[i];
        uint64_t at = ((uint64_t)row->token * m->n_layers + m->column[row->layer]) * m->k;
        if (narrow)
            for (uint32_t j = 0; j < row->n; j++)
                ((uint8_t *)out)[at + j] = (uint8_t)ids[j];
        else
            memcpy((uint16_t *)out + at, ids, row->n * sizeof *ids);
        ids += row->n;
    }
}

static void
csv_fill_weights(const csv_matrix *m, float *out)
{
    const csv_import *c = m->c;
    const float *weights = c->weights;
    for (size_t i = 0; i < c->n_rows; i++) {
        const csv_row *row = &c->rows[i];
        uint64_t at = ((uint64_t)row->token * m->n_layers + m->column[row->layer]) * m->k;
        memcpy(out + at, weights, row->n * sizeof *weights);
        weights += row->n;
    }
}

static void
csv_report(const csv_matrix *m, uint32_t n_experts, GString *report)
{
    const csv_import *c = m->c;
    if (!report)
        return;
    if (!c->id_limit_given)
        g_string_append_printf(report, "%u experts, as the largest id is %u\n", n_experts,
                               c->max_id);
    if (!c->has_phase)
        g_string_append(report, "no phase column: all tokens taken as decode\n");
    if (m->layer_ids[m->n_layers - 1] != m->n_layers - 1)
        g_string_append_printf(report, "%u layers, numbered %u .. %u with gaps or an offset\n",
                               m->n_layers, m->layer_ids[0], m->layer_ids[m->n_layers - 1]);
    if (m->short_rows)
        g_string_append_printf(
            report, "%" G_GUINT64_FORMAT " of %zu rows name fewer than %u experts: padded\n",
            m->short_rows, c->n_rows, m->k);
    if (c->scattered)
        g_string_append(report, "rows of a token do not follow one another: gathered\n");
}

/* The columns handed to the builder; what it does not take is freed by the caller. */
static moe_routing_builder *
csv_build(csv_matrix *m, GString *report)
{
    csv_import *c = m->c;
    uint32_t n_experts = c->id_limit_given ? c->id_limit : c->max_id + 1;
    n_experts = MAX(n_experts, m->k);
    bool narrow = n_experts <= 254;
    uint64_t n = (uint64_t)m->n_tokens * m->n_layers * m->k;
    moe_routing_columns columns = {.ids = g_try_malloc_n(n, narrow ? 1 : 2)};
    if (c->has_weights)
        columns.weights = g_try_new0(float, n);
    if (!columns.ids || (c->has_weights && !columns.weights)) {
        g_free(columns.ids);
        g_free(columns.weights);
        c->no_memory = true;
        return NULL;
    }
    if (m->short_rows)
        memset(columns.ids, 0xFF, n * (narrow ? 1 : 2));
    csv_fill_ids(m, columns.ids, narrow);
    if (c->has_weights)
        csv_fill_weights(m, columns.weights);
    columns.sequence = g_steal_pointer(&c->tokens.sequence);
    columns.position = g_steal_pointer(&c->tokens.position);
    columns.phase = g_steal_pointer(&c->tokens.phase);
    moe_routing_builder *builder = moe_routing_builder_new(m->n_layers, n_experts, m->k);
    moe_routing_builder_layers(builder, m->layer_ids);
    moe_routing_builder_take(builder, m->n_tokens, &columns);
    csv_report(m, n_experts, report);
    return builder;
}

moe_routing_builder *
csv_assemble(csv_import *c, GString *report)
{
    csv_matrix m = {.c = c, .n_tokens = c->map.n, .k = c->k};
    moe_routing_builder *builder = NULL;
    csv_layers(&m);
    if (csv_complete(&m))
        builder = csv_build(&m, report);
    g_free(m.layer_ids);
    g_free(m.column);
    g_free(m.seen);
    return builder;
}
