#include "traces/stats/sweep.h"

#include <glib.h>
#include <string.h>

/* Ids of a block of tokens, transposed to layer-major: about what a second-level cache holds. */
#define SWEEP_BYTES (384u << 10)

struct sweep {
    const moe_routing *routing;
    uint32_t max, n;
    size_t ids_stride, count_stride; /* elements per layer */
    uint16_t *ids, *count;
    uint32_t *place;
    uint64_t *row;
    bool *full; /* [n_layers] */
};

static void
sweep_open(struct sweep *sweep, const moe_routing *routing)
{
    size_t per_token = (size_t)routing->n_layers * (routing->k + 1) * sizeof(uint16_t);
    sweep->routing = routing;
    sweep->max = (uint32_t)CLAMP(SWEEP_BYTES / per_token, 64, 4096);
    /* an odd number of cache lines more, so that layers do not share cache sets */
    sweep->ids_stride = ((size_t)sweep->max * routing->k / 64 * 2 + 3) * 32;
    sweep->count_stride = ((size_t)sweep->max / 64 * 2 + 3) * 32;
    sweep->ids = g_new(uint16_t, sweep->ids_stride * routing->n_layers);
    sweep->count = g_new(uint16_t, sweep->count_stride * routing->n_layers);
    sweep->place = g_new(uint32_t, sweep->max);
    sweep->row = g_new(uint64_t, sweep->max);
    sweep->full = g_new(bool, routing->n_layers);
}

static void
sweep_close(struct sweep *sweep)
{
    g_free(sweep->ids);
    g_free(sweep->count);
    g_free(sweep->place);
    g_free(sweep->row);
    g_free(sweep->full);
}

/* Ids of token t at one layer; k and the width are constants where this is inlined. */
static inline __attribute__((always_inline)) uint32_t
sweep_row(const void *from, uint32_t k, uint32_t id_bytes, uint16_t *to)
{
    uint32_t n = 0;
    for (uint32_t j = 0; j < k; j++) {
        uint32_t id = id_bytes == 1 ? ((const uint8_t *)from)[j] : ((const uint16_t *)from)[j];
        bool none = id >= (id_bytes == 1 ? 0xFEu : MOE_ROUTING_NOT_RUN);
        to[j] = none ? MOE_ROUTING_NO_EXPERT : (uint16_t)id;
        n += !none;
    }
    return n;
}

static inline __attribute__((always_inline)) void
sweep_token_of(struct sweep *sweep, const void *ids, uint32_t k, uint32_t id_bytes)
{
    const char *from = ids;
    uint16_t *to = sweep->ids + (size_t)sweep->n * k, *count = sweep->count + sweep->n;
    for (uint32_t l = 0; l < sweep->routing->n_layers; l++) {
        uint32_t n = sweep_row(from, k, id_bytes, to);
        *count = (uint16_t)n;
        sweep->full[l] &= n == k;
        from += (size_t)k * id_bytes;
        to += sweep->ids_stride;
        count += sweep->count_stride;
    }
}

static void
sweep_token(struct sweep *sweep, uint64_t row, uint64_t place)
{
    const moe_routing *routing = sweep->routing;
    size_t bytes = (size_t)routing->n_layers * routing->k * routing->id_bytes;
    const char *ids = (const char *)routing->ids + row * bytes;
    sweep->place[sweep->n] = (uint32_t)MIN(place, UINT32_MAX);
    sweep->row[sweep->n] = row;
    if (routing->id_bytes == 2)
        sweep_token_of(sweep, ids, routing->k, 2);
    else if (routing->k == 4)
        sweep_token_of(sweep, ids, 4, 1);
    else if (routing->k == 8)
        sweep_token_of(sweep, ids, 8, 1);
    else
        sweep_token_of(sweep, ids, routing->k, 1);
    sweep->n++;
}

static void
sweep_flush(struct sweep *sweep, const moe_block_user *users, size_t n_users)
{
    moe_block block = {.routing = sweep->routing,
                       .n = sweep->n,
                       .k = sweep->routing->k,
                       .place = sweep->place,
                       .row = sweep->row};
    for (uint32_t l = 0; l < sweep->routing->n_layers; l++) {
        block.layer = l;
        block.full_above = l && sweep->full[l - 1];
        block.full = sweep->full[l];
        block.above = block.ids;
        block.count_above = block.count;
        block.ids = sweep->ids + l * sweep->ids_stride;
        block.count = sweep->count + l * sweep->count_stride;
        for (size_t u = 0; u < n_users; u++)
            users[u].add(users[u].state, &block);
    }
    sweep->n = 0;
    memset(sweep->full, true, sweep->routing->n_layers);
}

void
moe_sweep(const moe_pick *pick, const moe_block_user *users, size_t n_users, moe_progress *progress,
          void *context)
{
    struct sweep sweep = {0};
    sweep_open(&sweep, pick->routing);
    memset(sweep.full, true, pick->routing->n_layers);
    double done = 0, total = (double)moe_pick_tokens(pick);
    for (uint32_t i = 0; i < pick->n; i++) {
        uint32_t s = moe_pick_sequence(pick, i);
        uint64_t length = moe_pick_length(pick, i);
        for (uint64_t t = 0; t < length; t++) {
            sweep_token(&sweep, moe_routing_token(pick->routing, s, t), t);
            if (sweep.n < sweep.max)
                continue;
            done += sweep.n;
            sweep_flush(&sweep, users, n_users);
            if (progress)
                progress(context, done, total);
        }
    }
    sweep_flush(&sweep, users, n_users);
    sweep_close(&sweep);
}
