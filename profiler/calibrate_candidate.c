/* Machines whose numbers may be changed, and where those numbers are. */
#include "profiler/calibrate_private.h"

#include <string.h>

/* ---- candidates ---- */

static int
link_between(const moe_hardware *hw, int from, int to)
{
    int best = -1;
    for (int l = 0; l < hw->n_links; l++)
        if (hw->links[l].from == from && hw->links[l].to == to &&
            (best < 0 || hw->links[l].bytes_per_s > hw->links[best].bytes_per_s))
            best = l;
    return best;
}

/* The list of one library, and behind it that of another. */
static void *
joined(const void *first, size_t n, const void *second, size_t m, size_t size)
{
    char *list = g_malloc_n(n + m + 1, size);
    if (n)
        memcpy(list, first, n * size);
    if (m)
        memcpy(list + n * size, second, m * size);
    return list;
}

/* Libraries as one, whose lists can be changed: what the first has of a type comes first. */
static void
copy_kernels(moe_candidate *candidate, const moe_kernels *kernels, const moe_kernels *second)
{
    static const moe_kernels none = {0};
    const moe_kernels *a = kernels ? kernels : second,
                      *b = kernels && second && second != kernels ? second : &none;
    candidate->devices[0].kernels = NULL;
    if (!a)
        return;
    candidate->gemm = joined(a->gemm, a->n_gemm, b->gemm, b->n_gemm, sizeof *a->gemm);
    candidate->experts =
        joined(a->experts, a->n_experts, b->experts, b->n_experts, sizeof *a->experts);
    candidate->attention =
        joined(a->attention, a->n_attention, b->attention, b->n_attention, sizeof *a->attention);
    candidate->operations = joined(a->operations, a->n_operations, b->operations, b->n_operations,
                                   sizeof *a->operations);
    candidate->kernels = g_memdup2(a, sizeof *a);
    candidate->kernels->gemm = candidate->gemm;
    candidate->kernels->experts = candidate->experts;
    candidate->kernels->attention = candidate->attention;
    candidate->kernels->operations = candidate->operations;
    candidate->kernels->n_gemm += b->n_gemm;
    candidate->kernels->n_experts += b->n_experts;
    candidate->kernels->n_attention += b->n_attention;
    candidate->kernels->n_operations += b->n_operations;
    candidate->devices[0].kernels = candidate->kernels;
}

void
moe_candidate_init(moe_candidate *candidate, const moe_hardware *hw, const moe_kernels *kernels,
                   const moe_kernels *second)
{
    int near = hw->devices[0].place;
    bool is_host = hw->devices[0].kind == MOE_DEVICE_CPU;
    int host = hw->host >= 0 ? hw->devices[hw->host].place : near + !is_host;

    *candidate = (moe_candidate){.hw = *hw, .h2d = -1, .d2h = -1, .disk = -1};
    candidate->devices = g_memdup2(hw->devices, (gsize)hw->n_devices * sizeof *hw->devices);
    candidate->links = g_memdup2(hw->links, (gsize)hw->n_links * sizeof *hw->links);
    copy_kernels(candidate, kernels, second);
    candidate->call_ps = g_new0(int64_t, 2);
    for (int l = 0; l < hw->n_links; l++)
        if (candidate->links[l].wire < 0) /* nothing slows it down */
            candidate->links[l].duplex = 1;
    candidate->levels =
        g_memdup2(hw->network.levels, (gsize)hw->network.n_levels * sizeof *candidate->levels);
    candidate->engines =
        g_memdup2(hw->network.engines, (gsize)hw->network.n_engines * sizeof *candidate->engines);
    candidate->hw.network.levels = candidate->levels;
    candidate->hw.network.engines = candidate->engines;
    candidate->hw.devices = candidate->devices;
    candidate->hw.links = candidate->links;
    if (host < hw->n_places && host != near) {
        candidate->h2d = link_between(hw, host, near);
        candidate->d2h = link_between(hw, near, host);
    }
    for (int p = hw->n_places - 1; p > host && candidate->disk < 0; p--)
        candidate->disk = link_between(hw, p, host);
}

