/* The published locality metrics, segments and caches, with intervals over sequences. */
#include "traces/stats/measure_private.h"

#include "traces/stats/curve.h"
#include "traces/stats/segment.h"

#include <math.h>

/* ---- segments ---- */

static void
report_srp(struct measure *m, const moe_segments *segments, uint32_t layer, uint32_t size)
{
    uint32_t length = moe_segment_sizes[size];
    moe_srp srp = moe_segments_srp(segments, layer, size);
    moe_interval srp_interval, rho_interval;
    if (isnan(srp.srp)) {
        if (layer == MOE_NONE)
            moe_stats_note(m->stats, "srp m=%u: not measured, no sequence has %u tokens", length,
                           length);
        return;
    }
    if (segments->n_sequences < 2)
        srp_interval = rho_interval = (moe_interval){NAN, NAN};
    else
        moe_segments_intervals(segments, m->bootstrap, layer, size, &srp_interval, &rho_interval);
    moe_stat_row *row = moe_stats_add(m->stats, MOE_STAT_srp, layer, srp.srp, "m=%u", length);
    row->low = srp_interval.low;
    row->high = srp_interval.high;
    row = moe_stats_add(m->stats, MOE_STAT_srp_rho, layer, srp.rho, "m=%u", length);
    row->low = rho_interval.low;
    row->high = rho_interval.high;
}

void
moe_measure_segments(struct measure *m)
{
    m->what = "segments";
    moe_segments *segments = moe_segments_new(m->sample, moe_measure_tell, m);
    uint32_t n_layers = segments->n_layers;
    for (uint32_t i = 0; i <= n_layers; i++)
        for (uint32_t size = 0; size < MOE_SEGMENT_SIZES; size++)
            report_srp(m, segments, i < n_layers ? i : MOE_NONE, size);
    moe_segments_free(segments);
}

/* ---- caches ---- */

#define N_RHO 5
static const double rhos[N_RHO] = {1, 1.5, 2, 3, 4};

/* One curve that is measured, and the names under which it is reported. */
struct cache {
    const char *what;
    moe_curve_policy policy;
    uint32_t window;
    bool per_layer;
    moe_statistic hit, miss; /* miss == hit: no curve is reported */
};

