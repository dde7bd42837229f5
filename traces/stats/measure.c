#include "traces/stats/measure.h"

#include "traces/stats/measure_private.h"

#include <math.h>

/* Accesses times objects, for one policy with one cache for all layers: what is done in full, and
 * what a larger trace is thinned to. A few percent of these are places of a stack looked at. */
#define EXACT_WORK 2e10
#define SAMPLE_WORK 5e9

void
moe_measure_tell(void *measure, double done, double total)
{
    struct measure *m = measure;
    if (m->progress)
        m->progress(m->context, m->what, done, total);
}

/* Tokens on which each policy takes a few seconds; all, while they are not too many. */
static uint64_t
sample_tokens(const moe_pick *pick)
{
    const moe_routing *routing = pick->routing;
    double accesses = (double)routing->n_layers * routing->k;
    double per_token = accesses * routing->n_layers * routing->n_experts;
    uint64_t all = moe_pick_tokens(pick);
    return (double)all * per_token <= EXACT_WORK ? all : (uint64_t)MAX(SAMPLE_WORK / per_token, 1);
}

static void
measure_sample(struct measure *m)
{
    bool segments = moe_measure_wants(m, MOE_STATS_segments);
    bool caches = moe_measure_wants(m, MOE_STATS_caches);
    uint32_t *indices;
    uint64_t tokens = m->config->sample_tokens ? m->config->sample_tokens : sample_tokens(m->pick);
    moe_pick sample = moe_pick_thinned(m->pick, tokens, MOE_BOOTSTRAP_MAX_SEQUENCES, &indices);
    moe_bootstrap *bootstrap = moe_bootstrap_new(sample.n);
    m->sample = &sample;
    m->bootstrap = bootstrap;
    if (segments)
        moe_measure_segments(m);
    if (caches)
        moe_measure_caches(m);
    if (sample.n < m->pick->n)
        moe_stats_note(m->stats,
                       "segments, caches: on %u of %u sequences (every %uth), %" G_GUINT64_FORMAT
                       " tokens",
                       sample.n, m->pick->n, (m->pick->n - 1) / MAX(sample.n - 1, 1),
                       moe_pick_tokens(&sample));
    if (sample.n == 1 && !m->config->warm)
        moe_stats_note(m->stats, "segments, caches: no intervals, which want two sequences");
    moe_bootstrap_free(bootstrap);
    g_free(indices);
}

moe_stats *
moe_trace_measure(const moe_pick *pick, const moe_measure_config *config,
                  moe_measure_progress *progress, void *context)
{
    moe_stats *stats = moe_stats_new(pick->routing);
    struct measure m = {
        .pick = pick, .config = config, .stats = stats, .progress = progress, .context = context};
    moe_measure_tokens(&m);
    if (moe_measure_wants(&m, MOE_STATS_coverage))
        moe_measure_coverage(&m);
    if (moe_measure_wants(&m, MOE_STATS_balance))
        moe_measure_balance(&m);
    if (moe_measure_wants(&m, MOE_STATS_capture))
        moe_measure_capture(&m);
    if (moe_measure_wants(&m, MOE_STATS_segments) || moe_measure_wants(&m, MOE_STATS_caches))
        measure_sample(&m);
    return stats;
}
