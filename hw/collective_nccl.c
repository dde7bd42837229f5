/* What NCCL would take: its own estimates, which are not what things take.
 *
 * Published in NVIDIA/nccl, src/graph/tuning.cc (2.19 to 2.27): microseconds to start and for each
 * step by protocol (LL, LL128, Simple) and wire; the nominal bandwidth of the rings that it finds
 * (20 of 25 GB/s for each NVLink); half of it with LL, within a node at most what the table
 * has for a generation (87.7 GB/s for A100, 141 for H100); 92 % with LL128; switches that add at
 * 85 % and by two halves. */
#include "hw/collective_private.h"

typedef struct estimate {
    const char *algorithm;
    bool tree;
    double base_us;
    double step_us[3]; /* NVLink, PCIe, between nodes */
    double share;      /* of the bandwidth */
} estimate;

enum { NVLINK, PCIE, BETWEEN };

static const estimate estimates[] = {
    {"ring-ll", false, 6.6, {0.6, 1.0, 2.7}, 0.5},
    {"ring-ll128", false, 14.0, {1.9, 2.5, 4.0}, 0.92},
    {"ring", false, 8.4, {3.4, 5.7, 14.0}, 1},
    {"tree-ll", true, 6.8, {0.6, 1.0, 5.0}, 1 / 3.8},
    {"tree-ll128", true, 14.0, {1.25, 1.9, 8.5}, 0.92 * 7 / 9},
    {"tree", true, 8.4, {4.0, 4.0, 14.0}, 0.92},
};

#define FOUND_SHARE 0.8         /* of the peak: what rings over NVLink are counted as */
#define LL_SHARE 0.3            /* of the peak: most of LL within a node, if unsaid */
#define NVLS_SHARE 0.85         /* of the bandwidth found */
#define NVLS_BASE_US 25         /* to start, whatever the ranks */
#define NVLS_CHANNELS 15.0 / 16 /* one of 16 is kept for other things */

static double
microseconds(double bytes, double bytes_per_s)
{
    return bytes / bytes_per_s * 1e6;
}

/* The bandwidth that it counts with. */
static double
found(const moe_collective *call, const moe_shape *s)
{
    const moe_network *network = call->network;
    double inner = FOUND_SHARE * network->levels[0].peak_bytes_per_s;

    for (int i = moe_network_span(network, call->ranks); i > 0; i--) {
        const moe_level *l = &network->levels[i];
        inner = moe_smaller(inner, moe_level_group_rate(network, i) / l->bytes_per_s *
                                       l->peak_bytes_per_s);
    }
    return inner;
}

static double
estimated(const moe_collective *call, const moe_shape *s, const estimate *e, double bandwidth)
{
    const moe_level *l = &call->network->levels[0];
    int wire = l->kind == MOE_LEVEL_HOST ? PCIE : NVLINK;
    double n = (double)s->ranks, rounds = call->op == MOE_ALL_REDUCE ? 2 : 1;
    double between = rounds * (double)(s->nodes - 1), inside = rounds * (n - 1) - between;
    double bytes = rounds * call->bytes * (n - 1) / n, rate = e->share * bandwidth;

    if (e->tree) {
        between = 0;
        for (int64_t covered = 1; covered < s->nodes; covered *= 2)
            between += 2;
        inside = 2 * (double)(s->local - 1);
        bytes = 2 * call->bytes;
    }
    if (e == &estimates[0] && wire == NVLINK && s->nodes == 1)
        rate = moe_smaller(rate, l->ll_most_bytes_per_s > 0 ? l->ll_most_bytes_per_s
                                                            : LL_SHARE * l->peak_bytes_per_s);
    return e->base_us + inside * e->step_us[wire] + between * e->step_us[BETWEEN] +
           microseconds(bytes, rate);
}

static bool
has(const moe_collective *call, const char *name)
{
    moe_collective_cost cost = {.n_phases = 0};
    return moe_collective_find(name)->cost(call, &cost);
}

const moe_collective_algorithm *
moe_nccl_choice(const moe_collective *call)
{
    moe_shape s = moe_collective_shape(call);
    double bandwidth = found(call, &s), n = (double)s.ranks, least = 0;
    const char *best = NULL;

    if (call->op == MOE_ALL_TO_ALL)
        return moe_collective_find("direct");
    for (size_t i = 0; i < MOE_COUNT(estimates); i++) {
        const estimate *e = &estimates[i];
        double us = estimated(call, &s, e, bandwidth);
        if ((e->tree && call->op != MOE_ALL_REDUCE) || (best && us >= least) ||
            !has(call, e->algorithm))
            continue;
        best = e->algorithm;
        least = us;
    }
    if (call->op == MOE_ALL_REDUCE && s.ranks > 2 && has(call, "nvls")) {
        double rate = 2 * NVLS_SHARE * NVLS_CHANNELS * bandwidth * n / (2 * (n - 1));
        if (NVLS_BASE_US + microseconds(call->bytes, rate) < least)
            best = "nvls";
    }
    return best ? moe_collective_find(best) : NULL;
}
