/* The appending half of the builder: tokens, and what is declared once. */
#include "traces/routing_builder.h"

#include "sim/base/error.h"
#include "traces/json_scan.h"

#include <string.h>

const char *const moe_routing_column_names[COLUMN_LOOKAHEAD] = {
    [COLUMN_IDS] = "expert_ids",       [COLUMN_SEQUENCE] = "sequence",
    [COLUMN_POSITION] = "position",    [COLUMN_PHASE] = "phase",
    [COLUMN_WEIGHTS] = "gate_weights", [COLUMN_STEP] = "step",
    [COLUMN_DOMAIN] = "domain",        [COLUMN_MODALITY] = "modality",
    [COLUMN_TOKEN_ID] = "token_id",    [COLUMN_LOGITS] = "router_logits",
};

/* ---- life ---- */

moe_routing_builder *
moe_routing_builder_new(uint32_t n_layers, uint32_t n_experts, uint32_t k)
{
    moe_assert(n_layers >= 1 && n_layers <= MOE_ROUTING_MAX_LAYERS, "%u layers", n_layers);
    moe_assert(n_experts >= 1 && n_experts <= MOE_ROUTING_MAX_EXPERTS, "%u experts", n_experts);
    moe_assert(k >= 1 && k <= n_experts && k <= MOE_ROUTING_MAX_K, "k %u of %u", k, n_experts);
    moe_routing_builder *b = g_new0(moe_routing_builder, 1);
    b->n_layers = n_layers;
    b->n_experts = n_experts;
    b->k = k;
    b->id_bytes = n_experts <= 254 ? 1 : 2;
    b->layer_ids = g_new(uint32_t, n_layers);
    for (uint32_t i = 0; i < n_layers; i++)
        b->layer_ids[i] = i;
    b->meta = g_ptr_array_new_with_free_func(g_free);
    b->limit_bytes = MOE_COLUMNS_LIMIT;
    b->columns = moe_columns_new(COLUMNS);
    moe_columns_use(b->columns, COLUMN_IDS, (size_t)n_layers * k * b->id_bytes);
    moe_columns_use(b->columns, COLUMN_SEQUENCE, sizeof(uint32_t));
    moe_columns_use(b->columns, COLUMN_POSITION, sizeof(uint32_t));
    moe_columns_use(b->columns, COLUMN_PHASE, sizeof(uint8_t));
    return b;
}

void
moe_routing_builder_free(moe_routing_builder *b)
{
    if (!b)
        return;
    moe_columns_free(b->columns);
    moe_columns_free(b->times);
    g_free(b->layer_ids);
    g_free(b->similarity);
    g_free(b->folder);
    g_ptr_array_free(b->meta, TRUE);
    g_free(b);
}

bool
moe_routing_builder_failed(const moe_routing_builder *b, const char *name, GError **error)
{
    return moe_columns_error(b->columns, name, error) ||
           (b->times && moe_columns_error(b->times, name, error));
}

/* ---- what is declared once ---- */

void
moe_routing_builder_spill(moe_routing_builder *b, const char *folder, uint64_t limit_bytes)
{
    limit_bytes = limit_bytes ? limit_bytes : MOE_COLUMNS_LIMIT;
    moe_columns_spill(b->columns, folder, limit_bytes);
    g_free(b->folder);
    b->folder = g_strdup(folder);
    b->limit_bytes = limit_bytes;
}

void
moe_routing_builder_layers(moe_routing_builder *b, const uint32_t *layer_ids)
{
    for (uint32_t i = 0; i < b->n_layers; i++) {
        moe_assert(i == 0 || layer_ids[i] > layer_ids[i - 1], "layer %u after %u", layer_ids[i],
                   layer_ids[i - 1]);
        b->layer_ids[i] = layer_ids[i];
    }
}

uint32_t
moe_routing_builder_lookahead(moe_routing_builder *b, uint32_t distance, uint32_t k)
{
    uint32_t at = b->n_lookahead;
    moe_assert(b->n_tokens == 0, "look-ahead declared after %" G_GUINT64_FORMAT " tokens",
               b->n_tokens);
    moe_assert(at < MOE_ROUTING_MAX_LOOKAHEAD, "%u look-aheads", at);
    moe_assert(distance >= 1 && (at == 0 || distance > b->distance[at - 1]),
               "look-ahead %u: distances must ascend", distance);
    moe_assert(k >= 1 && k <= b->n_experts && k <= MOE_ROUTING_MAX_K, "k %u of %u", k,
               b->n_experts);
    b->distance[at] = distance;
    b->lookahead_k[at] = k;
    moe_columns_use(b->columns, COLUMN_LOOKAHEAD + at, (size_t)b->n_layers * k * b->id_bytes);
    b->n_lookahead++;
    return at;
}

