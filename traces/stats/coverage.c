#include "traces/stats/coverage.h"

#include <glib.h>
#include <math.h>
#include <string.h>

/* Batches of 2^i tokens are pairs of batches of 2^(i - 1): sets are merged as the digits of a
 * counter carry, each level waiting for its second half. */
struct cover {
    const moe_routing *routing;
    moe_coverage *coverage;
    size_t words; /* of a token's sets at all layers */
    size_t per_layer;
    uint64_t *waiting; /* [MOE_COVERAGE_SIZES][words] */
    uint64_t *set;     /* [words] */
};

/* Bits of a word in SSE2's time: the processor's own instruction is not assumed. */
static inline uint32_t
bits(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555ull;
    x = (x & 0x3333333333333333ull) + (x >> 2 & 0x3333333333333333ull);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Full;
    return (uint32_t)(x * 0x0101010101010101ull >> 56);
}

static void
cover_read(struct cover *cover, uint64_t row)
{
    const moe_routing *routing = cover->routing;
    uint64_t *set = cover->set;
    memset(set, 0, cover->words * sizeof *set);
    for (uint32_t l = 0; l < routing->n_layers; l++, set += cover->per_layer) {
        for (uint32_t j = 0; j < routing->k; j++) {
            uint32_t id = moe_routing_id(routing, row, l, j);
            if (id >= MOE_ROUTING_NOT_RUN)
                break;
            set[id / 64] |= 1ull << (id % 64);
        }
    }
}

/* The set at hand is a batch of 2^size tokens. */
static void
cover_count(struct cover *cover, uint32_t size)
{
    const uint64_t *set = cover->set;
    uint64_t *distinct = cover->coverage->distinct + size;
    cover->coverage->batches[size]++;
    for (uint32_t l = 0; l < cover->routing->n_layers; l++) {
        uint32_t n = 0;
        for (size_t w = 0; w < cover->per_layer; w++)
            n += bits(*set++);
        distinct[(size_t)l * MOE_COVERAGE_SIZES] += n;
    }
}

static void
cover_lot(void *state, const uint64_t *rows, uint32_t n)
{
    struct cover *cover = state;
    for (uint32_t i = 0; i < n; i++) {
        cover_read(cover, rows[i]);
        cover_count(cover, 0);
        for (uint32_t size = 0; size < MOE_COVERAGE_SIZES - 1; size++) {
            uint64_t *other = cover->waiting + size * cover->words;
            if (!(i >> size & 1)) {
                memcpy(other, cover->set, cover->words * sizeof *other);
                break;
            }
            for (size_t w = 0; w < cover->words; w++)
                cover->set[w] |= other[w];
            cover_count(cover, size + 1);
        }
    }
}

moe_coverage *
moe_coverage_new(const moe_pick *pick, moe_phase phase, moe_progress *progress, void *context)
{
    const moe_routing *routing = pick->routing;
    moe_coverage *coverage = g_new0(moe_coverage, 1);
    coverage->n_layers = routing->n_layers;
    coverage->n_experts = routing->n_experts;
    coverage->distinct = g_new0(uint64_t, (size_t)routing->n_layers * MOE_COVERAGE_SIZES);
    struct cover cover = {.routing = routing, .coverage = coverage};
    cover.per_layer = (routing->n_experts + 63) / 64;
    cover.words = cover.per_layer * routing->n_layers;
    cover.waiting = g_new(uint64_t, cover.words * MOE_COVERAGE_SIZES);
    cover.set = g_new(uint64_t, cover.words);
    moe_batches(pick, phase, cover_lot, &cover, progress, context);
    g_free(cover.waiting);
    g_free(cover.set);
    return coverage;
}

void
moe_coverage_free(moe_coverage *coverage)
{
    if (!coverage)
        return;
    g_free(coverage->distinct);
    g_free(coverage);
}

double
moe_coverage_mean(const moe_coverage *coverage, uint32_t layer, uint32_t size)
{
    uint64_t distinct = 0, batches = 0;
    for (uint32_t l = 0; l < coverage->n_layers; l++) {
        if (layer != MOE_NONE && layer != l)
            continue;
        distinct += coverage->distinct[(size_t)l * MOE_COVERAGE_SIZES + size];
        batches += coverage->batches[size];
    }
    return batches ? (double)distinct / (double)batches : NAN;
}
