/* Collectives: of whole vectors (hw/collective.h), and of experts' tokens (hw/exchange.h). */
#include "profiler/predict.h"

#include "hw/collective.h"
#include "hw/exchange.h"

#include <math.h>
#include <string.h>

static const char vectors[] = "the longest port's bytes / rate + steps (hw/collective.h)";
static const char tokens[] = "fixed + largest(SMs, port, NIC) + first (hw/exchange.h)";

/* DeepSeek-V3's gate takes a token's experts from 4 nodes at most, and DeepEP's own test, by which
 * these rows were measured, does the same. */
#define NODES_OF_A_TOKEN 4
/* What DeepEP's kernels take where nobody says how many. */
#define DEFAULT_SMS 20

/* MOE_COLLECTIVE_OPS: none of them. */
static int
op_of(const moe_measured_row *row)
{
    switch (row->collective) {
    case MOE_MEASURED_ALL_REDUCE:
        return MOE_ALL_REDUCE;
    case MOE_MEASURED_ALL_GATHER:
        return MOE_ALL_GATHER;
    case MOE_MEASURED_REDUCE_SCATTER:
        return MOE_REDUCE_SCATTER;
    case MOE_MEASURED_ALL_TO_ALL:
        return MOE_ALL_TO_ALL;
    default:
        return MOE_COLLECTIVE_OPS;
    }
}

static const moe_engine *
engine_of(const moe_candidate *candidate, const moe_measured_row *row)
{
    return moe_network_engine(&candidate->hw.network, row->framework, row->version);
}

/* Outside of a graph an engine first copies the vector into the buffer that its peers can read,
 * and its host may be slower than all of that. */
static int64_t
launched_by_host(const moe_candidate *candidate, const moe_device *device,
                 const moe_measured_row *row, int64_t ps)
{
    const moe_engine *engine = engine_of(candidate, row);
    int64_t host = engine ? engine->host_ps : 0;

    ps += moe_cost_stream(&candidate->hw, device, 2 * (double)row->bytes).total_ps;
    return ps > host ? ps : host;
}

static bool
vector_cost(const moe_candidate *candidate, const moe_measured_row *row, moe_collective_cost *cost)
{
    bool custom = !strcmp(row->algorithm, "custom");
    moe_collective call = {
        .network = &candidate->hw.network,
        .op = op_of(row),
        .ranks = row->ranks,
        .bytes = (double)row->bytes,
        .engine = engine_of(candidate, row),
        .addable = row->activation_bits > 8,
    };

    return call.op != MOE_COLLECTIVE_OPS &&
           moe_collective_time(&call, moe_collective_find(custom ? "engine" : "auto"), cost);
}

static moe_cost
of_vector(const moe_candidate *candidate, const moe_device *device, const moe_measured_row *row)
{
    moe_collective_cost cost;

    if (!vector_cost(candidate, row, &cost))
        return (moe_cost){0};
    moe_cost out = {.total_ps = cost.total_ps, .launch_ps = cost.total_ps, .formula = vectors};
    for (int i = 0; i < cost.n_phases; i++) {
        const moe_phase *p = &cost.phases[i];
        out.bytes += p->wire_bytes;
        if (p->wire_bytes > 0)
            out.launch_ps -= (int64_t)(p->wire_bytes / p->bytes_per_s * 1e12);
    }
    if (out.total_ps > out.launch_ps) /* what they go at, on average */
        out.bytes_per_s = out.bytes / (double)(out.total_ps - out.launch_ps) * 1e12;
    if (!strcmp(row->algorithm, "custom") && !row->graph)
        out.total_ps = launched_by_host(candidate, device, row, out.total_ps);
    return out;
}

const char *
moe_predict_way(const moe_candidate *candidate, const moe_measured_row *row)
{
    moe_collective_cost cost;

    if (!candidate->hw.network.n_levels)
        return NULL;
    if (row->collective >= MOE_MEASURED_DISPATCH)
        return "tokens";
    return vector_cost(candidate, row, &cost) && cost.n_phases ? cost.phases[0].name : NULL;
}

static bool
tokens_cost(const moe_candidate *candidate, const moe_device *device, const moe_measured_row *row,
            moe_exchange_cost *cost)
{
    bool low = !strcmp(row->algorithm, "deepep_low_latency");
    const moe_network *network = &candidate->hw.network;
    moe_exchange call = {
        .network = network,
        .mode = low ? MOE_EXCHANGE_LOW_LATENCY : MOE_EXCHANGE_NORMAL,
        .combine = row->collective == MOE_MEASURED_COMBINE,
        .ranks = row->ranks,
        .experts = row->experts,
        .top_k = row->top_k,
        .tokens = (double)row->tokens,
        .hidden = (double)row->hidden,
        .bits = row->activation_bits,
        .sms = low            ? device->sms
               : row->sms > 0 ? row->sms
                              : DEFAULT_SMS,
    };

    if (call.sms <= 0 || !g_str_has_prefix(row->algorithm, "deepep"))
        return false;
    call.spread = moe_spread_uniform(row->experts, row->top_k, row->ranks, network->levels[0].ranks,
                                     row->nodes > 1 ? NODES_OF_A_TOKEN : 0);
    return moe_exchange_time(&call, cost);
}

static moe_cost
of_tokens(const moe_candidate *candidate, const moe_device *device, const moe_measured_row *row)
{
    moe_exchange_cost cost;

    if (!tokens_cost(candidate, device, row, &cost))
        return (moe_cost){0};
    return (moe_cost){.total_ps = cost.total_ps,
                      .launch_ps = cost.fixed_ps,
                      .bytes = cost.near_bytes + cost.far_bytes,
                      .bytes_per_s =
                          cost.far_s > cost.near_s ? cost.far_bytes_per_s : cost.near_bytes_per_s,
                      .formula = tokens};
}

static double
nominal(const moe_level *level)
{
    return level->peak_bytes_per_s > 0 ? level->peak_bytes_per_s : level->bytes_per_s;
}

double
moe_predict_wire(const moe_candidate *candidate, const moe_measured_row *row)
{
    const moe_network *network = &candidate->hw.network;
    moe_collective_cost vector;
    moe_exchange_cost exchange;

    if (!network->n_levels || row->collective >= MOE_MEASURED_DISPATCH_NOTIFY)
        return 0;
    if (row->collective < MOE_MEASURED_DISPATCH)
        return vector_cost(candidate, row, &vector)
                   ? (double)moe_collective_floor(&vector, network) / 1e6
                   : 0;
    if (!tokens_cost(candidate, candidate->devices, row, &exchange))
        return 0;
    const moe_level *far = &network->levels[moe_network_span(network, row->ranks)];
    double near_s = exchange.near_bytes / nominal(&network->levels[0]);
    return 1e6 * fmax(near_s, exchange.far_bytes / nominal(far));
}

moe_cost
moe_predict_collective(const moe_candidate *candidate, const moe_device *device,
                       const moe_measured_row *row)
{
    const moe_network *network = &candidate->hw.network;

    if (!network->n_levels)
        return (moe_cost){0};
    switch (row->collective) {
    case MOE_MEASURED_DISPATCH:
    case MOE_MEASURED_COMBINE:
        return of_tokens(candidate, device, row);
    case MOE_MEASURED_DISPATCH_NOTIFY:
    case MOE_MEASURED_COMBINE_NOTIFY:
        return (moe_cost){.total_ps = moe_exchange_notify(network, row->ranks), .formula = tokens};
    default:
        return of_vector(candidate, device, row);
    }
}