void
moe_candidate_copy(moe_candidate *to, const moe_candidate *from)
{
    const moe_kernels *kernels = from->kernels, *own = to->devices[0].kernels;
    memcpy(to->devices, from->devices, (size_t)from->hw.n_devices * sizeof *to->devices);
    to->devices[0].kernels = own;
    if (from->hw.n_links)
        memcpy(to->links, from->links, (size_t)from->hw.n_links * sizeof *to->links);
    if (from->engines)
        memcpy(to->engines, from->engines,
               (size_t)from->hw.network.n_engines * sizeof *to->engines);
    if (from->levels)
        memcpy(to->levels, from->levels, (size_t)from->hw.network.n_levels * sizeof *to->levels);
    to->bench = from->bench;
    memcpy(to->call_ps, from->call_ps, 2 * sizeof *to->call_ps);
    if (!kernels)
        return;
    if (kernels->n_gemm)
        memcpy(to->gemm, from->gemm, kernels->n_gemm * sizeof *to->gemm);
    if (kernels->n_experts)
        memcpy(to->experts, from->experts, kernels->n_experts * sizeof *to->experts);
    if (kernels->n_attention)
        memcpy(to->attention, from->attention, kernels->n_attention * sizeof *to->attention);
    if (kernels->n_operations)
        memcpy(to->operations, from->operations, kernels->n_operations * sizeof *to->operations);
}

void
moe_candidate_clear(moe_candidate *candidate)
{
    g_free(candidate->devices);
    g_free(candidate->links);
    g_free(candidate->levels);
    g_free(candidate->engines);
    g_free(candidate->gemm);
    g_free(candidate->experts);
    g_free(candidate->attention);
    g_free(candidate->operations);
    g_free(candidate->kernels);
    g_free(candidate->call_ps);
}

/* ---- numbers ---- */

static char *
place_of(const moe_tunable *t, const moe_candidate *candidate, size_t offset)
{
    if (t->of_call)
        return (char *)candidate->call_ps + offset;
    if (t->family)
        return (char *)moe_candidate_kernel(candidate, t->family, t->index) + offset;
    if (t->of_engine)
        return (char *)&candidate->engines[t->index] + offset;
    if (t->of_level)
        return (char *)&candidate->levels[t->index] + offset;
    if (t->of_link)
        return (char *)&candidate->links[t->index] + offset;
    return (char *)&candidate->devices[t->index] + offset;
}

static bool
is_whole(const moe_tunable *t)
{
    return t->number == MOE_NUMBER_TIME || t->number == MOE_NUMBER_SPAN ||
           t->number == MOE_NUMBER_WHOLE;
}

double
moe_tunable_get(const moe_tunable *t, const moe_candidate *candidate)
{
    const void *at = place_of(t, candidate, t->offset);
    if (is_whole(t))
        return (double)*(const int64_t *)at;
    return *(const double *)at;
}

void
moe_tunable_set(const moe_tunable *t, moe_candidate *candidate, double value)
{
    void *at = place_of(t, candidate, t->offset);
    if (is_whole(t))
        *(int64_t *)at = (int64_t)(value + 0.5);
    else
        *(double *)at = value;
}

#define D(field) offsetof(moe_device, field)
#define L(field) offsetof(moe_hw_link, field)
#define US 1e6

static const struct {
    const char *name;
    int kind;
    moe_number number;
    size_t offset, other;
    double low, high, start;
} of_devices[] = {
    {"launch", MOE_MEASURED_LAUNCH, MOE_NUMBER_TIME, D(launch_ps), 0, 0, 1e3 * US, 0},
    {"launch_in_graph", MOE_MEASURED_LAUNCH, MOE_NUMBER_TIME, D(graph_launch_ps), D(launch_ps), 0,
     1e3 * US, 0},
    {"stream_efficiency", MOE_MEASURED_GEMM, MOE_NUMBER_SHARE, D(gemm.stream_efficiency), 0, 0.01,
     1, 0.8},
    {"gemm_efficiency", MOE_MEASURED_GEMM, MOE_NUMBER_SHARE, D(gemm.efficiency), 0, 0.01, 1, 0.7},
    {"half_rows", MOE_MEASURED_GEMM, MOE_NUMBER_REAL, D(gemm.half_rows), 0, 0.01, 1e5, 64},
    {"gemm_fixed", MOE_MEASURED_GEMM, MOE_NUMBER_TIME, D(gemm.fixed_ps), 0, 0, 1e4 * US, 0},
    {"expert_stream_efficiency", MOE_MEASURED_EXPERTS, MOE_NUMBER_SHARE,
     D(experts.stream_efficiency), D(gemm.stream_efficiency), 0.01, 1, 0.8},
    {"expert_pass_efficiency", MOE_MEASURED_EXPERTS, MOE_NUMBER_SHARE, D(experts.pass_efficiency),
     0, 0.01, 1, 0.5},
    {"expert_efficiency", MOE_MEASURED_EXPERTS, MOE_NUMBER_SHARE, D(experts.efficiency),
     D(gemm.efficiency), 0.01, 1, 0.5},
    {"expert_half_rows", MOE_MEASURED_EXPERTS, MOE_NUMBER_REAL, D(experts.half_rows),
     D(gemm.half_rows), 0.01, 1e5, 64},
    {"expert_fixed", MOE_MEASURED_EXPERTS, MOE_NUMBER_TIME, D(experts.fixed_ps), 0, 0, 1e4 * US, 0},
    {"per_expert", MOE_MEASURED_EXPERTS, MOE_NUMBER_TIME, D(experts.expert_ps), 0, 0, 1e3 * US, 0},
    {"tile", MOE_MEASURED_EXPERTS, MOE_NUMBER_WHOLE, D(experts.tile), 0, 1, 128, 1},
    {"attention_stream_efficiency", MOE_MEASURED_ATTENTION, MOE_NUMBER_SHARE,
     D(attention.stream_efficiency), D(gemm.stream_efficiency), 0.01, 1, 0.8},
    {"attention_pass_efficiency", MOE_MEASURED_ATTENTION, MOE_NUMBER_SHARE,
     D(attention.pass_efficiency), 0, 0.01, 1, 0.5},
    {"attention_efficiency", MOE_MEASURED_ATTENTION, MOE_NUMBER_SHARE, D(attention.efficiency),
     D(gemm.efficiency), 0.01, 1, 0.6},
    {"attention_half_keys", MOE_MEASURED_ATTENTION, MOE_NUMBER_REAL, D(attention.half_keys), 0,
     0.01, 1e5, 512},
    {"attention_fixed", MOE_MEASURED_ATTENTION, MOE_NUMBER_TIME, D(attention.fixed_ps), 0, 0,
     1e4 * US, 0},
    {"per_head", MOE_MEASURED_ATTENTION, MOE_NUMBER_TIME, D(attention.head_ps), 0, 0, 100 * US, 0},
};

