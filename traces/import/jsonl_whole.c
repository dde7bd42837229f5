/* Whole tokens: rows to their places, in order, to the traps. */
#include "traces/import/jsonl_state.h"

#include "sim/base/error.h"

#include <string.h>

bool
tokens_give_up(jsonl_tokens *t)
{
    moe_assert(!t->gather, "gathering gives up");
    t->gave_up = true;
    return false;
}

bool
tokens_no_memory(jsonl_tokens *t)
{
    jsonl_reader *r = t->reader;
    if (!t->no_memory)
        moe_error_path(r->job->error, MOE_ERROR_MEMORY, r->lines.file, 0,
                       "no memory for more than %" G_GUINT64_FORMAT " records", r->n_records);
    t->no_memory = true;
    r->errors++;
    return false;
}

/* ---- whole tokens ---- */

static uint32_t
token_row_size(const jsonl_token *token, const int32_t *row)
{
    uint32_t n = (uint32_t)row[3] == JSONL_NOT_RUN ? 0 : (uint32_t)row[3];
    return 4 + 2 * n;
}

static uint64_t
token_row_line(const int32_t *row)
{
    return (uint64_t)(uint32_t)row[1] | (uint64_t)(uint32_t)row[2] << 32;
}

/* A row of the token to its place; false when that is taken. */
static bool
token_place(jsonl_tokens *t, const int32_t *row)
{
    uint32_t n = (uint32_t)row[3], column = t->column[row[0]], k = t->k;
    if (t->seen[column] == t->serial)
        return false;
    t->seen[column] = t->serial;
    int32_t *ids = t->ids + (size_t)column * k, rest = MOE_TRAPS_NONE;
    float *weights = t->weights + (size_t)column * k;
    if (n == JSONL_NOT_RUN) {
        rest = MOE_TRAPS_NOT_RUN;
        n = 0;
    }
    memcpy(ids, row + 4, n * sizeof *ids);
    memcpy(weights, row + 4 + n, n * sizeof *weights);
    for (uint32_t j = n; j < k; j++) {
        ids[j] = rest;
        weights[j] = 0;
    }
    return true;
}

/* All rows; false after a message about one that is there twice, or gives up. */
static bool
token_assemble(jsonl_tokens *t, const jsonl_token *token)
{
    t->serial++;
    for (const int32_t *row = token->data; row < token->data + token->used;
         row += token_row_size(token, row)) {
        if (token_place(t, row))
            continue;
        if (!t->gather)
            return tokens_give_up(t);
        return jsonl_fail(t->reader, token->input, token_row_line(row),
                          "sequence %u, token %u has layer %u already", token->sequence,
                          token->position, row[0]);
    }
    return true;
}

static void
token_facts(jsonl_tokens *t, const jsonl_token *token)
{
    moe_routing_builder *b = moe_traps_kept(t->traps);
    if (!b)
        return;
    if (t->facts & 1u << JSONL_STEP)
        moe_routing_builder_step(b, token->step);
    if (t->facts & 1u << JSONL_TOKEN_ID)
        moe_routing_builder_token_id(b, token->token_id);
    if (t->facts & 1u << JSONL_DOMAIN)
        moe_routing_builder_domain(b, token->domain);
}

static bool
token_goes_on(jsonl_tokens *t, const jsonl_token *token)
{
    if (!token_assemble(t, token))
        return false;
    moe_traps_input(t->traps, token->input, t->n_layers, t->k);
    moe_traps_line(t->traps, token->line);
    if (!moe_traps_add(t->traps, token->sequence, token->position, token->phase, t->ids,
                       t->weighted ? t->weights : NULL)) {
        t->reader->errors++;
        return false;
    }
    token_facts(t, token);
    return true;
}

/* Positions of a sequence must rise as tokens go on, or one may have gone on before. */
static bool
token_rises(jsonl_tokens *t, const jsonl_token *token)
{
    uint32_t known = t->sequences.n, at = moe_index_map_add(&t->sequences, token->sequence);
    if (at == MOE_NONE)
        return tokens_no_memory(t);
    if (at == known)
        g_array_append_val(t->positions, token->position);
    else if (token->position <= g_array_index(t->positions, uint32_t, at))
        return t->gather || tokens_give_up(t);
    g_array_index(t->positions, uint32_t, at) = token->position;
    return true;
}

/* Takes a whole token out of the open ones and hands it on. */
bool
token_close(jsonl_tokens *t, jsonl_token *token)
{
    if (!token_rises(t, token) || !token_goes_on(t, token))
        return false;
    g_hash_table_steal(t->open, &token->key);
    g_ptr_array_add(t->spare, token);
    if (t->last == token)
        t->last = NULL;
    return true;
}

/* ---- the layers are known ---- */

