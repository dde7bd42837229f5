/* The flow network against an independent max-min solver (SimGrid 3.32, pure max-min) on the
 * all-to-all cases of the project's reference table, and against cases solved by hand. */
#include "sim/core/flow.h"

#include "tests/test.h"

#include <math.h>

#define HOSTS 64

typedef enum topology { STAR, SHARED_NIC, RAILS } topology;

typedef struct all_to_all {
    moe_flows *flows;
    moe_time now;
    moe_time finish[HOSTS * HOSTS];
} all_to_all;

static uint64_t
hash(uint64_t i, uint64_t j)
{
    uint64_t z = (i * 65536 + j + 1) + 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static double
size(int distribution, uint32_t i, uint32_t j)
{
    uint32_t skew = j % 8 == 3 ? 4 : 1;
    if (distribution == 0)
        return 1048576;
    return (double)(65536 * (1 + hash(i, j) % 31) * skew);
}

static void
add_links(moe_flows *flows, uint32_t n, double rate)
{
    for (uint32_t i = 0; i < n; i++)
        moe_flow_add_link(flows, rate);
}

static void
build(moe_flows *flows, topology kind)
{
    uint32_t out = 0, in = HOSTS, second_out = 2 * HOSTS, second_in, rail;
    add_links(flows, 2 * HOSTS, kind == STAR ? 50e9 : 450e9);
    second_in = second_out + (kind == SHARED_NIC ? HOSTS / 8 : HOSTS);
    rail = second_in + HOSTS;
    if (kind == SHARED_NIC)
        add_links(flows, 2 * HOSTS / 8, 200e9);
    if (kind == RAILS) {
        add_links(flows, 2 * HOSTS, 50e9);
        add_links(flows, 8, 100e9);
    }
    for (uint32_t i = 0; i < HOSTS; i++) {
        for (uint32_t j = 0; j < HOSTS; j++) {
            uint32_t star[] = {out + i, in + j};
            uint32_t nic[] = {out + i, second_out + i / 8, second_in + j / 8, in + j};
            uint32_t rails[] = {second_out + i, second_in + j, rail + i % 8};
            if (kind == STAR || i / 8 == j / 8)
                moe_flow_add_path(flows, star, 2, 0);
            else if (kind == SHARED_NIC)
                moe_flow_add_path(flows, nic, 4, 0);
            else
                moe_flow_add_path(flows, rails, i % 8 == j % 8 ? 2 : 3, 0);
        }
    }
}

static void
landed(void *context, void *owner)
{
    all_to_all *run = context;
    *(moe_time *)owner = run->now;
}

static void
drain(all_to_all *run)
{
    for (moe_time next; (next = moe_flow_solve(run->flows, run->now)) != MOE_TIME_NEVER;) {
        run->now = next;
        moe_flow_land(run->flows, next, landed, run);
    }
}

static all_to_all *
exchange(topology kind, int distribution)
{
    all_to_all *run = calloc(1, sizeof *run);
    run->flows = moe_flows_new();
    build(run->flows, kind);
    for (uint32_t i = 0; i < HOSTS; i++) {
        for (uint32_t j = 0; j < HOSTS; j++) {
            uint32_t pair = i * HOSTS + j;
            if (i != j)
                moe_flow_start(run->flows, pair, size(distribution, i, j), 0, &run->finish[pair],
                               0);
        }
    }
    drain(run);
    moe_flows_free(run->flows);
    return run;
}

static int
compare(const void *a, const void *b)
{
    moe_time x = *(const moe_time *)a, y = *(const moe_time *)b;
    return (x > y) - (x < y);
}

static void
expect(const char *what, double got, double expected, double ulp)
{
    double tolerance = fmax(expected * 1e-9, 2e-12) + ulp;
    printf("\n    %-22s expected %.14g got %.14g (%+.2e, within %.0e)", what, expected, got,
           got / expected - 1, tolerance / expected);
    MOE_CHECK(fabs(got - expected) <= tolerance, "%s: %.15g, not %.15g", what, got, expected);
}

/* facts/engines.md, "Max-min flow network"; the last digit printed there counts as 0.5 of it. */
static void
reference_table(void)
{
    static const struct {
        const char *name;
        topology kind;
        int distribution;
        double makespan, mean;
    } rows[] = {
        {"star, s0", STAR, 0, 0.00132120576, 0.00132120576},
        {"star, s1", STAR, 1, 0.006029312, 0.00124523604546},
        {"shared NIC, s0", SHARED_NIC, 0, 0.00234881024, 0.00208975028706},
        {"shared NIC, s1", SHARED_NIC, 1, 0.00340393984, 0.00159985319565},
        {"rails, s0", RAILS, 0, 0.00411041792, 0.0032205523121},
        {"rails, s1", RAILS, 1, 0.00724816506915, 0.0024969409921},
    };
    for (size_t r = 0; r < MOE_COUNT(rows); r++) {
        all_to_all *run = exchange(rows[r].kind, rows[r].distribution);
        double sum = 0, last = 0;
        for (uint32_t pair = 0; pair < HOSTS * HOSTS; pair++) {
            sum += 1e-12 * (double)run->finish[pair];
            last = fmax(last, 1e-12 * (double)run->finish[pair]);
        }
        printf("\n  %s", rows[r].name);
        expect("makespan", last, rows[r].makespan, 0.5e-14);
        expect("mean", sum / (HOSTS * (HOSTS - 1)), rows[r].mean, 0.5e-14);
        free(run);
    }
}

static void
sorted_finishes(void)
{
    static const struct {
        topology kind;
        double min, median, sum;
    } rows[] = {
        {STAR, 8.257536e-05, 0.00106600222724, 5.02079173529},
        {SHARED_NIC, 1.07941647059e-06, 0.00180485216155, 6.45060808487},
    };
    for (size_t r = 0; r < MOE_COUNT(rows); r++) {
        all_to_all *run = exchange(rows[r].kind, 1);
        size_t n = HOSTS * (HOSTS - 1);
        double sum = 0;
        if (rows[r].kind == SHARED_NIC) {
            expect("0->1", 1e-12 * (double)run->finish[1], 2.41223880784e-05, 0.5e-16);
            expect("0->2", 1e-12 * (double)run->finish[2], 1.48034258824e-05, 0.5e-16);
            expect("0->3", 1e-12 * (double)run->finish[3], 8.51196988235e-05, 0.5e-16);
        }
        qsort(run->finish, HOSTS * HOSTS, sizeof *run->finish, compare);
        const moe_time *finish = run->finish + HOSTS; /* the pairs i -> i did not run */
        for (size_t i = 0; i < n; i++)
            sum += 1e-12 * (double)finish[i];
        expect("min", 1e-12 * (double)finish[0], rows[r].min, 0.5e-17);
        expect("median", 1e-12 * (double)finish[n / 2], rows[r].median, 0.5e-14);
        expect("sum", sum, rows[r].sum, 0.5e-11);
        free(run);
    }
}

typedef struct hand_flow {
    uint32_t path;
    double start, bytes, finish;
} hand_flow;

/* Runs flows over paths {0, 1}, {0}, {1} and, with sources, {2 + k, 0}. */
static void
run_hand(const char *name, double rate0, double rate1, const hand_flow *cases, size_t n)
{
    all_to_all run = {.flows = moe_flows_new()};
    moe_time finish[8] = {0};
    moe_flow_add_link(run.flows, rate0);
    moe_flow_add_link(run.flows, rate1);
    add_links(run.flows, 8, 1e9);
    moe_flow_add_path(run.flows, (uint32_t[]){0, 1}, 2, 0);
    moe_flow_add_path(run.flows, (uint32_t[]){0}, 1, 0);
    moe_flow_add_path(run.flows, (uint32_t[]){1}, 1, 0);
    for (uint32_t k = 0; k < 8; k++)
        moe_flow_add_path(run.flows, (uint32_t[]){2 + k, 0}, 2, 0);
    size_t started = 0;
    for (;;) {
        moe_time next = moe_flow_solve(run.flows, run.now), start = MOE_TIME_NEVER;
        if (started < n)
            start = (moe_time)(cases[started].start * 1e12);
        if (next == MOE_TIME_NEVER && start == MOE_TIME_NEVER)
            break;
        run.now = start <= next ? start : next;
        moe_flow_land(run.flows, run.now, landed, &run);
        for (; started < n && (moe_time)(cases[started].start * 1e12) == run.now; started++)
            moe_flow_start(run.flows, cases[started].path, cases[started].bytes, 0,
                           &finish[started], run.now);
    }
    printf("\n  %s", name);
    for (size_t i = 0; i < n; i++)
        expect("finish", 1e-12 * (double)finish[i], cases[i].finish, 0);
    moe_flows_free(run.flows);
}

static void
hand_cases(void)
{
    static const hand_flow two[] = {{0, 0, 1e9, 2}, {1, 0, 1e9, 2}, {2, 0, 1e9, 2}};
    static const hand_flow uneven[] = {{0, 0, 1e9, 2}, {1, 0, 1e9, 2}, {2, 0, 1e9, 2.0 / 3}};
    static const hand_flow late[] = {{1, 0, 1e9, 1.75}, {1, 0.5, 1e9, 2.25}, {1, 1, 2.5e8, 1.75}};
    static const hand_flow fan[] = {
        {3, 0, 1e8, 0.8}, {4, 0, 2e8, 1.5}, {5, 0, 3e8, 2.1}, {6, 0, 4e8, 2.6},
        {7, 0, 5e8, 3.0}, {8, 0, 6e8, 3.3}, {9, 0, 7e8, 3.5}, {10, 0, 8e8, 3.6},
    };
    run_hand("two equal links", 1e9, 1e9, two, MOE_COUNT(two));
    run_hand("links of 1 and 2", 1e9, 2e9, uneven, MOE_COUNT(uneven));
    run_hand("late starts", 1e9, 1e9, late, MOE_COUNT(late));
    run_hand("eight into one", 1e9, 1e9, fan, MOE_COUNT(fan));
}

MOE_TESTS({"reference table", reference_table}, {"sorted finishes", sorted_finishes},
          {"hand cases", hand_cases})
