/* The numbers of a network's levels, and which rows say something about them. */
#include "profiler/calibrate_private.h"

#include <string.h>

#define N(field) offsetof(moe_level, field)
#define US 1e6
#define GBS 1e9

/* `within`: of the innermost level; else of the outermost, where there are several. Rates of copies
 * within memory may be above the wire's. */
static const struct {
    const char *name;
    bool within;
    moe_number number;
    size_t offset;
    double low, high, start;
} numbers[] = {
    {"ll.base", true, MOE_NUMBER_TIME, N(ll.base_ps), 0, 1e3 * US, 5 * US},
    {"ll.step", true, MOE_NUMBER_TIME, N(ll.step_ps), 0, 100 * US, 1 * US},
    {"ll.rate", true, MOE_NUMBER_RATE, N(ll.bytes_per_s), 1e6, 1e13, 50 * GBS},
    {"ll128.base", true, MOE_NUMBER_TIME, N(ll128.base_ps), 0, 1e3 * US, 10 * US},
    {"ll128.rate", true, MOE_NUMBER_RATE, N(ll128.bytes_per_s), 1e6, 1e13, 100 * GBS},
    {"simple.base", true, MOE_NUMBER_TIME, N(simple.base_ps), 0, 1e3 * US, 15 * US},
    {"simple.step", true, MOE_NUMBER_TIME, N(simple.step_ps), 0, 100 * US, 3 * US},
    {"rate", true, MOE_NUMBER_RATE, N(bytes_per_s), 1e6, 1e13, 100 * GBS},
    {"copy", true, MOE_NUMBER_RATE, N(copy_bytes_per_s), 1e6, 1e14, 500 * GBS},
    {"chunk", true, MOE_NUMBER_WHOLE, N(chunk_bytes), 1e3, 1e9, 4e6},
    {"depth", true, MOE_NUMBER_REAL, N(depth), 1, 100, 3},
    {"nvls.step", true, MOE_NUMBER_TIME, N(nvls.step_ps), 0, 100 * US, 2 * US},
    {"nvls.rate", true, MOE_NUMBER_RATE, N(nvls.bytes_per_s), 1e6, 1e13, 100 * GBS},
    {"pairs.small", true, MOE_NUMBER_TIME, N(pairs.small_ps), 0, 1e3 * US, 8 * US},
    {"pairs.small_rate", true, MOE_NUMBER_RATE, N(pairs.small_bytes_per_s), 1e6, 1e13, 5 * GBS},
    {"pairs.bulk", true, MOE_NUMBER_TIME, N(pairs.bulk_ps), 0, 1e3 * US, 14 * US},
    {"pairs.chunk", true, MOE_NUMBER_WHOLE, N(pairs.chunk_bytes), 1e3, 1e9, 4e6},
    {"pairs.depth", true, MOE_NUMBER_REAL, N(pairs.depth), 1, 100, 3},
#define TOKENS(k, field)                                                                           \
    {k ".base", true, MOE_NUMBER_TIME, N(field.base_ps), 0, 1e4 * US, 10 * US},                    \
        {k ".hidden", true, MOE_NUMBER_SPAN, N(field.hidden_ps), 1, 1e6, 200},                     \
        {k ".token", true, MOE_NUMBER_SPAN, N(field.token_ps), 1, 1e9, 1e5},                       \
    {                                                                                              \
        k ".rate", true, MOE_NUMBER_RATE, N(field.bytes_per_s), 1e6, 1e13, 100 * GBS               \
    }
#define NORMAL(k, field)                                                                           \
    TOKENS(k, field), {k ".each", true, MOE_NUMBER_SPAN, N(field.copy_ps), 1, 1e9, 5e4},           \
        {k ".sm_rate", true, MOE_NUMBER_RATE, N(field.sm_bytes_per_s), 1e6, 1e13, 30 * GBS},       \
        {k ".extra", true, MOE_NUMBER_REAL, N(field.extra), 0, 100, 1},                            \
        {k ".chunk", true, MOE_NUMBER_REAL, N(field.chunk), 0, 1e4, 3},                            \
        {k ".base", false, MOE_NUMBER_TIME, N(field.base_ps), 0, 1e4 * US, 5 * US},                \
        {k ".chunk", false, MOE_NUMBER_REAL, N(field.chunk), 0.01, 1e4, 3},                        \
    {                                                                                              \
        k ".share", false, MOE_NUMBER_SHARE, N(field.share), 0.01, 1, 0.7                          \
    }
#define LOW(k, field)                                                                              \
    TOKENS(k, field), {k ".expert", true, MOE_NUMBER_SPAN, N(field.expert_ps), 1, 1e9, 1e4},       \
    {                                                                                              \
        k ".base", false, MOE_NUMBER_TIME, N(field.base_ps), 0, 1e4 * US, 5 * US                   \
    }
    NORMAL("dispatch", dispatch),
    NORMAL("combine", combine),
    LOW("low_dispatch", low_dispatch),
    LOW("low_combine", low_combine),
    {"rate", false, MOE_NUMBER_RATE, N(bytes_per_s), 1e6, 1e13, 20 * GBS},
    {"notify", false, MOE_NUMBER_TIME, N(notify_ps), 0, 1e4 * US, 10 * US},
    {"notify_node", false, MOE_NUMBER_TIME, N(notify_node_ps), 0, 1e4 * US, 10 * US},
};

