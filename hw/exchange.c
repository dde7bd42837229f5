#include "hw/exchange.h"

#include "hw/cost_private.h"

#include <math.h>
#include <string.h>

#define MAX_RANKS 1024

/* ---- how tokens spread ---- */

/* The chance that k experts of `all`, drawn without repetition, have one among `some`. */
static double
chance(int64_t all, int64_t some, int64_t k)
{
    double none = 1;

    if (some <= 0)
        return 0;
    for (int64_t i = 0; i < k && none > 0; i++)
        none *= moe_larger((double)(all - some - i), 0) / (double)(all - i);
    return 1 - none;
}

moe_spread
moe_spread_uniform(int64_t experts, int64_t top_k, int64_t ranks, int64_t local, int64_t nodes)
{
    int64_t all_nodes = (ranks + local - 1) / local;
    int64_t allowed = nodes > 0 && nodes < all_nodes ? nodes : all_nodes;
    /* Of fewer experts than ranks (nodes), each is on one of them. */
    int64_t on_rank = experts > ranks ? experts / ranks : 1;
    int64_t on_node = experts > all_nodes ? experts / all_nodes : 1, open = on_node * allowed;
    double mates = moe_smaller((double)(ranks / all_nodes), (double)on_node);
    double copies = (double)allowed * mates * chance(open, on_rank, top_k);
    double reached = (double)allowed * chance(open, on_node, top_k);

    return (moe_spread){
        .copies = copies,
        .remote_ranks = copies * (double)(ranks - 1) / (double)ranks,
        .remote_nodes = reached * (double)(all_nodes - 1) / (double)all_nodes,
        .busiest = 1,
    };
}

static void
set_bit(uint64_t *set, int64_t i)
{
    set[i / 64] |= 1ull << (i % 64);
}

static double
count_bits(const uint64_t *set, int64_t n)
{
    double count = 0;

    for (int64_t w = 0; w <= (n - 1) / 64; w++)
        count += __builtin_popcountll(set[w]);
    return count;
}

static bool
has_bit(const uint64_t *set, int64_t i)
{
    return set[i / 64] >> (i % 64) & 1;
}

moe_spread
moe_spread_count(const uint32_t *ids, size_t n, size_t k, const uint32_t *expert_rank,
                 int64_t ranks, int64_t local, int64_t self, double *counts)
{
    moe_spread sum = {.busiest = 1};
    uint64_t to[MAX_RANKS / 64], nodes[MAX_RANKS / 64];

    moe_assert(ranks <= MAX_RANKS, "%lld ranks", (long long)ranks);
    if (counts)
        memset(counts, 0, (size_t)ranks * sizeof *counts);
    for (size_t t = 0; t < n; t++) {
        memset(to, 0, sizeof to);
        memset(nodes, 0, sizeof nodes);
        for (size_t j = 0; j < k; j++) {
            int64_t rank = expert_rank[ids[t * k + j]];
            if (counts && !has_bit(to, rank))
                counts[rank]++;
            set_bit(to, rank);
            set_bit(nodes, rank / local);
        }
        double copies = count_bits(to, ranks);
        sum.copies += copies;
        sum.remote_ranks += copies - has_bit(to, self);
        sum.remote_nodes += count_bits(nodes, ranks) - has_bit(nodes, self / local);
    }
    if (!n)
        return sum;
    sum.copies /= (double)n;
    sum.remote_ranks /= (double)n;
    sum.remote_nodes /= (double)n;
    return sum;
}

/* ---- time ---- */

static double
payload(const moe_exchange *call)
{
    double bytes = call->hidden * call->bits / 8;
    return call->bits <= 8 ? bytes + 4 * call->hidden / 128 : bytes;
}

static double
fourth(double x)
{
    return x * x * x * x;
}

static double
soft_largest(double a, double b, double c)
{
    return sqrt(sqrt(fourth(a) + fourth(b) + fourth(c)));
}

static const moe_token_kernel *
kernel_of(const moe_exchange *call, int level)
{
    const moe_level *l = &call->network->levels[level];

    if (call->mode == MOE_EXCHANGE_LOW_LATENCY)
        return call->combine ? &l->low_combine : &l->low_dispatch;
    return call->combine ? &l->combine : &l->dispatch;
}

