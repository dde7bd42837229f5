/* Each rank to each other: at once, and in two dimensions. */
#include "hw/collective_private.h"

/* The busiest port of a level. */
typedef struct load {
    double bytes;    /* in its busier direction */
    double messages; /* that one rank sends over it */
    double pair;     /* the largest message */
    double rate;     /* of the port */
} load;

static double
between(const moe_collective *call, int64_t i, int64_t j)
{
    return call->matrix[i * call->ranks + j];
}

/* Whether bytes from i to j use a port of rank r on a level; `out`: its sending side. With rails,
 * what is for another rail first goes to the node's rank on that rail. */
static bool
uses(const moe_collective *call, int level, int64_t i, int64_t j, int64_t r, bool out)
{
    const moe_network *network = call->network;
    int over = moe_network_level(network, i, j);
    int64_t local = network->levels[0].ranks;

    if (over < 0)
        return false;
    if (over == 0 || !network->levels[over].rails)
        return over == level && (out ? i : j) == r;
    int64_t via = i / local * local + j % local;
    if (level == 0)
        return via != i && (out ? i : via) == r;
    return over == level && (out ? via : j) == r;
}

static double
port_sum(const moe_collective *call, int level, int64_t r, bool out)
{
    const moe_network *network = call->network;
    bool rails = network->levels[network->n_levels - 1].rails;
    int64_t local = network->levels[0].ranks, first = rails ? r / local * local : r;
    int64_t last = rails ? first + local : r + 1;
    double sum = 0;

    /* Only bytes from (or to) the rank itself, with rails those of its node too, can pass. */
    for (int64_t a = first; a < last && a < call->ranks; a++)
        for (int64_t b = 0; b < call->ranks; b++)
            if (uses(call, level, out ? a : b, out ? b : a, r, out))
                sum += between(call, out ? a : b, out ? b : a);
    return sum;
}

/* Ports that a group shares carry its ranks' sums together. */
static double
group_sum(const moe_collective *call, int level, int64_t r, int64_t size, bool out)
{
    double sum = 0;

    for (int64_t a = r / size * size; a < (r / size + 1) * size && a < call->ranks; a++)
        sum += port_sum(call, level, a, out);
    return sum;
}

static void
count_messages(const moe_collective *call, int level, int64_t r, load *most)
{
    double messages = 0;

    for (int64_t j = 0; j < call->ranks; j++) {
        double bytes = between(call, r, j);
        if (j == r || bytes <= 0 || moe_network_level(call->network, r, j) != level)
            continue;
        messages++;
        most->pair = moe_larger(most->pair, bytes);
    }
    most->messages = moe_larger(most->messages, messages);
}

/* Bytes over the wire from rank r to the next one, on a ring whose messages take the shorter way;
 * `back`: from the next one to r. */
static double
wire_sum(const moe_collective *call, int64_t n, int64_t r, bool back)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            int64_t ahead = back ? (i - j + n) % n : (j - i + n) % n;
            int64_t at = back ? (i - 1 - r + 2 * n) % n : (r - i + n) % n;
            if (2 * ahead <= n && at < ahead)
                sum += between(call, i, j) * (2 * ahead == n ? 0.5 : 1);
        }
    return sum;
}

/* Of even traffic within one group of a level. */
typedef struct crossing {
    double peers; /* the most that one rank has outside of its group of the level below */
    double pairs; /* the most that have one end in such a group */
} crossing;

/* A group of `size` ranks by groups of `below`, the last of which may be a part. */
static void
count_crossing(int64_t size, int64_t below, crossing *most)
{
    int64_t part = size % below, smallest = part ? part : below;

    if (size <= below)
        return;
    most->peers = moe_larger(most->peers, (double)(size - smallest));
    most->pairs = moe_larger(most->pairs, (double)below * (double)(size - below));
    most->pairs = moe_larger(most->pairs, (double)smallest * (double)(size - smallest));
}

/* Of even traffic, by counts of peers: whole groups of a level are alike, the last may be a part.
 */
