#include "traces/stats/measure.h"

#include "traces/stats/affinity.h"
#include "traces/stats/coverage.h"
#include "traces/stats/measure_private.h"
#include "traces/stats/overlap.h"
#include "traces/stats/popularity.h"

#include <math.h>

/* Stack places looked at by one policy with one cache for all layers, at most. */
#define SAMPLE_WORK 2e10

void
moe_measure_tell(void *measure, double done, double total)
{
    struct measure *m = measure;
    if (m->progress)
        m->progress(m->context, m->what, done, total);
}

/* ---- means over layers ---- */

/* Adds a value of one layer to the model's mean. */
struct mean {
    double sum;
    uint32_t n;
};

static void
add_layer(struct measure *m, moe_statistic statistic, uint32_t layer, double value,
          struct mean *mean)
{
    if (isnan(value))
        return;
    moe_stats_add(m->stats, statistic, layer, value, "%s", "");
    mean->sum += value;
    mean->n++;
}

static void
add_mean(struct measure *m, moe_statistic statistic, const struct mean *mean)
{
    moe_stats_add(m->stats, statistic, MOE_NONE, mean->n ? mean->sum / mean->n : NAN, "%s", "");
}

/* ---- what one pass over the tokens gives ---- */

static void
report_uses(struct measure *m, const moe_popularity *p)
{
    for (uint32_t l = 0; l < p->n_layers; l++)
        for (uint32_t e = 0; e < p->n_experts && p->tokens[l]; e++)
            moe_stats_add(m->stats, MOE_STAT_uses, l,
                          (double)p->counts[(size_t)l * p->n_experts + e] / (double)p->tokens[l],
                          "expert=%u", e);
}

/* One figure of a spread for each layer, and their mean. */
static void
report_spread(struct measure *m, const moe_popularity *p, moe_statistic statistic, size_t offset)
{
    struct mean mean = {0};
    for (uint32_t l = 0; l < p->n_layers; l++) {
        moe_spread spread =
            moe_popularity_spread(p->counts + (size_t)l * p->n_experts, p->n_experts, p->tokens[l]);
        add_layer(m, statistic, l, *(const double *)((const char *)&spread + offset), &mean);
    }
    if (statistic != MOE_STAT_popularity_sd)
        add_mean(m, statistic, &mean);
}

static void
report_popularity(struct measure *m, const moe_popularity *p)
{
    uint64_t tokens = 0;
    report_uses(m, p);
    report_spread(m, p, MOE_STAT_popularity_max_over_mean, offsetof(moe_spread, max_over_mean));
    report_spread(m, p, MOE_STAT_popularity_gini, offsetof(moe_spread, gini));
    report_spread(m, p, MOE_STAT_popularity_entropy, offsetof(moe_spread, entropy_bits));
    report_spread(m, p, MOE_STAT_popularity_zipf, offsetof(moe_spread, zipf));
    report_spread(m, p, MOE_STAT_popularity_sd, offsetof(moe_spread, frequency_sd));
    for (uint32_t l = 0; l < p->n_layers; l++)
        tokens = MAX(tokens, p->tokens[l]);
    moe_spread all = moe_popularity_spread(p->counts, (size_t)p->n_layers * p->n_experts, tokens);
    moe_stats_add(m->stats, MOE_STAT_popularity_sd, MOE_NONE, all.frequency_sd, "%s", "");
}

static void
report_overlap(struct measure *m, const moe_overlap *overlap, const moe_popularity *p)
{
    const moe_routing *routing = m->pick->routing;
    for (uint32_t i = 0; i <= routing->n_layers; i++) {
        uint32_t layer = i < routing->n_layers ? i : MOE_NONE;
        for (uint32_t lag = 1; lag <= MOE_OVERLAP_LAGS; lag++)
            moe_stats_add(m->stats, MOE_STAT_overlap, layer, moe_overlap_at(overlap, layer, lag),
                          "lag=%u", lag);
        moe_stats_add(m->stats, MOE_STAT_overlap_independent, layer,
                      moe_overlap_independent(p, layer), "%s", "");
    }
    moe_stats_add(m->stats, MOE_STAT_overlap_uniform, MOE_NONE,
                  (double)routing->k / routing->n_experts, "%s", "");
}

static void
report_partners(struct measure *m, const moe_affinity *affinity, uint32_t layer)
{
    for (uint32_t e = 0; e < affinity->n_experts; e++) {
        double share;
        uint32_t partner = moe_affinity_partner(affinity, layer, e, &share);
        if (partner == MOE_NONE)
            continue;
        moe_stats_add(m->stats, MOE_STAT_affinity_partner, layer, partner, "expert=%u", e);
        moe_stats_add(m->stats, MOE_STAT_affinity_partner_share, layer, share, "expert=%u", e);
    }
}

static void
report_affinity(struct measure *m, const moe_affinity *affinity)
{
    struct mean mass = {0}, independent = {0}, information = {0};
    for (uint32_t l = 1; l < affinity->n_layers; l++) {
        moe_affinity_summary summary = moe_affinity_of(affinity, l);
        add_layer(m, MOE_STAT_affinity_mass, l, summary.mass, &mass);
        add_layer(m, MOE_STAT_affinity_mass_independent, l, summary.independent, &independent);
        add_layer(m, MOE_STAT_affinity_information, l, summary.information, &information);
        report_partners(m, affinity, l);
    }
    add_mean(m, MOE_STAT_affinity_mass, &mass);
    add_mean(m, MOE_STAT_affinity_mass_independent, &independent);
    add_mean(m, MOE_STAT_affinity_information, &information);
}

