#include "traces/stats/overlap.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#define PLANES 16 /* of the adders: what they hold before they are read out */
#define MAX_WORDS ((1u << PLANES) - 8)

/* Bit 0 of `used`: at time `last`; bit j: j tokens before it. */
struct history {
    uint64_t last, used;
};

/* Words added up bit by bit: plane p holds bit p of sixty-four sums. */
struct adder {
    uint64_t planes[PLANES];
    uint32_t n;
    uint64_t sums[MOE_OVERLAP_LAGS];
};

struct layer {
    struct history ran; /* tokens for which the layer ran */
    uint64_t clock;     /* time of the token added last */
    struct adder shared;
    uint64_t experts[MOE_OVERLAP_LAGS];
    /* experts of tokens with exactly this many predecessors, MOE_OVERLAP_LAGS: or more, all of
     * which ran */
    uint64_t with[MOE_OVERLAP_LAGS + 1];
};

struct moe_overlap {
    uint32_t n_layers, n_experts;
    struct layer *layers;
    struct history *experts; /* [n_layers][n_experts] */
};

moe_overlap *
moe_overlap_new(const moe_routing *routing)
{
    moe_overlap *o = g_new0(moe_overlap, 1);
    o->n_layers = routing->n_layers;
    o->n_experts = routing->n_experts;
    o->layers = g_new0(struct layer, o->n_layers);
    o->experts = g_new0(struct history, (size_t)o->n_layers * o->n_experts);
    return o;
}

void
moe_overlap_free(moe_overlap *o)
{
    if (!o)
        return;
    g_free(o->layers);
    g_free(o->experts);
    g_free(o);
}

static void
adder_read(struct adder *adder)
{
    for (uint32_t p = 0; p < PLANES; p++) {
        uint64_t plane = adder->planes[p];
        for (uint32_t lag = 0; plane; lag++, plane >>= 1)
            adder->sums[lag] += (plane & 1) << p;
        adder->planes[p] = 0;
    }
    adder->n = 0;
}

/* Three words of one weight become one of it and a carry of twice the weight. */
static inline uint64_t
carry_save(uint64_t *sum, uint64_t a, uint64_t b)
{
    uint64_t half = *sum ^ a, carry = (*sum & a) | (half & b);
    *sum = half ^ b;
    return carry;
}

static inline void
adder_carry(struct adder *adder, uint32_t plane, uint64_t carry)
{
    for (; carry; plane++) {
        uint64_t next = adder->planes[plane] & carry;
        adder->planes[plane] ^= carry;
        carry = next;
    }
}

static inline void
adder_add8(struct adder *adder, const uint64_t words[8])
{
    uint64_t *planes = adder->planes;
    uint64_t a = carry_save(&planes[0], words[0], words[1]);
    uint64_t b = carry_save(&planes[0], words[2], words[3]);
    uint64_t c = carry_save(&planes[0], words[4], words[5]);
    uint64_t d = carry_save(&planes[0], words[6], words[7]);
    uint64_t e = carry_save(&planes[1], a, b);
    uint64_t f = carry_save(&planes[1], c, d);
    adder_carry(adder, 3, carry_save(&planes[2], e, f));
    adder->n += 8;
    if (MOE_UNLIKELY(adder->n >= MAX_WORDS))
        adder_read(adder);
}

static inline void
adder_add(struct adder *adder, uint64_t word)
{
    adder_carry(adder, 0, word);
    if (MOE_UNLIKELY(++adder->n >= MAX_WORDS))
        adder_read(adder);
}

/* Notes a use at `now`; bit j of the result: used j + 1 tokens ago. */
static inline uint64_t
history_use(struct history *history, uint64_t now)
{
    uint64_t gap = now - history->last - 1;
    uint64_t used = (history->used << (gap & 63)) & -(uint64_t)(gap < 64);
    *history = (struct history){now, used << 1 | 1};
    return used;
}

/* Of a token at `place` with n experts: which of its predecessors ran. */
static inline void
layer_ran(struct layer *layer, uint64_t now, uint32_t place, uint32_t n)
{
    uint64_t ran = history_use(&layer->ran, now);
    uint32_t before = MIN(place, MOE_OVERLAP_LAGS);
    if (MOE_LIKELY(ran == (before == 64 ? UINT64_MAX : (1ull << before) - 1))) {
        layer->with[before] += n;
        return;
    }
    for (uint32_t lag = 0; ran; lag++, ran >>= 1)
        layer->experts[lag] += ran & 1 ? n : 0;
}

