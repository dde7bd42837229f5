/* From records to tokens: open ones are found by (group, row), where a group is a sequence, or a
 * batch of rows of one. */
#include "traces/import/jsonl_state.h"

#include <string.h>

/* ---- life ---- */

static void
token_free(void *data)
{
    jsonl_token *token = data;
    g_free(token->data);
    g_free(token);
}

jsonl_tokens *
jsonl_tokens_new(jsonl_reader *reader, bool gather)
{
    jsonl_tokens *t = g_new0(jsonl_tokens, 1);
    t->reader = reader;
    t->gather = gather;
    t->open = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, token_free);
    t->order = g_ptr_array_new();
    t->spare = g_ptr_array_new_with_free_func(token_free);
    t->layers = g_new0(uint8_t, JSONL_MAX_LAYER + 1);
    t->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    t->domain_numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    t->domains = g_ptr_array_new();
    t->positions = g_array_new(FALSE, TRUE, sizeof(uint32_t));
    t->counts = g_array_new(FALSE, TRUE, sizeof(uint32_t));
    return t;
}

void
jsonl_tokens_free(jsonl_tokens *t)
{
    if (!t)
        return;
    moe_traps_free(t->traps);
    g_hash_table_destroy(t->open);
    g_ptr_array_free(t->order, TRUE);
    g_ptr_array_free(t->spare, TRUE);
    g_free(t->layers);
    g_free(t->column);
    g_free(t->layer_ids);
    g_free(t->seen);
    g_free(t->ids);
    g_free(t->weights);
    g_hash_table_destroy(t->names);
    g_hash_table_destroy(t->domain_numbers);
    g_ptr_array_free(t->domains, TRUE);
    moe_index_map_clear(&t->groups);
    moe_index_map_clear(&t->sequences);
    moe_index_map_clear(&t->counted);
    g_array_free(t->positions, TRUE);
    g_array_free(t->counts, TRUE);
    g_free(t);
}

bool
jsonl_tokens_gave_up(const jsonl_tokens *t)
{
    return t->gave_up;
}

/* ---- names and numbers ---- */

static uint32_t
tokens_name(GHashTable *table, const char *text)
{
    guint number = GPOINTER_TO_UINT(g_hash_table_lookup(table, text));
    if (!number) {
        number = g_hash_table_size(table) + 1;
        g_hash_table_insert(table, g_strdup(text), GUINT_TO_POINTER(number));
    }
    return number - 1;
}

static uint32_t
tokens_sequence_text(jsonl_tokens *t, const jsonl_record *record)
{
    g_autofree char *text = NULL;
    if (record->seen & 1u << JSONL_PROBLEM) /* problems are numbered within their data set */
        text = record->sequence_text
                   ? g_strdup_printf("%s\n%s", record->domain ? record->domain : "",
                                     record->sequence_text)
                   : g_strdup_printf("%s\n%" G_GUINT64_FORMAT, record->domain ? record->domain : "",
                                     record->sequence);
    t->named = true;
    return tokens_name(t->names, text ? text : record->sequence_text);
}

static bool
tokens_sequence(jsonl_tokens *t, const jsonl_record *record, uint32_t *out)
{
    jsonl_reader *r = t->reader;
    bool said = record->seen & (1u << JSONL_SEQUENCE | 1u << JSONL_PROBLEM);
    uint64_t number = said                               ? record->sequence
                      : record->seen & 1u << JSONL_BATCH ? record->batch
                                                         : 0;
    if (record->sequence_text || record->seen & 1u << JSONL_PROBLEM) {
        if (t->numbered)
            return jsonl_fail(r, r->input, r->lines.line,
                              "a sequence with a name, after others with numbers");
        *out = tokens_sequence_text(t, record);
        return true;
    }
    if (t->named)
        return jsonl_fail(r, r->input, r->lines.line,
                          "a sequence with a number, after others with names");
    if (number >= MOE_NONE)
        return jsonl_fail(r, r->input, r->lines.line, "sequence %" G_GUINT64_FORMAT " is too large",
                          number);
    t->numbered = true;
    *out = (uint32_t)number;
    return true;
}

