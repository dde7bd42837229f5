/* What batches of tokens give. */
#include "traces/stats/measure_private.h"

#include "traces/stats/balance.h"
#include "traces/stats/coverage.h"

#include <math.h>

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
measure_phase(struct measure *m, moe_phase phase, moe_statistic statistic)
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

void
moe_measure_coverage(struct measure *m)
{
    measure_phase(m, MOE_DECODE, MOE_STAT_coverage_decode);
    measure_phase(m, MOE_PREFILL, MOE_STAT_coverage_prefill);
    for (uint32_t size = 0; size < MOE_COVERAGE_SIZES; size++)
        moe_stats_add(m->stats, MOE_STAT_coverage_uniform, MOE_NONE,
                      uniform_coverage(m->pick->routing, size), "batch=%u", 1u << size);
}

/* ---- load of ranks ---- */

/* The largest power of two up to what was asked for that the sequences can fill. */
static uint32_t
batch_size(const struct measure *m, moe_phase phase)
{
    uint32_t most = m->config->batch ? m->config->batch : 64, batch = 1;
    if (phase == MOE_DECODE && m->pick->n < most)
        most = m->pick->n;
    if (m->config->batch && m->config->batch <= most)
        return most;
    while (batch * 2 <= most)
        batch *= 2;
    return batch;
}

static void
measure_balance(struct measure *m, moe_balance_of of, moe_statistic statistic, uint32_t batch)
{
    uint32_t n_layers = m->pick->routing->n_layers;
    m->what = "load of ranks";
    moe_balance *balance =
        moe_balance_new(m->pick, of, batch, m->config->table, moe_measure_tell, m);
    for (uint32_t i = 0; i <= n_layers; i++)
        for (uint32_t ranks = balance->first; ranks < balance->first + balance->n; ranks++) {
            uint32_t layer = i < n_layers ? i : MOE_NONE;
            double value = moe_balance_mean(balance, layer, ranks);
            if (of == MOE_BALANCE_STEP)
                moe_stats_add(m->stats, statistic, layer, value, "ranks=%u", ranks);
            else
                moe_stats_add(m->stats, statistic, layer, value, "ranks=%u batch=%u", ranks, batch);
        }
    moe_balance_free(balance);
}

void
moe_measure_balance(struct measure *m)
{
    if (m->pick->routing->step)
        measure_balance(m, MOE_BALANCE_STEP, MOE_STAT_balance_step, 0);
    else
        moe_stats_note(m->stats, "balance_step: steps are not recorded");
    measure_balance(m, MOE_BALANCE_DECODE, MOE_STAT_balance_decode, batch_size(m, MOE_DECODE));
    measure_balance(m, MOE_BALANCE_PREFILL, MOE_STAT_balance_prefill, batch_size(m, MOE_PREFILL));
}
