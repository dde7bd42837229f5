/* What one pass over the tokens gives. */
#include "traces/stats/measure_private.h"

#include "traces/stats/affinity.h"
#include "traces/stats/gate.h"
#include "traces/stats/overlap.h"
#include "traces/stats/popularity.h"
#include "traces/stats/recall.h"
#include "traces/stats/reuse.h"

#include <math.h>

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

static const double quantiles[] = {0.5, 0.9, 0.99};

static void
report_reuse(struct measure *m, const moe_reuse *reuse)
{
    uint32_t n_layers = m->pick->routing->n_layers;
    for (uint32_t i = 0; i <= n_layers; i++) {
        uint32_t layer = i < n_layers ? i : MOE_NONE;
        uint64_t first = moe_reuse_count(reuse, layer, 0), all = first;
        for (uint32_t gap = 1; gap <= MOE_REUSE_GAPS; gap++)
            all += moe_reuse_count(reuse, layer, gap);
        for (size_t q = 0; all > first && q < MOE_COUNT(quantiles); q++)
            moe_stats_add(m->stats, MOE_STAT_reuse_tokens, layer,
                          moe_reuse_quantile(reuse, layer, quantiles[q]), "quantile=%g",
                          quantiles[q]);
        moe_stats_add(m->stats, MOE_STAT_reuse_first, layer,
                      all ? (double)first / (double)all : NAN, "%s", "");
    }
}

static void
report_gate(struct measure *m, moe_gate *gate)
{
    static const double shares[] = {0.1, 0.5, 0.9};
    const moe_routing *routing = m->pick->routing;
    moe_gate_finish(gate);
    for (uint32_t i = 0; i <= routing->n_layers; i++) {
        uint32_t layer = i < routing->n_layers ? i : MOE_NONE;
        for (uint32_t rank = 0; routing->weights && rank < routing->k; rank++)
            moe_stats_add(m->stats, MOE_STAT_gate_share, layer, moe_gate_share(gate, layer, rank),
                          "rank=%u", rank + 1);
        for (size_t q = 0; routing->weights && q < MOE_COUNT(shares); q++)
            moe_stats_add(m->stats, MOE_STAT_gate_top, layer,
                          moe_gate_top_quantile(gate, layer, shares[q]), "quantile=%g", shares[q]);
        moe_stats_add(m->stats, MOE_STAT_loss_micro, layer, moe_gate_loss_micro(gate, layer), "%s",
                      "");
        moe_stats_add(m->stats, MOE_STAT_loss_global, layer, moe_gate_loss_global(gate, layer),
                      "%s", "");
    }
    moe_stats_note(m->stats, "loss: probabilities from %s",
                   routing->logits ? "router logits"
                                   : "gate weights, which know only the chosen experts");
}

static void
report_recall(struct measure *m, const moe_recall *recall)
{
    const moe_routing *routing = m->pick->routing;
    for (uint32_t look = 0; look < routing->n_lookahead; look++)
        for (uint32_t i = 0; i <= routing->n_layers; i++)
            moe_stats_add(m->stats, MOE_STAT_lookahead_recall, i < routing->n_layers ? i : MOE_NONE,
                          moe_recall_at(recall, look, i < routing->n_layers ? i : MOE_NONE),
                          "distance=%u", routing->lookahead[look].distance);
}

/* What is counted in the pass; NULL: not asked for, or not there. */
struct counters {
    moe_popularity *popularity;
    moe_overlap *overlap;
    moe_reuse *reuse;
    moe_affinity *affinity;
    moe_gate *gate;
    moe_recall *recall;
};

static struct counters
open_counters(struct measure *m)
{
    const moe_routing *routing = m->pick->routing;
    struct counters c = {0};
    if (moe_measure_wants(m, MOE_STATS_popularity) || moe_measure_wants(m, MOE_STATS_overlap))
        c.popularity = moe_popularity_new(routing);
    if (moe_measure_wants(m, MOE_STATS_overlap))
        c.overlap = moe_overlap_new(routing);
    if (moe_measure_wants(m, MOE_STATS_reuse))
        c.reuse = moe_reuse_new(routing);
    if (moe_measure_wants(m, MOE_STATS_affinity))
        c.affinity = moe_affinity_new(routing);
    if (moe_measure_wants(m, MOE_STATS_gate))
        c.gate = moe_gate_new(routing);
    if (moe_measure_wants(m, MOE_STATS_lookahead) && routing->n_lookahead)
        c.recall = moe_recall_new(routing);
    return c;
}

static void
sweep_counters(struct measure *m, const struct counters *c)
{
    const moe_block_user all[] = {
        {moe_popularity_add, c->popularity},
        {moe_overlap_add, c->overlap},
        {moe_reuse_add, c->reuse},
        {moe_affinity_add, c->affinity},
        {moe_gate_add, c->gate},
        {moe_recall_add, c->recall},
    };
    moe_block_user users[MOE_COUNT(all)];
    size_t n = 0;
    for (size_t i = 0; i < MOE_COUNT(all); i++)
        if (all[i].state)
            users[n++] = all[i];
    m->what = "tokens";
    if (n)
        moe_sweep(m->pick, users, n, moe_measure_tell, m);
}

static void
note_absent(struct measure *m, const struct counters *c)
{
    const moe_routing *routing = m->pick->routing;
    if (!c->affinity && moe_measure_wants(m, MOE_STATS_affinity))
        moe_stats_note(m->stats, "affinity: not measured, %u experts at %u layers are too many",
                       routing->n_experts, routing->n_layers);
    if (!c->gate && moe_measure_wants(m, MOE_STATS_gate))
        moe_stats_note(m->stats, "gate: gate weights and router logits are not recorded");
    else if (c->gate && !routing->weights)
        moe_stats_note(m->stats, "gate_share, gate_top: gate weights are not recorded");
    if (!c->recall && moe_measure_wants(m, MOE_STATS_lookahead))
        moe_stats_note(m->stats, "lookahead: not recorded");
}

void
moe_measure_tokens(struct measure *m)
{
    struct counters c = open_counters(m);
    sweep_counters(m, &c);
    if (moe_measure_wants(m, MOE_STATS_popularity))
        report_popularity(m, c.popularity);
    if (c.overlap)
        report_overlap(m, c.overlap, c.popularity);
    if (c.reuse)
        report_reuse(m, c.reuse);
    if (c.affinity)
        report_affinity(m, c.affinity);
    if (c.gate)
        report_gate(m, c.gate);
    if (c.recall)
        report_recall(m, c.recall);
    note_absent(m, &c);
    moe_popularity_free(c.popularity);
    moe_overlap_free(c.overlap);
    moe_reuse_free(c.reuse);
    m->stats->affinity = c.affinity;
    moe_gate_free(c.gate);
    moe_recall_free(c.recall);
}