static inline __attribute__((always_inline)) void
add_full(struct layer *layer, struct history *experts, const uint16_t *ids, uint32_t k,
         uint64_t now)
{
    uint64_t words[8];
    uint32_t j = 0;
    for (; j + 8 <= k; j += 8) {
        for (uint32_t i = 0; i < 8; i++)
            words[i] = history_use(&experts[ids[j + i]], now);
        adder_add8(&layer->shared, words);
    }
    for (; j < k; j++)
        adder_add(&layer->shared, history_use(&experts[ids[j]], now));
}

/* Two tokens of four experts at a time; the second may share the first one's. */
static inline void
add_pair_of_4(struct layer *layer, struct history *experts, const uint16_t *ids, uint64_t now,
              uint64_t then)
{
    uint64_t words[8];
    for (uint32_t i = 0; i < 4; i++)
        words[i] = history_use(&experts[ids[i]], now);
    for (uint32_t i = 4; i < 8; i++)
        words[i] = history_use(&experts[ids[i]], then);
    adder_add8(&layer->shared, words);
}

/* Sequences stand MOE_OVERLAP_LAGS + 1 apart, so that no bit crosses over. */
static inline uint64_t
tick(struct layer *layer, uint32_t place)
{
    return layer->clock += place ? 1 : MOE_OVERLAP_LAGS + 1;
}

void
moe_overlap_add(void *overlap, const moe_block *block)
{
    moe_overlap *o = overlap;
    struct layer *layer = &o->layers[block->layer];
    struct history *experts = o->experts + (size_t)block->layer * o->n_experts;
    const uint16_t *ids = block->ids;
    for (uint32_t t = 0; t < block->n; t++, ids += block->k) {
        uint64_t now = tick(layer, block->place[t]);
        if (block->count[t] == 0)
            continue;
        layer_ran(layer, now, block->place[t], block->count[t]);
        if (block->full && block->k == 4 && t + 1 < block->n) {
            uint64_t then = tick(layer, block->place[t + 1]);
            layer_ran(layer, then, block->place[t + 1], 4);
            add_pair_of_4(layer, experts, ids, now, then);
            t++;
            ids += block->k;
        } else {
            add_full(layer, experts, ids, block->count[t], now);
        }
    }
}

void
moe_overlap_sums(const moe_overlap *o, uint32_t l, uint32_t lag, uint64_t *shared,
                 uint64_t *experts)
{
    const struct layer *layer = &o->layers[l];
    *shared = layer->shared.sums[lag - 1];
    for (uint32_t p = 0; p < PLANES; p++)
        *shared += (layer->shared.planes[p] >> (lag - 1) & 1) << p;
    *experts = layer->experts[lag - 1];
    for (uint32_t before = lag; before <= MOE_OVERLAP_LAGS; before++)
        *experts += layer->with[before];
}

double
moe_overlap_at(const moe_overlap *o, uint32_t layer, uint32_t lag)
{
    uint64_t all_shared = 0, all_experts = 0;
    for (uint32_t l = 0; l < o->n_layers; l++) {
        uint64_t shared, experts;
        if (layer != MOE_NONE && layer != l)
            continue;
        moe_overlap_sums(o, l, lag, &shared, &experts);
        all_shared += shared;
        all_experts += experts;
    }
    return all_experts ? (double)all_shared / (double)all_experts : NAN;
}

double
moe_overlap_independent(const moe_popularity *popularity, uint32_t layer)
{
    double shared = 0, experts = 0;
    for (uint32_t l = 0; l < popularity->n_layers; l++) {
        if ((layer != MOE_NONE && layer != l) || !popularity->tokens[l])
            continue;
        const uint64_t *counts = popularity->counts + (size_t)l * popularity->n_experts;
        for (uint32_t e = 0; e < popularity->n_experts; e++) {
            double p = (double)counts[e] / (double)popularity->tokens[l];
            shared += p * p * (double)popularity->tokens[l];
            experts += (double)counts[e];
        }
    }
    return experts > 0 ? shared / experts : NAN;
}