static void
measure_tokens(struct measure *m)
{
    const moe_routing *routing = m->pick->routing;
    bool overlaps = moe_measure_wants(m, MOE_STATS_overlap);
    bool popularities = overlaps || moe_measure_wants(m, MOE_STATS_popularity);
    moe_popularity *popularity = popularities ? moe_popularity_new(routing) : NULL;
    moe_overlap *overlap = overlaps ? moe_overlap_new(routing) : NULL;
    moe_affinity *affinity =
        moe_measure_wants(m, MOE_STATS_affinity) ? moe_affinity_new(routing) : NULL;
    moe_block_user users[3];
    size_t n = 0;
    if (popularity)
        users[n++] = (moe_block_user){moe_popularity_add, popularity};
    if (overlap)
        users[n++] = (moe_block_user){moe_overlap_add, overlap};
    if (affinity)
        users[n++] = (moe_block_user){moe_affinity_add, affinity};
    m->what = "tokens";
    if (n)
        moe_sweep(m->pick, users, n, moe_measure_tell, m);
    if (moe_measure_wants(m, MOE_STATS_popularity))
        report_popularity(m, popularity);
    if (overlap)
        report_overlap(m, overlap, popularity);
    if (affinity)
        report_affinity(m, affinity);
    else if (moe_measure_wants(m, MOE_STATS_affinity))
        moe_stats_note(m->stats, "affinity: not measured, %u experts at %u layers are too many",
                       routing->n_experts, routing->n_layers);
    moe_popularity_free(popularity);
    moe_overlap_free(overlap);
    moe_affinity_free(affinity);
}

/* ---- batches ---- */

static double
uniform_coverage(const moe_routing *routing, uint32_t size)
{
    double missed = 1 - (double)routing->k / routing->n_experts;
    for (uint32_t i = 0; i < size; i++)
        missed *= missed;
    return routing->n_experts * (1 - missed);
}

static void
measure_coverage(struct measure *m, moe_phase phase, moe_statistic statistic)
{
    const moe_routing *routing = m->pick->routing;
    m->what = phase == MOE_DECODE ? "decode batches" : "prefill batches";
    moe_coverage *coverage = moe_coverage_new(m->pick, phase, moe_measure_tell, m);
    for (uint32_t i = 0; i <= routing->n_layers; i++)
        for (uint32_t size = 0; size < MOE_COVERAGE_SIZES; size++) {
            uint32_t layer = i < routing->n_layers ? i : MOE_NONE;
            moe_stats_add(m->stats, statistic, layer, moe_coverage_mean(coverage, layer, size),
                          "batch=%u", 1u << size);
        }
    if (!coverage->batches[0])
        moe_stats_note(m->stats, "%s: not recorded, the trace has no such tokens",
                       moe_statistic_get(statistic)->name);
    moe_coverage_free(coverage);
}

static void
measure_batches(struct measure *m)
{
    measure_coverage(m, MOE_DECODE, MOE_STAT_coverage_decode);
    measure_coverage(m, MOE_PREFILL, MOE_STAT_coverage_prefill);
    for (uint32_t size = 0; size < MOE_COVERAGE_SIZES; size++)
        moe_stats_add(m->stats, MOE_STAT_coverage_uniform, MOE_NONE,
                      uniform_coverage(m->pick->routing, size), "batch=%u", 1u << size);
}

/* ---- all ---- */

/* Tokens that one policy gets through in a few seconds. */
static uint64_t
sample_tokens(const moe_routing *routing)
{
    double per_token =
        (double)routing->n_layers * routing->k * routing->n_layers * routing->n_experts;
    return (uint64_t)MAX(SAMPLE_WORK / per_token, 1);
}

moe_stats *
moe_measure(const moe_pick *pick, const moe_measure_config *config, moe_measure_progress *progress,
            void *context)
{
    moe_stats *stats = moe_stats_new(pick->routing);
    struct measure m = {
        .pick = pick, .config = config, .stats = stats, .progress = progress, .context = context};
    uint64_t tokens = config->sample_tokens ? config->sample_tokens : sample_tokens(pick->routing);
    uint32_t *indices;
    moe_pick sample = moe_pick_thinned(pick, tokens, &indices);
    m.sample = &sample;
    measure_tokens(&m);
    if (moe_measure_wants(&m, MOE_STATS_coverage))
        measure_batches(&m);
    if (moe_measure_wants(&m, MOE_STATS_segments))
        moe_measure_segments(&m);
    if (moe_measure_wants(&m, MOE_STATS_caches))
        moe_measure_caches(&m);
    if (sample.n < pick->n &&
        (moe_measure_wants(&m, MOE_STATS_segments) || moe_measure_wants(&m, MOE_STATS_caches)))
        moe_stats_note(stats, "segments, caches: on %u of %u sequences, every %uth", sample.n,
                       pick->n, pick->n / sample.n);
    g_free(indices);
    return stats;
}
