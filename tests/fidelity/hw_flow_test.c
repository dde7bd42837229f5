/* All-to-all twice: by the busiest port (hw/collective.h), and as fluid flows over a link for each
 * direction of each port (sim/core/flow.h). On even traffic both agree; on any, flows are never
 * faster than the busiest port, and how much slower is what the closed form leaves out. */
#include "hw/collective.h"
#include "sim/base/random.h"
#include "sim/core/flow.h"
#include "tests/test.h"

#include <math.h>

#define MOST 64

static moe_level levels[2];
static moe_network network = {2, 0, levels, NULL};

static void
set_up(int64_t local, int64_t ranks, int64_t ports, bool rails)
{
    levels[0] = (moe_level){
        .name = "nvlink", .ranks = local, .peak_bytes_per_s = 450e9, .bytes_per_s = 360e9};
    levels[1] = (moe_level){.name = "ib",
                            .ranks = ranks > local ? ranks : 2 * local,
                            .ports = ports,
                            .rails = rails,
                            .peak_bytes_per_s = 50e9,
                            .bytes_per_s = 48.5e9};
}

/* Links: near out, near in, far out, far in, of each rank (of each node, where NICs are shared). */
static void
add_links(moe_flows *flows, int64_t n)
{
    int64_t local = levels[0].ranks, ports = levels[1].ports;
    for (int64_t i = 0; i < 2 * n; i++)
        moe_flow_add_link(flows, levels[0].bytes_per_s);
    for (int64_t i = 0; i < 2 * n; i++)
        moe_flow_add_link(flows, levels[1].bytes_per_s * (double)(ports ? ports : 1));
    (void)local;
}

/* The links of what goes from i to j, as many as returned. */
static size_t
path(int64_t n, int64_t i, int64_t j, uint32_t *links)
{
    int64_t local = levels[0].ranks, via = i;
    size_t count = 0;

    if (i / local == j / local) {
        links[count++] = (uint32_t)i;
        links[count++] = (uint32_t)(n + j);
        return count;
    }
    if (levels[1].rails)
        via = i / local * local + j % local;
    if (via != i) {
        links[count++] = (uint32_t)i;
        links[count++] = (uint32_t)(n + via);
    }
    links[count++] = (uint32_t)(2 * n + (levels[1].ports ? via / local : via));
    links[count++] = (uint32_t)(3 * n + (levels[1].ports ? j / local : j));
    return count;
}

static void
landed(void *context, void *owner)
{
}

static double
by_flows(const double *matrix, int64_t n)
{
    moe_flows *flows = moe_flows_new();
    moe_time now = 0;

    add_links(flows, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            uint32_t links[4];
            if (i == j || matrix[i * n + j] <= 0)
                continue;
            uint32_t p = moe_flow_add_path(flows, links, path(n, i, j, links), 0);
            moe_flow_start(flows, p, matrix[i * n + j], 0, NULL, 0);
        }
    for (moe_time next; (next = moe_flow_solve(flows, now)) != MOE_TIME_NEVER;) {
        now = next;
        moe_flow_land(flows, now, landed, NULL);
    }
    moe_flows_free(flows);
    return (double)now / 1e12;
}

static double
by_ports(const double *matrix, int64_t n)
{
    moe_collective call = {&network, MOE_ALL_TO_ALL, n, 0, matrix, NULL, true};
    moe_collective_cost cost;

    CU_ASSERT_TRUE_FATAL(moe_collective_time(&call, moe_collective_find("direct"), &cost));
    return (double)moe_collective_floor(&cost, NULL) / 1e12;
}

static const struct {
    const char *name;
    int64_t local, ranks, ports;
    bool rails;
} machines[] = {
    {"a switch of 8", 8, 8, 0, false},        {"a switch of 64", 64, 64, 0, false},
    {"4 nodes, a NIC each", 8, 32, 0, false}, {"4 nodes on rails", 8, 32, 0, true},
    {"4 nodes of 2 NICs", 8, 32, 2, false},
};

static void
even_traffic(void)
{
    for (size_t m = 0; m < MOE_COUNT(machines); m++) {
        int64_t n = machines[m].ranks;
        double matrix[MOST * MOST];
        set_up(machines[m].local, n, machines[m].ports, machines[m].rails);
        for (int64_t i = 0; i < n * n; i++)
            matrix[i] = 1048576;
        double ports = by_ports(matrix, n), flows = by_flows(matrix, n);
        printf("\n    %-22s ports %9.3f us, flows %9.3f us", machines[m].name, ports * 1e6,
               flows * 1e6);
        MOE_CHECK(fabs(flows / ports - 1) < 1e-6, "%s: %g, %g", machines[m].name, ports, flows);
    }
    printf("\n");
}

/* Random traffic with a favourite: mean and largest of what flows take longer. */
static void
skewed_traffic(void)
{
    for (size_t m = 0; m < MOE_COUNT(machines); m++) {
        int64_t n = machines[m].ranks;
        double matrix[MOST * MOST], sum = 0, most = 0;
        int runs = 40;
        set_up(machines[m].local, n, machines[m].ports, machines[m].rails);
        for (int run = 0; run < runs; run++) {
            moe_stream s = moe_stream_new(6, "skewed", m * 100 + (uint64_t)run);
            for (int64_t i = 0; i < n * n; i++) {
                double x = moe_stream_unit(&s);
                matrix[i] = 1e6 * x * x * x * (i % n % 8 == 3 ? 4 : 1);
            }
            double ports = by_ports(matrix, n), flows = by_flows(matrix, n);
            MOE_CHECK(flows >= ports * (1 - 1e-9), "%s, run %d: flows %g, ports %g",
                      machines[m].name, run, flows, ports);
            sum += flows / ports - 1;
            most = fmax(most, flows / ports - 1);
        }
        printf("\n    %-22s flows take %.2f %% longer, at most %.2f %%", machines[m].name,
               100 * sum / runs, 100 * most);
        MOE_CHECK(most < 0.5, "%s: %g", machines[m].name, most);
    }
    printf("\n");
}

MOE_TESTS({"even traffic", even_traffic}, {"skewed traffic", skewed_traffic})
