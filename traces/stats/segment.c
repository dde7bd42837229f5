#include "traces/stats/segment.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#define MAX_SIZE 256
const uint32_t moe_segment_sizes[MOE_SEGMENT_SIZES] = {4, 16, 64, 256};

uint32_t
moe_segment_first(uint32_t size)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < size; i++)
        first += moe_segment_sizes[i] + 1;
    return first;
}

/* An expert's use in the segment that ends with the token at hand, and since which token that has
 * been so. */
struct level {
    uint32_t f, since;
};

/* One layer of one sequence, one size. Only what changes is touched: a segment that moves by one
 * token changes f of the experts of the token that enters and of the one that leaves. */
struct slide {
    struct level *levels; /* [n_experts] */
    uint32_t *counts;     /* by f */
    uint32_t m, n_experts;
};

static inline void
slide_change(struct slide *slide, uint32_t expert, uint32_t t, uint32_t by)
{
    struct level *level = &slide->levels[expert];
    slide->counts[level->f] += t - level->since;
    level->since = t;
    level->f += by;
}

/* ids[length][k]; segments end at tokens m - 1 .. length - 1. */
static void
slide_over(struct slide *slide, const uint16_t *ids, uint32_t length, uint32_t k)
{
    uint32_t m = slide->m;
    if (length < m)
        return;
    for (uint32_t e = 0; e < slide->n_experts; e++)
        slide->levels[e] = (struct level){0, m - 1};
    for (uint32_t t = 0; t < length; t++) {
        uint32_t end = MAX(t, m - 1);
        const uint16_t *in = ids + (size_t)t * k, *out = in - (size_t)m * k;
        for (uint32_t j = 0; j < k && in[j] < MOE_ROUTING_NOT_RUN; j++)
            slide_change(slide, in[j], end, 1);
        for (uint32_t j = 0; t >= m && j < k && out[j] < MOE_ROUTING_NOT_RUN; j++)
            slide_change(slide, out[j], end, UINT32_MAX);
    }
    for (uint32_t e = 0; e < slide->n_experts; e++)
        slide->counts[slide->levels[e].f] += length - slide->levels[e].since;
}

static void
read_layer(const moe_pick *pick, uint32_t i, uint32_t layer, uint16_t *ids)
{
    const moe_routing *routing = pick->routing;
    uint32_t s = moe_pick_sequence(pick, i);
    uint64_t length = moe_pick_length(pick, i);
    for (uint64_t t = 0; t < length; t++) {
        uint64_t row = moe_routing_token(routing, s, t);
        for (uint32_t j = 0; j < routing->k; j++)
            *ids++ = (uint16_t)moe_routing_id(routing, row, layer, j);
    }
}

moe_segments *
moe_segments_new(const moe_pick *pick, moe_progress *progress, void *context)
{
    const moe_routing *routing = pick->routing;
    uint64_t longest = 0;
    for (uint32_t i = 0; i < pick->n; i++)
        longest = MAX(longest, moe_pick_length(pick, i));
    moe_segments *segments = g_new0(moe_segments, 1);
    segments->n_layers = routing->n_layers;
    segments->n_sequences = pick->n;
    segments->counts =
        g_new0(uint32_t, (size_t)pick->n * routing->n_layers * MOE_SEGMENT_COUNTS + 1);
    g_autofree uint16_t *ids = g_new(uint16_t, longest * routing->k + 1);
    g_autofree struct level *levels = g_new(struct level, routing->n_experts);
    struct slide slide = {.levels = levels, .n_experts = routing->n_experts};
    for (uint32_t i = 0; i < pick->n; i++) {
        for (uint32_t l = 0; l < routing->n_layers; l++) {
            size_t at = ((size_t)i * routing->n_layers + l) * MOE_SEGMENT_COUNTS;
            read_layer(pick, i, l, ids);
            for (uint32_t size = 0; size < MOE_SEGMENT_SIZES; size++) {
                slide.m = moe_segment_sizes[size];
                slide.counts = segments->counts + at + moe_segment_first(size);
                slide_over(&slide, ids, (uint32_t)moe_pick_length(pick, i), routing->k);
            }
        }
        if (progress)
            progress(context, i + 1, pick->n);
    }
    return segments;
}

