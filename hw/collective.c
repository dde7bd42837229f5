/* The table of algorithms; phases to times and to text. */
#include "hw/collective_private.h"

#include <string.h>

#define A2A (1u << MOE_ALL_TO_ALL)
#define AG (1u << MOE_ALL_GATHER)
#define RS (1u << MOE_REDUCE_SCATTER)
#define AR (1u << MOE_ALL_REDUCE)

const moe_collective_algorithm moe_collective_algorithms[] = {
    {"auto", "What NCCL would take.", A2A | AG | RS | AR, moe_collective_auto},
    {"direct", "Each rank to each other, at once.", A2A | AG | RS, moe_collective_pairs},
    {"ring", "Neighbour to neighbour, by pieces.", AG | RS | AR, moe_collective_ring},
    {"ring-ll", "A ring whose stores carry a flag in every 8 bytes.", AG | RS | AR,
     moe_collective_ring_ll},
    {"ring-ll128", "A ring whose stores carry a flag in every 128 bytes.", AG | RS | AR,
     moe_collective_ring_ll128},
    {"tree", "Two trees over the nodes, a chain within each.", AR, moe_collective_tree},
    {"tree-ll", "Trees whose stores carry a flag in every 8 bytes.", AR, moe_collective_tree_ll},
    {"tree-ll128", "Trees whose stores carry a flag in every 128 bytes.", AR,
     moe_collective_tree_ll128},
    {"nvls", "Added and spread by the switch.", AR, moe_collective_nvls},
    {"hierarchical", "Within the node, then between nodes, then within.", AG | RS | AR,
     moe_collective_hierarchical},
    {"2dh", "Within the node by local rank, then between equal local ranks.", A2A,
     moe_collective_2dh},
    {"engine", "The serving engine's own kernel, reading its peers' memory.", AR,
     moe_collective_engine},
};
const size_t moe_collective_n_algorithms = MOE_COUNT(moe_collective_algorithms);

const moe_collective_algorithm *
moe_collective_find(const char *name)
{
    for (size_t i = 0; i < moe_collective_n_algorithms; i++)
        if (!strcmp(moe_collective_algorithms[i].name, name))
            return &moe_collective_algorithms[i];
    return NULL;
}

const char *
moe_collective_op_name(int op)
{
    static const char *const names[] = {"all-to-all", "all-gather", "reduce-scatter", "all-reduce"};
    return names[op];
}

moe_phase *
moe_phase_add(moe_collective_cost *cost, const char *name, int level)
{
    moe_assert(cost->n_phases < MOE_MAX_PHASES, "%d phases", cost->n_phases);
    moe_phase *phase = &cost->phases[cost->n_phases++];
    *phase = (moe_phase){.name = name, .level = level};
    return phase;
}

double
moe_phase_last(double bytes, double depth, double chunk)
{
    return depth > 0 ? moe_smaller(bytes / depth, chunk) : 0;
}

static void
time_phase(moe_phase *p)
{
    double seconds = moe_ratio(p->wire_bytes + p->last_bytes, p->bytes_per_s);

    if (p->own_bytes_per_s > 0)
        seconds += p->own_bytes / p->own_bytes_per_s;
    p->time_ps = moe_add_times(p->base_ps, moe_picoseconds(p->steps * (double)p->step_ps / 1e12));
    p->time_ps =
        moe_add_times(p->time_ps, moe_picoseconds(p->messages * (double)p->message_ps / 1e12));
    p->time_ps = moe_add_times(p->time_ps, moe_picoseconds(seconds));
}

bool
moe_collective_time(const moe_collective *call, const moe_collective_algorithm *algorithm,
                    moe_collective_cost *cost)
{
    *cost = (moe_collective_cost){.algorithm = algorithm};
    if (call->ranks <= 1)
        return true;
    if (!moe_network_joins(call->network, call->ranks) || !(algorithm->ops & 1u << call->op) ||
        !algorithm->cost(call, cost)) {
        cost->n_phases = 0;
        return false;
    }
    for (int i = 0; i < cost->n_phases; i++) {
        time_phase(&cost->phases[i]);
        cost->total_ps = moe_add_times(cost->total_ps, cost->phases[i].time_ps);
    }
    return true;
}

bool
moe_collective_auto(const moe_collective *call, moe_collective_cost *cost)
{
    cost->algorithm = moe_nccl_choice(call);
    return cost->algorithm && cost->algorithm->cost(call, cost);
}

/* Of a phase's port; protocols that send flags, too, have the whole of it. */
static double
peak_rate(const moe_phase *p, const moe_network *network)
{
    const moe_level *l = &network->levels[p->level];

    return moe_larger(p->bytes_per_s, moe_level_rate(network, p->level)) *
           moe_larger(1, moe_ratio(l->peak_bytes_per_s, l->bytes_per_s));
}

int64_t
moe_collective_floor(const moe_collective_cost *cost, const moe_network *nominal)
{
    double longest = 0;

    for (int i = 0; i < cost->n_phases; i++) {
        const moe_phase *p = &cost->phases[i];
        double rate = nominal ? peak_rate(p, nominal) : p->bytes_per_s;
        longest = moe_larger(longest, moe_ratio(p->wire_bytes, rate));
    }
    return moe_times((int64_t)1e12, longest);
}

/* "470 MB" with three digits. */
static void
append_si(GString *out, const char *before, double value, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
    char number[48];
    size_t i = 0;

    for (; value >= 999.5 && i + 1 < MOE_COUNT(prefixes); i++)
        value /= 1000;
    g_ascii_formatd(number, sizeof number, "%.3g", value);
    g_string_append_printf(out, "%s%s %s%s", before, number, prefixes[i], unit);
}

static void
append_times(GString *out, double n, int64_t ps)
{
    if (n <= 0 || ps <= 0)
        return;
    g_autofree char *each = moe_format_time(ps);
    g_string_append_printf(out, " + %.0f x %s", n, each);
}

static void
explain_phase(const moe_phase *p, GString *out)
{
    g_autofree char *base = moe_format_time(p->base_ps);

    g_string_append_printf(out, "%s: %s", p->name, base);
    append_times(out, p->steps, p->step_ps);
    append_times(out, p->messages, p->message_ps);
    if (p->wire_bytes > 0) {
        append_si(out, p->last_bytes > 0 ? " + (" : " + ", p->wire_bytes, "B");
        if (p->last_bytes > 0)
            append_si(out, " + ", p->last_bytes, "B)");
        append_si(out, " / ", p->bytes_per_s, "B/s");
    }
    if (p->own_bytes > 0 && p->own_bytes_per_s > 0) {
        append_si(out, " + ", p->own_bytes, "B");
        append_si(out, " / ", p->own_bytes_per_s, "B/s");
    }
}

void
moe_collective_explain(const moe_collective_cost *cost, GString *out)
{
    g_autofree char *total = moe_format_time(cost->total_ps);

    g_string_append_printf(out, "%s, ", cost->algorithm->name);
    for (int i = 0; i < cost->n_phases; i++) {
        if (i)
            g_string_append(out, "; ");
        explain_phase(&cost->phases[i], out);
    }
    g_string_append_printf(out, " = %s", total);
}