static load
even_load(const moe_collective *call, int level)
{
    const moe_network *network = call->network;
    const moe_level *l = &network->levels[level];
    double n = (double)call->ranks, pair = call->bytes / n,
           local = (double)network->levels[0].ranks;
    int64_t below = level ? network->levels[level - 1].ranks : 1;
    crossing most = {0, 0};

    if (call->ranks >= l->ranks)
        count_crossing(l->ranks, below, &most);
    count_crossing(call->ranks % l->ranks, below, &most);
    load port = {pair * most.peers, most.peers, most.peers > 0 ? pair : 0, l->bytes_per_s};
    if (level && l->ports)
        port.bytes = pair * most.pairs / (double)l->ports;
    if (!level && n > local && network->levels[network->n_levels - 1].rails)
        port.bytes += pair * (n - local) * (local - 1) / local; /* what is for other rails */
    if (!level && l->kind == MOE_LEVEL_RING && n <= local)      /* a wire has half of the port */
        port.bytes = 2 * pair * (call->ranks % 2 ? n * n - 1 : n * n) / 8;
    return port;
}

static load
uneven_load(const moe_collective *call, int level)
{
    const moe_level *l = &call->network->levels[level];
    int64_t below = level ? call->network->levels[level - 1].ranks : 1;
    load most = {.rate = l->bytes_per_s};

    for (int64_t r = 0; r < call->ranks; r++) {
        count_messages(call, level, r, &most);
        for (int out = 0; out < 2; out++) {
            double sum;
            if (level == 0 && l->kind == MOE_LEVEL_RING && call->ranks <= l->ranks)
                sum = 2 * wire_sum(call, call->ranks, r, out);
            else if (level && l->ports)
                sum = group_sum(call, level, r, below, out) / (double)l->ports;
            else
                sum = port_sum(call, level, r, out);
            most.bytes = moe_larger(most.bytes, sum);
        }
    }
    return most;
}

static load
busiest(const moe_collective *call, int level)
{
    const moe_level *l = &call->network->levels[level];
    load most = call->matrix ? uneven_load(call, level) : even_load(call, level);

    if (level == 0 && l->kind == MOE_LEVEL_MESH) /* a wire for each pair */
        most.bytes = moe_larger(most.bytes, most.pair * (double)(l->ranks - 1));
    return most;
}

static double
largest_own(const moe_collective *call)
{
    double most = 0;

    if (!call->matrix)
        return call->bytes / (double)call->ranks;
    for (int64_t r = 0; r < call->ranks; r++)
        most = moe_larger(most, between(call, r, r));
    return most;
}

static double
seconds(const moe_collective *call, int level, const load *port)
{
    return port->bytes / port->rate +
           port->messages * (double)call->network->levels[level].message_ps / 1e12;
}

/* Short messages go with flags beside the data, at half of the rate, each through one channel. */
static void
set_protocol(const moe_collective *call, moe_phase *phase, const load *port, double pair,
             int64_t latency)
{
    const moe_level *l = &call->network->levels[0];
    double own = largest_own(call);
    double last = moe_phase_last(port->bytes, l->pairs.depth, (double)l->pairs.chunk_bytes);
    double bulk = (double)l->pairs.bulk_ps / 1e12 + (port->bytes + last) / port->rate +
                  (l->copy_bytes_per_s > 0 ? own / l->copy_bytes_per_s : 0);

    phase->wire_bytes = port->bytes;
    if (l->pairs.small_bytes_per_s > 0) {
        double small = (double)l->pairs.small_ps / 1e12 + pair / l->pairs.small_bytes_per_s +
                       2 * port->bytes / port->rate;
        if (small < bulk) {
            phase->name = "pairs, LL";
            phase->base_ps = l->pairs.small_ps + latency;
            phase->bytes_per_s = port->rate / 2;
            phase->own_bytes = pair;
            phase->own_bytes_per_s = l->pairs.small_bytes_per_s;
            return;
        }
    }
    phase->base_ps = l->pairs.bulk_ps + latency;
    phase->bytes_per_s = port->rate;
    phase->last_bytes = last;
    phase->own_bytes = own;
    phase->own_bytes_per_s = l->copy_bytes_per_s;
}