/* Rows of a batch are numbered within it; their group is the batch of that sequence. */
static bool
tokens_group(jsonl_tokens *t, const jsonl_record *record, uint32_t sequence, uint32_t *group)
{
    jsonl_reader *r = t->reader;
    *group = sequence;
    if (!record->many || !(record->seen & 1u << JSONL_BATCH))
        return true;
    if (record->batch >= MOE_NONE)
        return jsonl_fail(r, r->input, r->lines.line, "'batch_id' is too large");
    *group = moe_index_map_add(&t->groups, (uint64_t)sequence << 32 | record->batch);
    return *group != MOE_NONE || tokens_no_memory(t);
}

/* The position of a new token: its row, or how many its sequence has had where rows begin anew with
 * each batch. */
static uint32_t
tokens_position(jsonl_tokens *t, const jsonl_record *record, uint32_t sequence, uint32_t row)
{
    bool counted = record->many && record->seen & 1u << JSONL_BATCH &&
                   record->seen & (1u << JSONL_SEQUENCE | 1u << JSONL_PROBLEM);
    if (!counted)
        return row;
    uint32_t known = t->counted.n, at = moe_index_map_add(&t->counted, sequence);
    if (at == MOE_NONE)
        return tokens_no_memory(t);
    if (at == known)
        g_array_append_val(t->counts, (uint32_t){0});
    return g_array_index(t->counts, uint32_t, at)++;
}

static bool
tokens_domain(jsonl_tokens *t, const jsonl_record *record, uint16_t *out)
{
    if (!record->domain)
        return true;
    guint known = g_hash_table_size(t->domain_numbers);
    uint32_t number = tokens_name(t->domain_numbers, record->domain);
    if (number > UINT16_MAX)
        return jsonl_fail(t->reader, t->reader->input, t->reader->lines.line,
                          "more than 65536 domains");
    if (number == known) {
        void *text;
        g_hash_table_lookup_extended(t->domain_numbers, record->domain, &text, NULL);
        g_ptr_array_add(t->domains, text);
    }
    *out = (uint16_t)number;
    return true;
}

/* ---- records ---- */

/* A new token, with what its first record says of it. */
static jsonl_token *
token_new(jsonl_tokens *t, const jsonl_record *record, uint64_t key, uint32_t sequence)
{
    jsonl_reader *r = t->reader;
    jsonl_token *token = t->spare->len ? g_ptr_array_steal_index_fast(t->spare, t->spare->len - 1)
                                       : g_new0(jsonl_token, 1);
    uint16_t domain = 0;
    bool ok = tokens_domain(t, record, &domain);
    if (ok && (record->step > MOE_NONE || record->token_id > MOE_NONE))
        ok = jsonl_fail(r, r->input, r->lines.line, "'%s' is too large",
                        record->step > MOE_NONE ? "step" : "token_id");
    if (!t->started)
        t->facts = record->seen & TOKEN_FACTS;
    if (ok && (record->seen & TOKEN_FACTS) != t->facts)
        ok = jsonl_fail(r, r->input, r->lines.line,
                        "a record that says more or less of its token than those before (sequence, "
                        "batch_id, origin_rows, step, domain, token_id)");
    t->started = true;
    *token = (jsonl_token){.key = key,
                           .line = r->lines.line,
                           .input = (uint32_t)r->input,
                           .sequence = sequence,
                           .position = tokens_position(t, record, sequence, (uint32_t)key),
                           .step = (uint32_t)record->step,
                           .token_id = (uint32_t)record->token_id,
                           .domain = domain,
                           .phase = (uint8_t)record->phase,
                           .data = token->data,
                           .max = token->max};
    g_hash_table_insert(t->open, &token->key, token);
    if (!t->traps)
        g_ptr_array_add(t->order, token);
    return ok ? token : NULL;
}

