#include "traces/stats/balance.h"

#include <glib.h>
#include <math.h>
#include <string.h>

struct weigh {
    const moe_routing *routing;
    moe_balance *balance;
    uint32_t *uses; /* [n_layers][n_experts], of the step at hand */
    uint16_t *rank; /* [MOE_BALANCE_RANKS][n_experts] */
};

static void
count_row(struct weigh *weigh, uint64_t row)
{
    const moe_routing *routing = weigh->routing;
    uint32_t *uses = weigh->uses;
    for (uint32_t l = 0; l < routing->n_layers; l++, uses += routing->n_experts) {
        for (uint32_t j = 0; j < routing->k; j++) {
            uint32_t id = moe_routing_id(routing, row, l, j);
            if (id >= MOE_ROUTING_NOT_RUN)
                break;
            uses[id]++;
        }
    }
}

static void
weigh_layer(struct weigh *weigh, uint32_t layer)
{
    uint32_t n_experts = weigh->routing->n_experts, pairs = 0;
    const uint32_t *uses = weigh->uses + (size_t)layer * n_experts;
    double *imbalance = weigh->balance->imbalance + (size_t)layer * MOE_BALANCE_RANKS;
    for (uint32_t e = 0; e < n_experts; e++)
        pairs += uses[e];
    if (!pairs)
        return;
    weigh->balance->steps[layer]++;
    for (uint32_t r = 0; r < MOE_BALANCE_RANKS; r++) {
        const uint16_t *rank = weigh->rank + (size_t)r * n_experts;
        uint32_t loads[MOE_BALANCE_RANKS] = {0}, busiest = 0;
        for (uint32_t e = 0; e < n_experts; e++)
            loads[rank[e]] += uses[e];
        for (uint32_t i = 0; i <= r; i++)
            busiest = MAX(busiest, loads[i]);
        imbalance[r] += (double)busiest * (r + 1) / pairs;
    }
}

static void
weigh_step(struct weigh *weigh, const uint64_t *rows, uint32_t n)
{
    const moe_routing *routing = weigh->routing;
    memset(weigh->uses, 0, (size_t)routing->n_layers * routing->n_experts * sizeof *weigh->uses);
    for (uint32_t i = 0; i < n; i++)
        count_row(weigh, rows[i]);
    for (uint32_t l = 0; l < routing->n_layers; l++)
        weigh_layer(weigh, l);
}

static void
weigh_whole(void *state, const uint64_t *rows, uint32_t n)
{
    weigh_step(state, rows, n);
}

static void
weigh_batches(void *state, const uint64_t *rows, uint32_t n)
{
    struct weigh *weigh = state;
    uint32_t batch = weigh->balance->batch;
    for (; n >= batch; n -= batch, rows += batch)
        weigh_step(weigh, rows, batch);
}

moe_balance *
moe_balance_new(const moe_pick *pick, moe_balance_of of, uint32_t batch, moe_progress *progress,
                void *context)
{
    const moe_routing *routing = pick->routing;
    moe_balance *balance = g_new0(moe_balance, 1);
    balance->n_layers = routing->n_layers;
    balance->batch = batch;
    balance->steps = g_new0(uint64_t, routing->n_layers);
    balance->imbalance = g_new0(double, (size_t)routing->n_layers *MOE_BALANCE_RANKS);
    struct weigh weigh = {.routing = routing, .balance = balance};
    weigh.uses = g_new(uint32_t, (size_t)routing->n_layers * routing->n_experts);
    weigh.rank = g_new(uint16_t, (size_t)MOE_BALANCE_RANKS * routing->n_experts);
    for (uint32_t r = 0; r < MOE_BALANCE_RANKS; r++)
        for (uint32_t e = 0; e < routing->n_experts; e++)
            weigh.rank[(size_t)r * routing->n_experts + e] =
                (uint16_t)(e * (r + 1) / routing->n_experts);
    if (of == MOE_BALANCE_STEP)
        moe_batch_steps(pick, weigh_whole, &weigh);
    else
        moe_batches(pick, of == MOE_BALANCE_DECODE ? MOE_DECODE : MOE_PREFILL, weigh_batches,
                    &weigh, progress, context);
    g_free(weigh.uses);
    g_free(weigh.rank);
    return balance;
}

void
moe_balance_free(moe_balance *balance)
{
    if (!balance)
        return;
    g_free(balance->steps);
    g_free(balance->imbalance);
    g_free(balance);
}

double
moe_balance_mean(const moe_balance *balance, uint32_t layer, uint32_t ranks)
{
    double sum = 0, steps = 0;
    for (uint32_t l = 0; l < balance->n_layers; l++) {
        if (layer != MOE_NONE && layer != l)
            continue;
        sum += balance->imbalance[(size_t)l * MOE_BALANCE_RANKS + ranks - 1];
        steps += (double)balance->steps[l];
    }
    return steps > 0 ? sum / steps : NAN;
}
