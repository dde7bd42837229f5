/* What the capture itself measured: how alike the layers' inputs are, and how long stages took. */
#include "traces/stats/measure_private.h"

#include <math.h>

static void
report_similarity(struct measure *m)
{
    const moe_routing *r = m->pick->routing;
    for (uint32_t d = 1; d <= r->n_similarity && d < r->n_layers; d++) {
        double sum = 0;
        for (uint32_t l = d; l < r->n_layers; l++) {
            double value = (double)r->similarity[(size_t)l * r->n_similarity + d - 1];
            moe_stats_add(m->stats, MOE_STAT_similarity, l, value, "distance=%u", d);
            sum += value;
        }
        moe_stats_add(m->stats, MOE_STAT_similarity, MOE_NONE, sum / (r->n_layers - d),
                      "distance=%u", d);
    }
}

/* Sums over the steps of one kind. */
typedef struct step_times {
    uint64_t steps;
    double *sums; /* [n_time_layers, n_stages] ns */
} step_times;

static void
report_stages(struct measure *m, const step_times *times, const char *phase)
{
    const moe_routing *r = m->pick->routing;
    for (uint32_t s = 0; s < r->n_stages && times->steps; s++) {
        double all = 0;
        for (uint32_t l = 0; l < r->n_time_layers; l++)
            all += times->sums[(size_t)l * r->n_stages + s];
        for (uint32_t l = 0; l < r->n_layers; l++)
            moe_stats_add(m->stats, MOE_STAT_stage_time, l,
                          times->sums[(size_t)r->layer_ids[l] * r->n_stages + s] * 1e-3 /
                              (double)times->steps,
                          "%s %s", phase, r->stage_names[s]);
        moe_stats_add(m->stats, MOE_STAT_stage_time, MOE_NONE, all * 1e-3 / (double)times->steps,
                      "%s %s", phase, r->stage_names[s]);
    }
}

static void
report_times(struct measure *m)
{
    const moe_routing *r = m->pick->routing;
    size_t n = (size_t)r->n_time_layers * r->n_stages;
    g_autofree uint8_t *kind = g_malloc0(r->n_time_steps); /* 1: decode tokens, 2: prefill */
    step_times kinds[2] = {{0, g_new0(double, n)}, {0, g_new0(double, n)}};
    for (uint64_t i = 0; i < r->n_tokens; i++)
        kind[r->step[i]] |= r->phase[i] == MOE_PREFILL ? 2 : 1;
    for (uint64_t step = 0; step < r->n_time_steps; step++) {
        if (!kind[step])
            continue;
        step_times *times = &kinds[kind[step] & 2 ? 0 : 1];
        times->steps++;
        for (size_t i = 0; i < n; i++)
            times->sums[i] += (double)r->times[step * n + i];
    }
    report_stages(m, &kinds[0], "prefill");
    report_stages(m, &kinds[1], "decode");
    g_free(kinds[0].sums);
    g_free(kinds[1].sums);
}

void
moe_measure_capture(struct measure *m)
{
    const moe_routing *r = m->pick->routing;
    if (r->similarity)
        report_similarity(m);
    if (r->times)
        report_times(m);
    bool any = r->similarity || r->times;
    if (any && m->pick->n < r->n_sequences)
        moe_stats_note(m->stats, "capture: of all sequences, as it was measured");
    if (!any && m->config->groups == 1u << MOE_STATS_capture)
        moe_stats_note(m->stats, "capture: neither similarity nor stage times are recorded");
}
