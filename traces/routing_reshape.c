/* Builders that change their shape: more experts, a larger k, fewer layers. */
#include "traces/routing_builder.h"

#include <string.h>

/* Narrow ids become wide ones; the sentinels stay what they are. */
static void
reshape_wide(const void *context, const void *from, void *to)
{
    const moe_routing_builder *b = context;
    const uint8_t *ids = from;
    uint16_t *wide = to;
    for (size_t i = 0, n = (size_t)b->n_layers * b->k; i < n; i++)
        wide[i] = ids[i] >= 0xFE ? (uint16_t)(0xFF00u + ids[i]) : ids[i];
}

void
moe_routing_builder_experts(moe_routing_builder *b, uint32_t n_experts)
{
    moe_assert(n_experts >= b->k && n_experts <= MOE_ROUTING_MAX_EXPERTS, "%u experts", n_experts);
    moe_assert(b->counts[COLUMN_LOGITS] == 0 || n_experts == b->n_experts, "logits of %u experts",
               b->n_experts);
    moe_assert(b->n_lookahead == 0, "%u look-aheads", b->n_lookahead);
    b->n_experts = n_experts;
    if (n_experts <= 254 || b->id_bytes == 2)
        return;
    moe_columns_reshape(b->columns, COLUMN_IDS, (size_t)b->n_layers * b->k * 2, reshape_wide, b);
    b->id_bytes = 2;
}

/* Rows of `old` bytes become rows of `new` bytes, filled up. */
typedef struct reshape_rows {
    uint32_t n_layers;
    size_t old, new;
    int fill;
} reshape_rows;

static void
reshape_widen(const void *context, const void *from, void *to)
{
    const reshape_rows *r = context;
    for (uint32_t layer = 0; layer < r->n_layers; layer++) {
        uint8_t *row = (uint8_t *)to + layer * r->new;
        memcpy(row, (const uint8_t *)from + layer * r->old, r->old);
        memset(row + r->old, r->fill, r->new - r->old);
    }
}

/* A layer that was not run is so in all slots. */
static void
reshape_not_run(const moe_routing_builder *b, uint32_t from, uint8_t *row, uint32_t k)
{
    size_t bytes = b->id_bytes;
    const uint8_t *first = row;
    bool not_run = bytes == 1 ? *first == 0xFE : memcmp(first, &(uint16_t){0xFFFE}, 2) == 0;
    for (uint32_t j = from; not_run && j < k; j++)
        memcpy(row + j * bytes, first, bytes);
}

typedef struct reshape_ids {
    const moe_routing_builder *builder;
    uint32_t k; /* wanted */
} reshape_ids;

static void
reshape_widen_ids(const void *context, const void *from, void *to)
{
    const reshape_ids *r = context;
    const moe_routing_builder *b = r->builder;
    reshape_rows rows = {b->n_layers, (size_t)b->k * b->id_bytes, (size_t)r->k * b->id_bytes, 0xFF};
    reshape_widen(&rows, from, to);
    for (uint32_t layer = 0; layer < b->n_layers; layer++)
        reshape_not_run(b, b->k, (uint8_t *)to + layer * rows.new, r->k);
}

void
moe_routing_builder_widen(moe_routing_builder *b, uint32_t k)
{
    moe_assert(k >= b->k && k <= b->n_experts && k <= MOE_ROUTING_MAX_K, "k %u after %u", k, b->k);
    reshape_ids ids = {b, k};
    reshape_rows weights = {b->n_layers, b->k * sizeof(float), k * sizeof(float), 0};
    moe_columns_reshape(b->columns, COLUMN_IDS, (size_t)b->n_layers * k * b->id_bytes,
                        reshape_widen_ids, &ids);
    if (moe_columns_row_bytes(b->columns, COLUMN_WEIGHTS))
        moe_columns_reshape(b->columns, COLUMN_WEIGHTS, b->n_layers * weights.new, reshape_widen,
                            &weights);
    b->k = k;
}

/* ---- fewer layers ---- */

typedef struct reshape_kept {
    uint32_t n_layers;
    size_t row; /* bytes of a layer */
    const bool *keep;
} reshape_kept;

static void
reshape_keep(const void *context, const void *from, void *to)
{
    const reshape_kept *r = context;
    uint8_t *at = to;
    for (uint32_t layer = 0; layer < r->n_layers; layer++) {
        if (!r->keep[layer])
            continue;
        memcpy(at, (const uint8_t *)from + layer * r->row, r->row);
        at += r->row;
    }
}

void
moe_routing_builder_keep_layers(moe_routing_builder *b, const bool *keep)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n_layers; i++)
        if (keep[i])
            b->layer_ids[n++] = b->layer_ids[i];
    moe_assert(n > 0, "no layer of %u is kept", b->n_layers);
    for (uint32_t i = 0; i < COLUMNS && n < b->n_layers; i++) {
        bool layered = i == COLUMN_IDS || i == COLUMN_WEIGHTS || i >= COLUMN_LOGITS;
        size_t bytes = moe_columns_row_bytes(b->columns, i);
        if (!layered || !bytes)
            continue;
        reshape_kept kept = {b->n_layers, bytes / b->n_layers, keep};
        moe_columns_reshape(b->columns, i, n * kept.row, reshape_keep, &kept);
    }
    b->n_layers = n;
    g_clear_pointer(&b->similarity, g_free);
}
