/* Rings, trees, switches that add, and rings within and between nodes. */
#include "hw/collective_private.h"

typedef enum protocol { LL, LL128, SIMPLE, PROTOCOLS } protocol;

static const char *const ring_names[PROTOCOLS] = {"ring, LL", "ring, LL128", "ring"};
static const char *const tree_names[PROTOCOLS] = {"tree, LL", "tree, LL128", "tree"};

static moe_protocol
protocol_of(const moe_level *level, protocol p)
{
    if (p == LL)
        return level->ll;
    if (p == LL128)
        return level->ll128;
    return (moe_protocol){level->simple.base_ps, level->simple.step_ps, level->bytes_per_s};
}

/* What the bytes through a rank's port go at when they also leave the node: each ring (and tree)
 * passes each node once, so that all of a node's ports together carry what one rank's port within
 * the node carries; the same of groups of nodes on further levels. The slowest counts. */
static double
chained_rate(const moe_collective *call, const moe_shape *s, protocol p, int *level)
{
    const moe_network *network = call->network;
    int outer = s->nodes > 1 ? moe_network_span(network, call->ranks) : 0;
    double slowest = protocol_of(&network->levels[0], p).bytes_per_s;

    *level = 0;
    for (int i = 1; i <= outer; i++) {
        const moe_level *l = &network->levels[i];
        double share = protocol_of(l, p).bytes_per_s / l->bytes_per_s;
        double rate = share * moe_level_group_rate(network, i);
        if (rate >= slowest)
            continue;
        *level = i;
        slowest = rate;
    }
    return slowest;
}

/* Steps within nodes and between them, bytes of a chain (ring or tree) of the innermost level. */
static bool
chain(const moe_collective *call, moe_collective_cost *cost, const char *name, protocol p,
      double inside, double between, double wire, double own)
{
    moe_shape s = moe_collective_shape(call);
    const moe_level *l = &call->network->levels[0];
    int level, outer = moe_network_span(call->network, call->ranks);
    moe_protocol inner = protocol_of(l, p);
    double rate = chained_rate(call, &s, p, &level);

    if (rate <= 0)
        return false;
    moe_phase *phase = moe_phase_add(cost, name, level);
    phase->base_ps = inner.base_ps;
    phase->steps = inside;
    phase->step_ps = inner.step_ps;
    phase->messages = between;
    phase->message_ps = protocol_of(&call->network->levels[outer], p).step_ps;
    phase->wire_bytes = wire;
    phase->bytes_per_s = rate;
    phase->own_bytes = own;
    phase->own_bytes_per_s = p == SIMPLE ? l->copy_bytes_per_s : inner.bytes_per_s;
    if (p == SIMPLE)
        phase->last_bytes = moe_phase_last(wire, l->depth, (double)l->chunk_bytes);
    return true;
}

static bool
ring(const moe_collective *call, moe_collective_cost *cost, protocol p)
{
    moe_shape s = moe_collective_shape(call);
    double n = (double)s.ranks, rounds = call->op == MOE_ALL_REDUCE ? 2 : 1;
    double between = rounds * (double)(s.nodes - 1);

    return chain(call, cost, ring_names[p], p, rounds * (n - 1) - between, between,
                 rounds * call->bytes * (n - 1) / n, call->bytes / n);
}

bool
moe_collective_ring(const moe_collective *call, moe_collective_cost *cost)
{
    return ring(call, cost, SIMPLE);
}

bool
moe_collective_ring_ll(const moe_collective *call, moe_collective_cost *cost)
{
    return ring(call, cost, LL);
}

bool
moe_collective_ring_ll128(const moe_collective *call, moe_collective_cost *cost)
{
    return ring(call, cost, LL128);
}

static bool
tree(const moe_collective *call, moe_collective_cost *cost, protocol p)
{
    moe_shape s = moe_collective_shape(call);
    double depth = 0;

    for (int64_t covered = 1; covered < s.nodes; covered *= 2)
        depth++;
    return chain(call, cost, tree_names[p], p, 2 * (double)(s.local - 1), 2 * depth,
                 2 * call->bytes, 0);
}

bool
moe_collective_tree(const moe_collective *call, moe_collective_cost *cost)
{
    return tree(call, cost, SIMPLE);
}

bool
moe_collective_tree_ll(const moe_collective *call, moe_collective_cost *cost)
{
    return tree(call, cost, LL);
}

bool
moe_collective_tree_ll128(const moe_collective *call, moe_collective_cost *cost)
{
    return tree(call, cost, LL128);
}

bool
moe_collective_nvls(const moe_collective *call, moe_collective_cost *cost)
{
    const moe_level *l = &call->network->levels[0];
    double n = (double)call->ranks;

    if (moe_collective_shape(call).nodes > 1 || l->nvls.bytes_per_s <= 0 || !call->addable)
        return false;
    moe_phase *phase = moe_phase_add(cost, "nvls", 0);
    phase->base_ps = l->nvls.base_ps;
    phase->steps = n;
    phase->step_ps = l->nvls.step_ps;
    phase->wire_bytes = call->bytes * (1 + 1 / n);
    phase->bytes_per_s = l->nvls.bytes_per_s;
    phase->last_bytes = moe_phase_last(phase->wire_bytes, l->depth, (double)l->chunk_bytes);
    return true;
}

/* One ring among `n` ranks of a level, each with its share of the level's ports. */
static void
ring_phase(const moe_collective *call, moe_collective_cost *cost, const char *name, int level,
           double n, double rounds, double bytes)
{
    const moe_level *l = &call->network->levels[level];
    int narrowest = moe_network_narrowest(call->network, level);
    moe_phase *phase = moe_phase_add(cost, name, narrowest);

    phase->base_ps = l->simple.base_ps;
    phase->steps = rounds * (n - 1);
    phase->step_ps = l->simple.step_ps;
    phase->wire_bytes = rounds * bytes * (n - 1) / n;
    phase->bytes_per_s = moe_level_rate(call->network, narrowest);
    phase->last_bytes = moe_phase_last(phase->wire_bytes, l->depth, (double)l->chunk_bytes);
    phase->own_bytes = bytes / n;
    phase->own_bytes_per_s = l->copy_bytes_per_s;
}

bool
moe_collective_hierarchical(const moe_collective *call, moe_collective_cost *cost)
{
    moe_shape s = moe_collective_shape(call);
    int outer = moe_network_span(call->network, call->ranks);
    double local = (double)s.local, nodes = (double)s.nodes;
    bool reduces = call->op != MOE_ALL_GATHER, gathers = call->op != MOE_REDUCE_SCATTER;

    if (s.nodes == 1 || s.ranks != s.nodes * s.local)
        return false;
    if (reduces)
        ring_phase(call, cost, "reduce-scatter within", 0, local, 1, call->bytes);
    ring_phase(call, cost, "between nodes", outer, nodes, reduces && gathers ? 2 : 1,
               call->bytes / local);
    if (gathers)
        ring_phase(call, cost, "all-gather within", 0, local, 1, call->bytes);
    return true;
}