#define AHEAD(m)                                                                                   \
    {"sch m=" #m, MOE_CURVE_AHEAD, m, false, MOE_STAT_model_sch, MOE_STAT_model_sch},              \
    {                                                                                              \
        "layer sch m=" #m, MOE_CURVE_AHEAD, m, true, MOE_STAT_layer_sch, MOE_STAT_layer_sch        \
    }
#define PLAIN(id, name)                                                                            \
    {#name, MOE_CURVE_##id, 0, false, MOE_STAT_model_hit_##name, MOE_STAT_model_miss_##name},      \
    {                                                                                              \
        "layer " #name, MOE_CURVE_##id, 0, true, MOE_STAT_layer_hit_##name,                        \
            MOE_STAT_layer_miss_##name                                                             \
    }
static const struct cache caches[] = {AHEAD(4),
                                      AHEAD(16),
                                      AHEAD(64),
                                      AHEAD(256),
                                      PLAIN(LRU, lru),
                                      PLAIN(LFU, lfu),
                                      PLAIN(BELADY, belady)};

/* Hits and accesses of one sequence at one capacity: of one cache, or added up over all. */
static void
sequence_sums(const moe_curve *curve, uint32_t s, uint32_t cache, uint32_t capacity, uint64_t *hits,
              uint64_t *accesses)
{
    *hits = *accesses = 0;
    for (uint32_t c = 0; c < curve->n_caches; c++) {
        size_t at = (size_t)s * curve->n_caches + c;
        if (cache != MOE_NONE && cache != c)
            continue;
        *hits += curve->sequence_hits[at * curve->n_capacities + capacity];
        *accesses += curve->sequence_accesses[at];
    }
}

static moe_interval
hit_interval(struct measure *m, const moe_curve *curve, uint32_t cache, uint32_t capacity)
{
    uint32_t n = curve->n_sequences;
    g_autofree uint64_t *hits = g_new(uint64_t, n + 1), *accesses = g_new(uint64_t, n + 1);
    for (uint32_t s = 0; s < n; s++)
        sequence_sums(curve, s, cache, capacity, &hits[s], &accesses[s]);
    return moe_bootstrap_ratio(m->bootstrap, hits, accesses);
}

static void
report_hits(struct measure *m, const struct cache *cache, const moe_curve *curve, uint32_t layer,
            const uint32_t *capacities)
{
    for (uint32_t i = 0; i < N_RHO; i++) {
        double value = moe_curve_hit_rate(curve, layer, capacities[i]);
        if (isnan(value))
            continue;
        moe_stat_row *row =
            cache->window ? moe_stats_add(m->stats, cache->hit, layer, value, "m=%u rho=%g",
                                          cache->window, rhos[i])
                          : moe_stats_add(m->stats, cache->hit, layer, value, "rho=%g", rhos[i]);
        if (!curve->sequence_hits || curve->n_sequences < 2)
            continue;
        moe_interval interval = hit_interval(m, curve, layer, i);
        row->low = interval.low;
        row->high = interval.high;
    }
}

/* The whole curve, at no more than 64 capacities. */
static void
report_curve(struct measure *m, const struct cache *cache, const moe_curve *curve)
{
    uint64_t accesses = moe_curve_accesses(curve, MOE_NONE);
    const moe_routing *routing = m->pick->routing;
    uint32_t least =
        m->config->pinned ? routing->k * (cache->per_layer ? 1 : routing->n_layers) : 0;
    uint32_t step = (curve->n_objects + 63) / 64;
    for (uint32_t c = step; accesses && c <= curve->n_objects; c += step)
        if (c >= least)
            moe_stats_add(m->stats, cache->miss, MOE_NONE,
                          1 - (double)moe_curve_hits(curve, MOE_NONE, c) / (double)accesses,
                          "slots=%u", c);
}

/* Quantiles of the place in LRU's stack at which repeated uses find their expert. */
static void
report_distances(struct measure *m, const moe_curve *curve, uint32_t layer)
{
    static const double quantiles[] = {0.5, 0.9, 0.99};
    uint64_t all = 0, sum = 0;
    g_autofree uint64_t *at = g_new0(uint64_t, curve->n_objects);
    for (uint32_t l = 0; l < curve->n_caches; l++)
        for (uint32_t d = 0; (layer == MOE_NONE || layer == l) && d < curve->n_objects; d++) {
            at[d] += curve->at[(size_t)l * curve->n_objects + d];
            all += curve->at[(size_t)l * curve->n_objects + d];
        }
    for (size_t q = 0, d = 0; all && q < MOE_COUNT(quantiles); q++) {
        while ((double)(sum + at[d]) < quantiles[q] * (double)all)
            sum += at[d++];
        moe_stats_add(m->stats, MOE_STAT_reuse_distance, layer, (double)d, "quantile=%g",
                      quantiles[q]);
    }
}

static void
measure_cache(struct measure *m, const struct cache *cache)
{
    const moe_routing *routing = m->pick->routing;
    uint32_t capacities[N_RHO];
    for (uint32_t i = 0; i < N_RHO; i++)
        capacities[i] =
            (uint32_t)(rhos[i] * routing->k * (cache->per_layer ? 1 : routing->n_layers));
    moe_curve_config config = {.policy = cache->policy,
                               .window = cache->window,
                               .per_layer = cache->per_layer,
                               .together = !m->config->singly,
                               .pinned = m->config->pinned,
                               .cold = !m->config->warm,
                               .first_fill_hit = !m->config->first_fill_miss,
                               .capacities = capacities,
                               .n_capacities = N_RHO};
    m->what = cache->what;
    moe_curve *curve = moe_curve_new(m->sample, &config, moe_measure_tell, m);
    for (uint32_t l = 0; cache->per_layer && l < routing->n_layers; l++)
        report_hits(m, cache, curve, l, capacities);
    report_hits(m, cache, curve, MOE_NONE, capacities);
    for (uint32_t i = 0; cache->hit == MOE_STAT_layer_hit_lru && i <= routing->n_layers; i++)
        report_distances(m, curve, i < routing->n_layers ? i : MOE_NONE);
    if (cache->miss != cache->hit)
        report_curve(m, cache, curve);
    moe_curve_free(curve);
}

void
moe_measure_caches(struct measure *m)
{
    for (size_t i = 0; i < MOE_COUNT(caches); i++)
        measure_cache(m, &caches[i]);
}
