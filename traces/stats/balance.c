#include "traces/stats/balance.h"

#include <glib.h>
#include <math.h>
#include <string.h>

struct weigh {
    const moe_routing *routing;
    moe_balance *balance;
    const moe_rank_table *table; /* NULL: contiguous */
    uint32_t *uses;              /* [n_layers][n_experts], of the step at hand */
    uint32_t *loads;             /* of the ranks */
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

static uint32_t
busiest_load(struct weigh *weigh, uint32_t layer, uint32_t ranks)
{
    uint32_t n_experts = weigh->routing->n_experts, busiest = 0;
    const uint32_t *uses = weigh->uses + (size_t)layer * n_experts;
    const uint16_t *rank = weigh->table ? weigh->table->rank + (size_t)layer * n_experts : NULL;
    memset(weigh->loads, 0, ranks * sizeof *weigh->loads);
    for (uint32_t e = 0; e < n_experts; e++)
        weigh->loads[rank ? rank[e] : e * ranks / n_experts] += uses[e];
    for (uint32_t i = 0; i < ranks; i++)
        busiest = MAX(busiest, weigh->loads[i]);
    return busiest;
}

static void
weigh_layer(struct weigh *weigh, uint32_t layer)
{
    moe_balance *balance = weigh->balance;
    const uint32_t *uses = weigh->uses + (size_t)layer * weigh->routing->n_experts;
    double *imbalance = balance->imbalance + (size_t)layer * balance->n;
    uint32_t pairs = 0;
    for (uint32_t e = 0; e < weigh->routing->n_experts; e++)
        pairs += uses[e];
    if (!pairs)
        return;
    balance->steps[layer]++;
    for (uint32_t i = 0; i < balance->n; i++) {
        uint32_t ranks = balance->first + i;
        imbalance[i] += (double)busiest_load(weigh, layer, ranks) * ranks / pairs;
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
moe_balance_new(const moe_pick *pick, moe_balance_of of, uint32_t batch,
                const moe_rank_table *table, moe_progress *progress, void *context)
{
    const moe_routing *routing = pick->routing;
    moe_balance *balance = g_new0(moe_balance, 1);
    balance->n_layers = routing->n_layers;
    balance->batch = batch;
    balance->first = table ? table->n_ranks : 1;
    balance->n = table ? 1 : MOE_BALANCE_RANKS;
    balance->steps = g_new0(uint64_t, routing->n_layers);
    balance->imbalance = g_new0(double, (size_t)routing->n_layers * balance->n);
    struct weigh weigh = {.routing = routing, .balance = balance, .table = table};
    weigh.uses = g_new(uint32_t, (size_t)routing->n_layers * routing->n_experts);
    weigh.loads = g_new(uint32_t, balance->first + balance->n);
    if (of == MOE_BALANCE_STEP)
        moe_batch_steps(pick, weigh_whole, &weigh);
    else
        moe_batches(pick, of == MOE_BALANCE_DECODE ? MOE_DECODE : MOE_PREFILL, weigh_batches,
                    &weigh, progress, context);
    g_free(weigh.uses);
    g_free(weigh.loads);
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
        sum += balance->imbalance[(size_t)l * balance->n + ranks - balance->first];
        steps += (double)balance->steps[l];
    }
    return steps > 0 ? sum / steps : NAN;
}