#define G(field) offsetof(moe_engine, field)
static const struct {
    const char *name;
    moe_number number;
    size_t offset;
    double low, high, start;
} of_engines[] = {
    {"base", MOE_NUMBER_TIME, G(base_ps), 0, 1e3 * US, 4 * US},
    {"step", MOE_NUMBER_TIME, G(step_ps), 0, 100 * US, 1 * US},
    {"rate", MOE_NUMBER_RATE, G(bytes_per_s), 1e6, 1e13, 100 * GBS},
    {"nvls", MOE_NUMBER_RATE, G(nvls_bytes_per_s), 1e6, 1e13, 100 * GBS},
    {"host", MOE_NUMBER_TIME, G(host_ps), 0, 1e4 * US, 20 * US},
};

static void
list_engine(GArray *tunable, int engine)
{
    for (size_t i = 0; i < MOE_COUNT(of_engines); i++) {
        moe_tunable t = {.key = g_strdup_printf("engines.%d.%s", engine, of_engines[i].name),
                         .kind = MOE_MEASURED_COLLECTIVE,
                         .number = of_engines[i].number,
                         .of_engine = true,
                         .index = engine,
                         .offset = of_engines[i].offset,
                         .low = of_engines[i].low,
                         .high = of_engines[i].high,
                         .start = of_engines[i].start};
        g_array_append_val(tunable, t);
    }
}

void
moe_tunable_list_network(GArray *tunable, const moe_candidate *candidate)
{
    int levels = candidate->hw.network.n_levels;

    for (size_t i = 0; i < MOE_COUNT(numbers) && levels; i++) {
        int level = numbers[i].within ? 0 : levels - 1;
        if (!numbers[i].within && levels < 2)
            continue;
        moe_tunable t = {.key = g_strdup_printf("network.%d.%s", level, numbers[i].name),
                         .kind = MOE_MEASURED_COLLECTIVE,
                         .number = numbers[i].number,
                         .of_level = true,
                         .index = level,
                         .offset = numbers[i].offset,
                         .low = numbers[i].low,
                         .high = numbers[i].high,
                         .start = numbers[i].start};
        g_array_append_val(tunable, t);
    }
    for (int e = 0; e < candidate->hw.network.n_engines; e++)
        list_engine(tunable, e);
}

/* ---- which rows ---- */

static bool
goes(const moe_candidate *machine, const moe_measured_row *row, const char *way)
{
    const char *name = moe_predict_way(machine, row);
    return name && g_str_has_prefix(name, way) && row->nodes <= 1;
}

static bool
by_ll(const moe_candidate *machine, const moe_measured_row *row, int part)
{
    return goes(machine, row, "ring, LL") && !goes(machine, row, "ring, LL128");
}

static bool
by_ll128(const moe_candidate *machine, const moe_measured_row *row, int part)
{
    return goes(machine, row, "ring, LL128");
}

static bool
by_ring(const moe_candidate *machine, const moe_measured_row *row, int part)
{
    return goes(machine, row, "ring") && !goes(machine, row, "ring, ");
}

static bool
by_switch(const moe_candidate *machine, const moe_measured_row *row, int part)
{
    return goes(machine, row, "nvls") && strcmp(row->algorithm, "custom");
}

static bool
by_pairs(const moe_candidate *machine, const moe_measured_row *row, int part)
{
    return goes(machine, row, "pairs");
}

static bool
by_engine(const moe_candidate *machine, const moe_measured_row *row, int part, const char *way)
{
    const moe_network *network = &machine->hw.network;
    return goes(machine, row, way) &&
           moe_network_engine(network, row->framework, row->version) == &network->engines[part];
}

static bool
by_shots(const moe_candidate *machine, const moe_measured_row *row, int part)
{
    return row->graph && (by_engine(machine, row, part, "one shot") ||
                          by_engine(machine, row, part, "two shots"));
}