bool
moe_collective_pairs(const moe_collective *call, moe_collective_cost *cost)
{
    int span = moe_network_span(call->network, call->ranks), level = 0;
    load most = {.rate = 1};
    double pair = 0;
    int64_t latency = 0; /* of the farthest messages, whichever port is the busiest */

    for (int l = 0; l <= span; l++) {
        load port = busiest(call, l);
        pair = moe_larger(pair, port.pair);
        if (l && port.bytes > 0)
            latency = call->network->levels[l].latency_ps;
        if (!l || seconds(call, l, &port) > seconds(call, level, &most)) {
            most = port;
            level = l;
        }
    }
    moe_phase *phase = moe_phase_add(cost, "pairs", level);
    phase->messages = most.messages;
    phase->message_ps = call->network->levels[level].message_ps;
    set_protocol(call, phase, &most, pair, latency);
    return true;
}

/* ---- two-dimensional all-to-all ---- */

/* The most bytes that a rank hands to others of its node, or to its equals of other nodes, in
 * either direction. `r` sends to the rank with local number l what its node-mates' equals get. */
static double
within(const moe_collective *call, const moe_shape *s, int64_t r, bool out)
{
    double sum = 0;

    for (int64_t a = r / s->local * s->local; a < (r / s->local + 1) * s->local; a++) {
        if (a == r)
            continue;
        for (int64_t node = 0; node < s->nodes; node++)
            sum += out ? between(call, r, node * s->local + a % s->local)
                       : between(call, a, node * s->local + r % s->local);
    }
    return sum;
}

static double
across(const moe_collective *call, const moe_shape *s, int64_t r, bool out)
{
    int64_t home = r / s->local;
    double sum = 0;

    for (int64_t node = 0; node < s->nodes; node++)
        for (int64_t l = 0; l < s->local && node != home; l++)
            sum += out ? between(call, home * s->local + l, node * s->local + r % s->local)
                       : between(call, node * s->local + l, r);
    return sum;
}

static void
stride_copy(const moe_collective *call, moe_collective_cost *cost)
{
    const moe_level *l = &call->network->levels[0];
    double most = call->bytes;

    if (l->copy_bytes_per_s <= 0)
        return;
    for (int64_t r = 0; r < call->ranks && call->matrix; r++) {
        double sum = 0;
        for (int64_t j = 0; j < call->ranks; j++)
            sum += between(call, r, j);
        most = r ? moe_larger(most, sum) : sum;
    }
    moe_phase *phase = moe_phase_add(cost, "align", 0);
    phase->own_bytes = most;
    phase->own_bytes_per_s = l->copy_bytes_per_s;
}

bool
moe_collective_2dh(const moe_collective *call, moe_collective_cost *cost)
{
    moe_shape s = moe_collective_shape(call);
    int outer = moe_network_span(call->network, call->ranks);
    const moe_level *inner_level = &call->network->levels[0];
    const moe_level *outer_level = &call->network->levels[outer];
    double inside = 0, between_nodes = 0;

    if (s.nodes == 1 || s.ranks != s.nodes * s.local)
        return false;
    if (!call->matrix) {
        double node = call->bytes / (double)s.nodes;
        inside = call->bytes * (double)(s.local - 1) / (double)s.local;
        between_nodes = node * (double)(s.nodes - 1);
    }
    for (int64_t r = 0; r < call->ranks && call->matrix; r++)
        for (int out = 0; out < 2; out++) {
            inside = moe_larger(inside, within(call, &s, r, out));
            between_nodes = moe_larger(between_nodes, across(call, &s, r, out));
        }
    stride_copy(call, cost);
    moe_phase *first = moe_phase_add(cost, "within", 0);
    first->base_ps = inner_level->pairs.bulk_ps;
    first->messages = (double)(s.local - 1);
    first->message_ps = inner_level->message_ps;
    first->wire_bytes = inside;
    first->bytes_per_s = inner_level->bytes_per_s;
    first->last_bytes =
        moe_phase_last(inside, inner_level->pairs.depth, (double)inner_level->pairs.chunk_bytes);
    stride_copy(call, cost);
    int narrowest = moe_network_narrowest(call->network, outer);
    moe_phase *second = moe_phase_add(cost, "between", narrowest);
    second->base_ps = inner_level->pairs.bulk_ps + outer_level->latency_ps;
    second->messages = (double)(s.nodes - 1);
    second->message_ps = outer_level->message_ps;
    second->wire_bytes = between_nodes;
    second->bytes_per_s = moe_level_rate(call->network, narrowest);
    second->last_bytes = moe_phase_last(between_nodes, inner_level->pairs.depth,
                                        (double)inner_level->pairs.chunk_bytes);
    return true;
}