/* Busy seconds of the SMs per token and SM; the kernel's `work` above. */
static double
sm_work(const moe_exchange *call, const moe_token_kernel *k, double b, double share)
{
    double byte_s = k->sm_bytes_per_s > 0 ? 1 / k->sm_bytes_per_s : 0;
    double copies = call->spread.copies + call->spread.remote_nodes;

    return ((double)k->token_ps / 1e12 + k->extra * b * byte_s +
            copies * ((double)k->copy_ps / 1e12 + b * byte_s)) /
           share;
}

static void
normal(const moe_exchange *call, const moe_token_kernel *k, const moe_token_kernel *far,
       moe_exchange_cost *cost)
{
    double b = cost->payload_bytes, each = call->tokens / (double)call->sms;
    double chunk = far && far->chunk > 0 ? far->chunk : k->chunk;
    moe_exchange here = *call;

    if (!far)
        here.spread.remote_nodes = 0;
    double work = sm_work(&here, k, b, far && far->share > 0 ? far->share : 1);
    cost->sm_s = each * work;
    cost->first_s = moe_smaller(each, chunk) * work;
    cost->near_bytes = call->tokens * call->spread.remote_ranks * b * call->spread.busiest;
    cost->far_bytes = call->tokens * here.spread.remote_nodes * b * call->spread.busiest;
}

static void
low_latency(const moe_exchange *call, const moe_token_kernel *k, bool outer,
            moe_exchange_cost *cost)
{
    double bytes = call->tokens * (double)call->top_k * cost->payload_bytes * call->spread.busiest;
    double local = (double)call->network->levels[0].ranks, ranks = (double)call->ranks;
    int64_t rounds = (call->experts + call->sms - 1) / call->sms;
    int64_t working = (call->experts + rounds - 1) / rounds;

    cost->fixed_ps = moe_add_times(cost->fixed_ps, moe_times(k->expert_ps, (double)call->experts));
    cost->first_s = call->tokens / (double)working * (double)k->token_ps / 1e12;
    cost->near_bytes = outer ? bytes * local / ranks : bytes;
    if (outer)
        cost->far_bytes = bytes * (ranks - local) / ranks;
}

bool
moe_exchange_time(const moe_exchange *call, moe_exchange_cost *cost)
{
    const moe_network *network = call->network;
    const moe_token_kernel *k = network->n_levels ? kernel_of(call, 0) : NULL;
    int span = network->n_levels ? moe_network_span(network, call->ranks) : 0;
    const moe_token_kernel *far = span ? kernel_of(call, span) : NULL;

    *cost = (moe_exchange_cost){0};
    if (!k || k->bytes_per_s <= 0)
        return false;
    if (call->tokens <= 0 || call->ranks <= 1)
        return true;
    if (!moe_network_joins(network, call->ranks))
        return false;
    moe_assert(call->sms > 0 && call->experts > 0, "%lld SMs, %lld experts", (long long)call->sms,
               (long long)call->experts);
    cost->payload_bytes = payload(call);
    cost->fixed_ps = moe_add_times(k->base_ps, moe_times(k->hidden_ps, call->hidden));
    if (far) {
        int64_t nodes = (call->ranks - 1) / network->levels[0].ranks;
        double steps = call->mode == MOE_EXCHANGE_NORMAL ? (double)nodes : 1;
        cost->fixed_ps = moe_add_times(cost->fixed_ps, moe_times(far->base_ps, steps));
        cost->far_bytes_per_s = moe_level_rate(network, moe_network_narrowest(network, span));
    }
    cost->near_bytes_per_s = k->bytes_per_s;
    if (call->mode == MOE_EXCHANGE_LOW_LATENCY)
        low_latency(call, k, span > 0, cost);
    else
        normal(call, k, far, cost);
    cost->near_s = moe_ratio(cost->near_bytes, cost->near_bytes_per_s);
    cost->far_s = moe_ratio(cost->far_bytes, cost->far_bytes_per_s);
    double body = cost->first_s + soft_largest(cost->sm_s, cost->near_s, cost->far_s);
    cost->total_ps = moe_add_times(cost->fixed_ps, moe_picoseconds(body));
    return true;
}

int64_t
moe_exchange_notify(const moe_network *network, int64_t ranks)
{
    int span = moe_network_span(network, ranks);
    const moe_level *l = &network->levels[span];

    if (!span || !moe_network_joins(network, ranks))
        return 0;
    double nodes = (double)((ranks - 1) / network->levels[0].ranks + 1);
    return moe_add_times(l->notify_ps, moe_times(l->notify_node_ps, nodes));
}