static const struct {
    const char *name;
    moe_number number;
    size_t offset, other;
    double low, high, start;
} of_links[] = {
    {"rate", MOE_NUMBER_RATE, L(bytes_per_s), 0, 1e6, 1e13, 0},
    {"latency", MOE_NUMBER_TIME, L(latency_ps), 0, 0, 1e5 * US, 0},
    {"pageable", MOE_NUMBER_RATE, L(pageable_bytes_per_s), L(bytes_per_s), 1e6, 1e13, 5e9},
    {"pageable_latency", MOE_NUMBER_TIME, L(pageable_latency_ps), L(latency_ps), 0, 1e5 * US, 0},
    {"duplex", MOE_NUMBER_SHARE, L(duplex), 0, 0.5, 1, 0.9},
    {"channel", MOE_NUMBER_RATE, L(channel_bytes_per_s), 0, 1e5, 1e13, 1e9},
    {"iops", MOE_NUMBER_REAL, L(iops), 0, 1, 1e9, 1e5},
};

/* The last ones are of links whose rows say their requests: of a disk. */
enum { OF_REQUESTS = 2 };

static void
list_link(GArray *tunable, int link, bool requests)
{
    size_t n = MOE_COUNT(of_links) - (requests ? 0 : OF_REQUESTS);
    for (size_t i = 0; i < n && link >= 0; i++) {
        moe_tunable t = {.key = g_strdup_printf("links.%d.%s", link, of_links[i].name),
                         .kind = MOE_MEASURED_COPY,
                         .number = of_links[i].number,
                         .of_link = true,
                         .index = link,
                         .offset = of_links[i].offset,
                         .other = of_links[i].other,
                         .low = of_links[i].low,
                         .high = of_links[i].high,
                         .start = of_links[i].start};
        g_array_append_val(tunable, t);
    }
}

static void
list_call(GArray *tunable, const char *key, size_t offset)
{
    moe_tunable t = {.key = g_strdup(key),
                     .kind = MOE_MEASURED_LAUNCH,
                     .number = MOE_NUMBER_TIME,
                     .of_call = true,
                     .offset = offset,
                     .high = 1e3 * US};
    g_array_append_val(tunable, t);
}

void
moe_tunable_list(GArray *tunable, const moe_candidate *candidate)
{
    list_call(tunable, "measuring.call", 0);
    list_call(tunable, "measuring.graph", sizeof(int64_t));
    for (size_t i = 0; i < MOE_COUNT(of_devices); i++) {
        moe_tunable t = {.key = g_strdup_printf("devices.0.%s", of_devices[i].name),
                         .kind = of_devices[i].kind,
                         .number = of_devices[i].number,
                         .offset = of_devices[i].offset,
                         .other = of_devices[i].other,
                         .low = of_devices[i].low,
                         .high = of_devices[i].high,
                         .start = of_devices[i].start};
        g_array_append_val(tunable, t);
    }
    list_link(tunable, candidate->h2d, false);
    list_link(tunable, candidate->d2h, false);
    list_link(tunable, candidate->disk, true);
    moe_tunable_list_network(tunable, candidate);
    moe_tunable_list_kernels(tunable, candidate);
}