void
moe_routing_builder_lookahead_weights(moe_routing_builder *b, uint32_t index)
{
    moe_assert(b->n_tokens == 0 && index < b->n_lookahead, "weights of look-ahead %u declared late",
               index);
    moe_columns_use(b->columns, COLUMN_AHEAD_WEIGHTS + index,
                    (size_t)b->n_layers * b->lookahead_k[index] * sizeof(float));
}

void
moe_routing_builder_meta(moe_routing_builder *b, const char *key, const char *value)
{
    static const char *const own[] = {"format", "version", "layer_ids", "experts", "top_k"};
    for (size_t i = 0; i < MOE_COUNT(own); i++)
        moe_assert(strcmp(key, own[i]) != 0, "metadata key '%s' is the format's own", key);
    moe_assert(*key && g_utf8_validate(key, -1, NULL), "metadata key is empty or not UTF-8");
    guint at = 0;
    while (at < b->meta->len && strcmp(b->meta->pdata[at], key) != 0)
        at += 2;
    if (at < b->meta->len && !value) {
        g_ptr_array_remove_range(b->meta, at, 2);
    } else if (at < b->meta->len) {
        g_free(b->meta->pdata[at + 1]);
        b->meta->pdata[at + 1] = g_utf8_make_valid(value, -1);
    } else if (value) {
        g_ptr_array_add(b->meta, g_strdup(key));
        g_ptr_array_add(b->meta, g_utf8_make_valid(value, -1));
    }
}

/* ---- what is not of tokens ---- */

void
moe_routing_builder_stages(moe_routing_builder *b, uint32_t n_layers, const char *const *names,
                           uint32_t n)
{
    moe_assert(!b->times, "stages are declared twice");
    moe_assert(n >= 1 && n <= MOE_ROUTING_MAX_STAGES, "%u stages", n);
    moe_assert(n_layers > b->layer_ids[b->n_layers - 1] && n_layers <= MOE_ROUTING_MAX_LAYERS,
               "times of %u layers", n_layers);
    g_autoptr(GString) text = g_string_new("[");
    for (uint32_t i = 0; i < n; i++) {
        g_string_append(text, i ? "," : "");
        moe_json_put_text(text, names[i]);
    }
    g_string_append_c(text, ']');
    moe_routing_builder_meta(b, MOE_ROUTING_STAGES, text->str);
    b->n_time_layers = n_layers;
    b->n_stages = n;
    b->times = moe_columns_new(1);
    moe_columns_spill(b->times, b->folder, b->limit_bytes / 8);
    moe_columns_use(b->times, 0, (size_t)n_layers * n * sizeof(float));
}

void
moe_routing_builder_times(moe_routing_builder *b, const float *ns)
{
    moe_assert(b->times, "times without stages");
    if (moe_columns_add(b->times))
        memcpy(moe_columns_cell(b->times, 0), ns, moe_columns_row_bytes(b->times, 0));
}

void
moe_routing_builder_similarity(moe_routing_builder *b, uint32_t n_distances, const float *values)
{
    moe_assert(n_distances >= 1 && n_distances <= MOE_ROUTING_MAX_LAYERS, "%u distances",
               n_distances);
    g_free(b->similarity);
    b->n_similarity = n_distances;
    b->similarity = g_memdup2(values, (size_t)b->n_layers * n_distances * sizeof *values);
}

/* ---- tokens ---- */

/* Narrowing keeps the sentinels: 0xFFFF -> 0xFF, 0xFFFE -> 0xFE. */
static void
builder_put_ids(moe_routing_builder *b, uint32_t column, const uint16_t *ids, uint32_t k)
{
    uint8_t *to = moe_columns_cell(b->columns, column);
    uint32_t n = b->n_layers * k, largest = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = ids[i] >= MOE_ROUTING_NOT_RUN ? 0 : ids[i];
        largest = id > largest ? id : largest;
    }
    moe_assert(largest < b->n_experts, "expert %u of %u", largest, b->n_experts);
    if (b->id_bytes == 2) {
        memcpy(to, ids, (size_t)n * 2);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        to[i] = (uint8_t)ids[i];
}