static bool
by_switched_shot(const moe_candidate *machine, const moe_measured_row *row, int part)
{
    return row->graph && by_engine(machine, row, part, "shot by the switch");
}

static bool
by_eager_shots(const moe_candidate *machine, const moe_measured_row *row, int part)
{
    return !row->graph && (by_engine(machine, row, part, "one shot") ||
                           by_engine(machine, row, part, "two shots"));
}

static bool
is_exchange(const moe_measured_row *row, int collective, const char *algorithm, bool nodes)
{
    return row->collective == collective && !strcmp(row->algorithm, algorithm) &&
           nodes == (row->nodes > 1);
}

#define EXCHANGE(name, collective, algorithm, nodes)                                               \
    static bool name(const moe_candidate *machine, const moe_measured_row *row, int part)          \
    {                                                                                              \
        return is_exchange(row, collective, algorithm, nodes);                                     \
    }
EXCHANGE(dispatches, MOE_MEASURED_DISPATCH, "deepep_normal", false)
EXCHANGE(combines, MOE_MEASURED_COMBINE, "deepep_normal", false)
EXCHANGE(low_dispatches, MOE_MEASURED_DISPATCH, "deepep_low_latency", false)
EXCHANGE(low_combines, MOE_MEASURED_COMBINE, "deepep_low_latency", false)
EXCHANGE(far_dispatches, MOE_MEASURED_DISPATCH, "deepep_normal", true)
EXCHANGE(far_combines, MOE_MEASURED_COMBINE, "deepep_normal", true)
EXCHANGE(far_low_dispatches, MOE_MEASURED_DISPATCH, "deepep_low_latency", true)
EXCHANGE(far_low_combines, MOE_MEASURED_COMBINE, "deepep_low_latency", true)
EXCHANGE(notifies, MOE_MEASURED_DISPATCH_NOTIFY, "deepep_normal", true)

#define C MOE_MEASURED_COLLECTIVE
const moe_network_plan moe_network_plans[] = {
    {MOE_PLAN_INNER, {C, by_ll, {"ll.base", "ll.step", "ll.rate"}, "network"}},
    {MOE_PLAN_INNER, {C, by_ll128, {"ll128.base", "ll128.rate"}, "network"}},
    {MOE_PLAN_INNER,
     {C, by_ring, {"simple.base", "simple.step", "rate", "copy", "chunk", "depth"}, "network"}},
    {MOE_PLAN_INNER, {C, by_switch, {"nvls.step", "nvls.rate"}, "network"}},
    {MOE_PLAN_INNER,
     {C,
      by_pairs,
      {"pairs.small", "pairs.small_rate", "pairs.bulk", "pairs.chunk", "pairs.depth"},
      "network"}},
    {MOE_PLAN_ENGINES, {C, by_shots, {"base", "step", "rate"}, "engines"}},
    {MOE_PLAN_ENGINES, {C, by_switched_shot, {"nvls"}, "engines"}},
    {MOE_PLAN_ENGINES, {C, by_eager_shots, {"host"}, "engines"}},
    {MOE_PLAN_INNER,
     {C,
      dispatches,
      {"dispatch.base", "dispatch.hidden", "dispatch.token", "dispatch.each", "dispatch.sm_rate",
       "dispatch.extra", "dispatch.chunk", "dispatch.rate"},
      "network"}},
    {MOE_PLAN_INNER,
     {C,
      combines,
      {"combine.base", "combine.hidden", "combine.token", "combine.each", "combine.sm_rate",
       "combine.extra", "combine.chunk", "combine.rate"},
      "network"}},
    {MOE_PLAN_INNER,
     {C,
      low_dispatches,
      {"low_dispatch.base", "low_dispatch.hidden", "low_dispatch.expert", "low_dispatch.token",
       "low_dispatch.rate"},
      "network"}},
    {MOE_PLAN_INNER,
     {C,
      low_combines,
      {"low_combine.base", "low_combine.hidden", "low_combine.expert", "low_combine.token",
       "low_combine.rate"},
      "network"}},
    {MOE_PLAN_OUTER, {C, far_low_dispatches, {"low_dispatch.base", "rate"}, "network"}},
    {MOE_PLAN_OUTER, {C, far_low_combines, {"low_combine.base"}, "network"}},
    {MOE_PLAN_OUTER,
     {C, far_dispatches, {"dispatch.base", "dispatch.chunk", "dispatch.share"}, "network"}},
    {MOE_PLAN_OUTER,
     {C, far_combines, {"combine.base", "combine.chunk", "combine.share"}, "network"}},
    {MOE_PLAN_OUTER, {C, notifies, {"notify", "notify_node"}, "network"}},
};
const size_t moe_n_network_plans = MOE_COUNT(moe_network_plans);