static bool
tokens_layers_known(jsonl_tokens *t)
{
    uint32_t n = 0;
    const jsonl_reader *r = t->reader;
    t->k = MAX(MAX(t->k, 1), MAX(r->top_k, r->job->options->top_k));
    t->layer_ids = g_new(uint32_t, t->n_layers);
    t->column = g_new0(uint16_t, JSONL_MAX_LAYER + 1);
    for (uint32_t layer = 0; layer <= JSONL_MAX_LAYER; layer++) {
        if (!t->layers[layer])
            continue;
        t->column[layer] = (uint16_t)n;
        t->layer_ids[n++] = layer;
    }
    t->traps = moe_traps_new(t->reader->job, &(moe_traps_shape){.n_layers = n,
                                                                .k = t->k,
                                                                .n_experts = t->reader->n_experts,
                                                                .layer_ids = t->layer_ids,
                                                                .sentinels = true});
    if (!t->traps) {
        t->reader->errors++;
        return false;
    }
    t->seen = g_new0(uint64_t, n);
    t->ids = g_new(int32_t, (gsize)n * t->k);
    t->weights = g_new(float, (gsize)n * t->k);
    return true;
}

/* The first layer has come again: those that were open until now and have all layers go on, in
 * order of their first record. */
bool
tokens_wrap(jsonl_tokens *t)
{
    if (!tokens_layers_known(t))
        return false;
    for (guint i = 0; i < t->order->len; i++) {
        jsonl_token *token = t->order->pdata[i];
        if (token->n_rows == t->n_layers && !token_close(t, token))
            return false;
    }
    g_ptr_array_set_size(t->order, 0);
    return true;
}

void
tokens_widen(jsonl_tokens *t, uint32_t k)
{
    t->k = k;
    if (!t->traps)
        return;
    moe_traps_widen(t->traps, k);
    t->ids = g_renew(int32_t, t->ids, (gsize)t->n_layers * k);
    t->weights = g_renew(float, t->weights, (gsize)t->n_layers *k);
}

/* ---- the end ---- */

static bool
token_missing(jsonl_tokens *t, const jsonl_token *token)
{
    uint32_t first = 0;
    if (!token_assemble(t, token))
        return false;
    while (first < t->n_layers && t->seen[first] == t->serial)
        first++;
    return jsonl_fail(t->reader, token->input, token->line,
                      "sequence %u, token %u: %u of %u layers are missing, first layer %u; was the "
                      "recording cut, or %s? Drop the token's records, or record it again",
                      token->sequence, token->position, t->n_layers - token->n_rows, t->n_layers,
                      t->layer_ids[first],
                      t->reader->job->n_paths > 1
                          ? "are the inputs of different models"
                          : "do the layers of a step hold different tokens");
}

/* All tokens are still open: in order of their first record. */
static bool
tokens_settle(jsonl_tokens *t)
{
    jsonl_reader *r = t->reader;
    t->gather = true;
    if (!tokens_layers_known(t))
        return false;
    for (guint i = 0; i < t->order->len && r->errors < MOE_ROUTING_MAX_ERRORS; i++) {
        const jsonl_token *token = t->order->pdata[i];
        if (token->n_rows == t->n_layers)
            token_goes_on(t, token);
        else
            token_missing(t, token);
    }
    return r->errors == 0;
}

/* What our own first record carries; not what the tensors say. */
static void
tokens_carried(const GPtrArray *meta, moe_routing_builder *builder)
{
    static const char *const described[] = {"format", "version", "layer_ids", "experts",
                                            "top_k",  "domains", "modalities"};
    for (guint i = 0; meta && i + 1 < meta->len; i += 2) {
        bool own = false;
        for (size_t j = 0; j < MOE_COUNT(described); j++)
            own |= strcmp(meta->pdata[i], described[j]) == 0;
        if (!own)
            moe_routing_builder_meta(builder, meta->pdata[i], meta->pdata[i + 1]);
    }
}

static void
tokens_meta(const jsonl_tokens *t, moe_routing_builder *builder)
{
    tokens_carried(t->reader->meta, builder);
    if (t->reader->model)
        moe_routing_builder_meta(builder, "model", t->reader->model);
    if (!(t->facts & 1u << JSONL_DOMAIN))
        return;
    g_autoptr(GString) names = g_string_new("[");
    for (guint i = 0; i < t->domains->len; i++) {
        g_string_append(names, i ? "," : "");
        moe_json_put_text(names, t->domains->pdata[i]);
    }
    g_string_append_c(names, ']');
    moe_routing_builder_meta(builder, "domains", names->str);
}

moe_routing_builder *
jsonl_tokens_finish(jsonl_tokens *t)
{
    if (!t->traps) {
        if (!tokens_settle(t))
            return NULL;
    } else if (g_hash_table_size(t->open) > 0) {
        tokens_give_up(t);
        return NULL;
    }
    moe_routing_builder *builder = moe_traps_finish(g_steal_pointer(&t->traps));
    if (builder)
        tokens_meta(t, builder);
    return builder;
}