void
moe_routing_builder_add(moe_routing_builder *b, uint32_t sequence, uint32_t position,
                        moe_phase phase, const uint16_t *ids, const float *weights)
{
    moe_columns *c = b->columns;
    if (b->n_tokens == 0 && weights)
        moe_columns_use(c, COLUMN_WEIGHTS, (size_t)b->n_layers * b->k * sizeof(float));
    if (!moe_columns_add(c))
        return;
    moe_assert((weights != NULL) == (moe_columns_row_bytes(c, COLUMN_WEIGHTS) != 0),
               "token %" G_GUINT64_FORMAT ": weights for all tokens or for none", b->n_tokens);
    b->n_tokens++;
    *(uint32_t *)moe_columns_cell(c, COLUMN_SEQUENCE) = sequence;
    *(uint32_t *)moe_columns_cell(c, COLUMN_POSITION) = position;
    *(uint8_t *)moe_columns_cell(c, COLUMN_PHASE) = (uint8_t)phase;
    builder_put_ids(b, COLUMN_IDS, ids, b->k);
    if (weights)
        memcpy(moe_columns_cell(c, COLUMN_WEIGHTS), weights,
               moe_columns_row_bytes(c, COLUMN_WEIGHTS));
    for (uint32_t i = 0; i < b->n_lookahead; i++) {
        memset(moe_columns_cell(c, COLUMN_LOOKAHEAD + i), 0xFF,
               moe_columns_row_bytes(c, COLUMN_LOOKAHEAD + i));
        if (moe_columns_row_bytes(c, COLUMN_AHEAD_WEIGHTS + i))
            memset(moe_columns_cell(c, COLUMN_AHEAD_WEIGHTS + i), 0,
                   moe_columns_row_bytes(c, COLUMN_AHEAD_WEIGHTS + i));
    }
}

void
moe_routing_builder_predicted(moe_routing_builder *b, uint32_t index, const uint16_t *ids)
{
    if (moe_columns_failed(b->columns))
        return;
    moe_assert(index < b->n_lookahead && b->n_tokens, "look-ahead %u of %u", index, b->n_lookahead);
    builder_put_ids(b, COLUMN_LOOKAHEAD + index, ids, b->lookahead_k[index]);
}

void
moe_routing_builder_predicted_weights(moe_routing_builder *b, uint32_t index, const float *weights)
{
    if (moe_columns_failed(b->columns))
        return;
    size_t bytes = moe_columns_row_bytes(b->columns, COLUMN_AHEAD_WEIGHTS + index);
    moe_assert(index < b->n_lookahead && bytes && b->n_tokens, "look-ahead %u without weights",
               index);
    memcpy(moe_columns_cell(b->columns, COLUMN_AHEAD_WEIGHTS + index), weights, bytes);
}

/* The cell of an optional column for the token added last; NULL after a failure. */
static void *
builder_optional(moe_routing_builder *b, uint32_t column, size_t row_bytes)
{
    if (moe_columns_failed(b->columns))
        return NULL;
    b->counts[column]++;
    moe_assert(b->counts[column] == b->n_tokens,
               "%" G_GUINT64_FORMAT " of '%s' for %" G_GUINT64_FORMAT " tokens: one each, in order",
               b->counts[column], moe_routing_column_names[column], b->n_tokens);
    moe_columns_use(b->columns, column, row_bytes);
    if (moe_columns_failed(b->columns))
        return NULL;
    return moe_columns_cell(b->columns, column);
}

void
moe_routing_builder_step(moe_routing_builder *b, uint32_t step)
{
    uint32_t *cell = builder_optional(b, COLUMN_STEP, sizeof *cell);
    if (cell)
        *cell = step;
}

void
moe_routing_builder_domain(moe_routing_builder *b, uint16_t domain)
{
    uint16_t *cell = builder_optional(b, COLUMN_DOMAIN, sizeof *cell);
    if (cell)
        *cell = domain;
}

void
moe_routing_builder_modality(moe_routing_builder *b, uint8_t modality)
{
    uint8_t *cell = builder_optional(b, COLUMN_MODALITY, sizeof *cell);
    if (cell)
        *cell = modality;
}

void
moe_routing_builder_token_id(moe_routing_builder *b, uint32_t token_id)
{
    uint32_t *cell = builder_optional(b, COLUMN_TOKEN_ID, sizeof *cell);
    if (cell)
        *cell = token_id;
}

/* To the nearest F16, ties to even; finite values stay finite. */
static uint16_t
builder_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    if (magnitude >= 0x7F800000) /* infinite, NaN */
        return (uint16_t)(sign | (magnitude > 0x7F800000 ? 0x7E00 : 0x7C00));
    if (magnitude >= 0x477FE000) /* 65504, the largest */
        return (uint16_t)(sign | 0x7BFF);
    if (magnitude < 0x38800000) { /* subnormal: adding 0.5 rounds at 2^-24 */
        float shifted;
        memcpy(&shifted, &magnitude, sizeof shifted);
        shifted += 0.5f;
        memcpy(&magnitude, &shifted, sizeof magnitude);
        return (uint16_t)(sign | (magnitude - 0x3F000000));
    }
    uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude - 0x38000000 + 0xFFF + odd) >> 13));
}

void
moe_routing_builder_logits(moe_routing_builder *b, const float *logits)
{
    size_t n = (size_t)b->n_layers * b->n_experts;
    uint16_t *cell = builder_optional(b, COLUMN_LOGITS, n * sizeof *cell);
    for (size_t i = 0; cell && i < n; i++)
        cell[i] = builder_half(logits[i]);
}