static bool
token_append(jsonl_tokens *t, jsonl_token *token, const jsonl_record *record, uint32_t n,
             const int32_t *ids, const float *weights)
{
    uint32_t n_ids = n == JSONL_NOT_RUN ? 0 : n;
    if (token->max - token->used < 4 + 2 * MOE_ROUTING_MAX_K) {
        uint32_t max = token->max * 2 + 4 + 2 * MOE_ROUTING_MAX_K;
        int32_t *data = g_try_realloc_n(token->data, max, sizeof *data);
        if (!data)
            return tokens_no_memory(t);
        token->data = data;
        token->max = max;
    }
    int32_t *row = token->data + token->used;
    uint64_t line = t->reader->lines.line;
    row[0] = (int32_t)record->layer;
    row[1] = (int32_t)(uint32_t)line;
    row[2] = (int32_t)(uint32_t)(line >> 32);
    row[3] = (int32_t)n;
    memcpy(row + 4, ids, n_ids * sizeof *ids);
    if (weights)
        memcpy(row + 4 + n_ids, weights, n_ids * sizeof *weights);
    else
        memset(row + 4 + n_ids, 0, n_ids * sizeof *weights);
    token->used += 4 + 2 * n_ids;
    token->n_rows++;
    return true;
}

static jsonl_token *
token_find(jsonl_tokens *t, const jsonl_record *record, uint64_t key, uint32_t sequence)
{
    if (t->last && t->last->key == key)
        return t->last;
    jsonl_token *token = g_hash_table_lookup(t->open, &key);
    t->last = token ? token : token_new(t, record, key, sequence);
    return t->last;
}

/* What a record's layer tells; false when it gives up. */
static bool
tokens_layer(jsonl_tokens *t, const jsonl_record *record)
{
    jsonl_reader *r = t->reader;
    uint32_t layer = (uint32_t)record->layer;
    if (t->n_layers == 0)
        t->first_layer = layer;
    t->others |= layer != t->first_layer;
    if (!t->layers[layer]) {
        if (t->traps)
            return tokens_give_up(t);
        if (t->n_layers == MOE_ROUTING_MAX_LAYERS)
            return jsonl_fail(r, r->input, r->lines.line, "more than %d layers",
                              MOE_ROUTING_MAX_LAYERS);
        t->layers[layer] = 1;
        t->n_layers++;
    }
    if (!t->gather && !t->traps && layer == t->first_layer && t->others)
        return tokens_wrap(t);
    return true;
}

static bool
tokens_row(jsonl_tokens *t, const jsonl_record *record, uint32_t group, uint32_t sequence,
           uint32_t i, size_t at)
{
    jsonl_reader *r = t->reader;
    uint64_t row = g_array_index(r->rows, uint64_t, i);
    uint32_t n = g_array_index(r->lengths, uint32_t, i);
    if (row >= MOE_NONE)
        return jsonl_fail(r, r->input, r->lines.line, "token %" G_GUINT64_FORMAT " is too large",
                          row);
    if (n != JSONL_NOT_RUN && n > t->k)
        tokens_widen(t, n);
    jsonl_token *token = token_find(t, record, (uint64_t)group << 32 | row, sequence);
    if (!token)
        return false;
    if (token->phase != record->phase)
        return jsonl_fail(r, r->input, r->lines.line,
                          "another phase than in the token's record in line %" G_GUINT64_FORMAT,
                          token->line);
    const float *weights = r->weights->len ? &g_array_index(r->weights, float, at) : NULL;
    if (!token_append(t, token, record, n, &g_array_index(r->ids, int32_t, at), weights))
        return false;
    return !t->traps || t->gather || token->n_rows != t->n_layers || token_close(t, token);
}

bool
jsonl_tokens_add(jsonl_tokens *t, const jsonl_record *record)
{
    jsonl_reader *r = t->reader;
    uint32_t sequence = 0, group = 0;
    bool weighted = record->seen & 1u << JSONL_WEIGHTS;
    if (t->started && weighted != t->weighted)
        return jsonl_fail(r, r->input, r->lines.line, "a record %s weights, unlike those before",
                          weighted ? "with" : "without");
    t->weighted = weighted;
    if (!tokens_sequence(t, record, &sequence) || !tokens_group(t, record, sequence, &group) ||
        !tokens_layer(t, record))
        return false;
    size_t at = 0;
    for (uint32_t i = 0; i < record->n_rows; i++) {
        uint32_t n = g_array_index(r->lengths, uint32_t, i);
        if (!tokens_row(t, record, group, sequence, i, at))
            return false;
        at += n == JSONL_NOT_RUN ? 0 : n;
    }
    return true;
}