void
moe_segments_free(moe_segments *segments)
{
    if (!segments)
        return;
    g_free(segments->counts);
    g_free(segments);
}

moe_srp
moe_segment_srp(const uint64_t *counts, uint32_t m)
{
    moe_srp best = {NAN, NAN, 0};
    double used = 0, matched = 0, on = 0;
    for (uint32_t f = 1; f <= m; f++)
        used += (double)f * (double)counts[f];
    for (uint32_t alpha = m; used > 0 && alpha >= 1; alpha--) {
        matched += (double)alpha * (double)counts[alpha];
        on += (double)m * (double)counts[alpha];
        double f1 = 2 * matched / (on + used);
        if (!(f1 < best.srp))
            best = (moe_srp){f1, on / used, alpha};
    }
    return best;
}

/* counts[m + 1] by f of one sequence, of one layer or added up over all. */
static void
sum_layers(const moe_segments *segments, uint32_t s, uint32_t layer, uint32_t size,
           uint32_t *counts)
{
    uint32_t m = moe_segment_sizes[size];
    memset(counts, 0, (m + 1) * sizeof *counts);
    for (uint32_t l = 0; l < segments->n_layers; l++) {
        if (layer != MOE_NONE && layer != l)
            continue;
        const uint32_t *from = segments->counts +
                               ((size_t)s * segments->n_layers + l) * MOE_SEGMENT_COUNTS +
                               moe_segment_first(size);
        for (uint32_t f = 0; f <= m; f++)
            counts[f] += from[f];
    }
}

moe_srp
moe_segments_srp(const moe_segments *segments, uint32_t layer, uint32_t size)
{
    uint32_t counts[MAX_SIZE + 1];
    uint64_t sum[MAX_SIZE + 1] = {0};
    for (uint32_t s = 0; s < segments->n_sequences; s++) {
        sum_layers(segments, s, layer, size, counts);
        for (uint32_t f = 0; f <= moe_segment_sizes[size]; f++)
            sum[f] += counts[f];
    }
    return moe_segment_srp(sum, moe_segment_sizes[size]);
}

void
moe_segments_intervals(const moe_segments *segments, const moe_bootstrap *bootstrap, uint32_t layer,
                       uint32_t size, moe_interval *srp, moe_interval *rho)
{
    uint32_t n = segments->n_sequences, m = moe_segment_sizes[size];
    g_autofree uint32_t *counts = g_new(uint32_t, (size_t)n * (m + 1) + 1);
    g_autofree double *srps = g_new(double, MOE_BOOTSTRAP_RESAMPLES);
    g_autofree double *rhos = g_new(double, MOE_BOOTSTRAP_RESAMPLES);
    moe_srp value = moe_segments_srp(segments, layer, size);
    for (uint32_t s = 0; s < n; s++)
        sum_layers(segments, s, layer, size, counts + (size_t)s * (m + 1));
    for (uint32_t r = 0; r < MOE_BOOTSTRAP_RESAMPLES; r++) {
        uint64_t sum[MAX_SIZE + 1] = {0};
        const uint16_t *times = moe_bootstrap_times(bootstrap, r);
        for (uint32_t s = 0; s < n; s++) {
            const uint32_t *from = counts + (size_t)s * (m + 1);
            for (uint32_t f = 0; times[s] && f <= m; f++)
                sum[f] += (uint64_t)times[s] * from[f];
        }
        moe_srp resampled = moe_segment_srp(sum, m);
        srps[r] = resampled.srp;
        rhos[r] = resampled.rho;
    }
    *srp = moe_bootstrap_basic(value.srp, srps);
    *rho = moe_bootstrap_basic(value.rho, rhos);
}
