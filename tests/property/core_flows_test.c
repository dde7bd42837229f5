/* Flows on small random networks against a slow reference that fills progressively from scratch
 * after every change and keeps time as a real number. */
#include "sim/base/random.h"
#include "sim/core/flow.h"

#include "tests/test.h"

#include <math.h>

#define MAX_LINKS 12
#define MAX_PATHS 20
#define MAX_FLOWS 120

typedef struct model_flow {
    uint32_t path, handle;
    double cap, left, bytes;
    moe_time start, stop; /* stop: taken out then, MOE_TIME_NEVER: never */
    double finish;        /* reference */
    moe_time got;
    bool active;
    double rate;
} model_flow;

typedef struct model {
    moe_stream random;
    uint32_t n_links, n_paths, n_flows;
    double link_rate[MAX_LINKS];
    uint32_t path_links[MAX_PATHS][MAX_LINKS], path_n[MAX_PATHS];
    double path_cap[MAX_PATHS];
    model_flow flows[MAX_FLOWS];
    moe_time now; /* of the engine's side */
} model;

static uint32_t
below(model *m, uint32_t n)
{
    return (uint32_t)moe_stream_below(&m->random, n);
}

static void
generate(model *m, uint64_t seed)
{
    *m = (model){.random = moe_stream_new(seed, "flows", 0)};
    bool round_numbers = seed % 3 == 0; /* many ties */
    m->n_links = 1 + below(m, MAX_LINKS);
    m->n_paths = 1 + below(m, MAX_PATHS);
    m->n_flows = 1 + below(m, MAX_FLOWS);
    for (uint32_t l = 0; l < m->n_links; l++)
        m->link_rate[l] =
            round_numbers ? 1e9 * (1 + below(m, 3)) : 1e8 * (1 + 99 * moe_stream_unit(&m->random));
    for (uint32_t p = 0; p < m->n_paths; p++) {
        bool used[MAX_LINKS] = {false};
        uint32_t want = 1 + below(m, m->n_links < 4 ? m->n_links : 4);
        while (m->path_n[p] < want) {
            uint32_t l = below(m, m->n_links);
            if (!used[l])
                m->path_links[p][m->path_n[p]++] = l;
            used[l] = true;
        }
        m->path_cap[p] = below(m, 3) ? 0 : 1e8 * (1 + below(m, 20));
    }
    moe_time start = 0;
    for (uint32_t i = 0; i < m->n_flows; i++) {
        model_flow *flow = &m->flows[i];
        if (below(m, 3) == 0)
            start += (moe_time)(round_numbers ? 1000000000 * below(m, 9) : below(m, 2000000000));
        flow->path = below(m, m->n_paths);
        flow->bytes = round_numbers ? 1e6 * (1 + below(m, 4)) : 1e3 + below(m, 10000000);
        flow->cap = below(m, 5) ? 0 : 5e7 * (1 + below(m, 20));
        flow->start = start;
        flow->stop = MOE_TIME_NEVER;
        if (round_numbers && below(m, 2)) /* many at once */
            flow->stop = start + 1000000000 * (moe_time)(1 + below(m, 3));
        else if (below(m, 6) == 0)
            flow->stop = start + (moe_time)below(m, 2000000000);
        flow->left = flow->bytes;
    }
}

/* ---- the reference ---- */

static void
reference_rates(model *m)
{
    double room[MAX_LINKS];
    bool frozen[MAX_FLOWS] = {false};
    for (uint32_t l = 0; l < m->n_links; l++)
        room[l] = m->link_rate[l];
    for (;;) {
        double least = INFINITY;
        uint32_t count[MAX_LINKS] = {0};
        for (uint32_t i = 0; i < m->n_flows; i++) {
            const model_flow *flow = &m->flows[i];
            for (uint32_t k = 0; flow->active && !frozen[i] && k < m->path_n[flow->path]; k++)
                count[m->path_links[flow->path][k]]++;
        }
        for (uint32_t l = 0; l < m->n_links; l++) {
            if (count[l])
                least = fmin(least, room[l] / count[l]);
        }
        for (uint32_t i = 0; i < m->n_flows; i++) {
            const model_flow *flow = &m->flows[i];
            double cap = m->path_cap[flow->path];
            if (flow->active && !frozen[i] && cap > 0)
                least = fmin(least, cap);
            if (flow->active && !frozen[i] && flow->cap > 0)
                least = fmin(least, flow->cap);
        }
        if (least == INFINITY)
            return;
        bool full[MAX_LINKS] = {false};
        for (uint32_t l = 0; l < m->n_links; l++)
            full[l] = count[l] && room[l] / count[l] <= least * (1 + 1e-12);
        for (uint32_t i = 0; i < m->n_flows; i++) {
            model_flow *flow = &m->flows[i];
            double cap = m->path_cap[flow->path];
            bool stuck = (cap > 0 && cap <= least) || (flow->cap > 0 && flow->cap <= least);
            if (!flow->active || frozen[i])
                continue;
            for (uint32_t k = 0; k < m->path_n[flow->path]; k++)
                stuck = stuck || full[m->path_links[flow->path][k]];
            if (!stuck)
                continue;
            frozen[i] = true;
            flow->rate = least;
            for (uint32_t k = 0; k < m->path_n[flow->path]; k++)
                room[m->path_links[flow->path][k]] -= least;
        }
    }
}

/* Runs the reference up to `until` picoseconds (real ones) from `from`. */
static double
reference_run(model *m, double from, double until)
{
    for (;;) {
        reference_rates(m);
        double next = until;
        for (uint32_t i = 0; i < m->n_flows; i++) {
            const model_flow *flow = &m->flows[i];
            if (flow->active)
                next = fmin(next, from + flow->left / flow->rate * 1e12);
        }
        bool ended = false;
        for (uint32_t i = 0; i < m->n_flows; i++) {
            model_flow *flow = &m->flows[i];
            if (!flow->active)
                continue;
            double due = from + flow->left / flow->rate * 1e12;
            flow->left -= flow->rate * (next - from) * 1e-12;
            if (due > next + 1e-4)
                continue;
            flow->finish = next;
            flow->active = false;
            ended = true;
        }
        from = next;
        if (!ended)
            return from;
    }
}

static void
run_reference(model *m)
{
    double now = 0;
    for (;;) {
        moe_time next = MOE_TIME_NEVER;
        for (uint32_t i = 0; i < m->n_flows; i++) {
            const model_flow *flow = &m->flows[i];
            if (flow->finish == 0 && !flow->active && flow->start < next)
                next = flow->start;
            if (flow->active && flow->stop < next)
                next = flow->stop;
        }
        bool last = next == MOE_TIME_NEVER;
        now = reference_run(m, now, last ? 1e18 : (double)next);
        for (uint32_t i = 0; i < m->n_flows; i++) {
            model_flow *flow = &m->flows[i];
            if (flow->active && flow->stop == next && flow->start < next) {
                flow->active = false;
                flow->finish = (double)next;
            } else if (flow->finish == 0 && !flow->active && flow->start == next) {
                flow->active = true;
            }
        }
        if (last)
            return;
    }
}

/* ---- the network under test ---- */

static model *landing;

static void
landed(void *context, void *owner)
{
    model_flow *flow = owner;
    flow->got = landing->now;
    flow->active = false;
}

static void
check_rates(model *m, const moe_flows *flows, uint64_t seed)
{
    reference_rates(m);
    for (uint32_t i = 0; i < m->n_flows; i++) {
        const model_flow *flow = &m->flows[i];
        if (!flow->active)
            continue;
        double rate = moe_flow_rate(flows, flow->handle);
        if (fabs(rate / flow->rate - 1) > 1e-9)
            MOE_CHECK(false, "seed %llu, %lld ps, flow %u: rate %.12g, not %.12g",
                      (unsigned long long)seed, (long long)m->now, i, rate, flow->rate);
    }
}

static void
run_network(model *m, uint64_t seed)
{
    moe_flows *flows = moe_flows_new();
    for (uint32_t l = 0; l < m->n_links; l++)
        moe_flow_add_link(flows, m->link_rate[l]);
    for (uint32_t p = 0; p < m->n_paths; p++)
        moe_flow_add_path(flows, m->path_links[p], m->path_n[p], m->path_cap[p]);
    for (uint32_t i = 0; i < m->n_flows; i++)
        m->flows[i].active = false;
    landing = m;
    m->now = 0;
    for (;;) {
        moe_time next = moe_flow_solve(flows, m->now);
        check_rates(m, flows, seed);
        for (uint32_t i = 0; i < m->n_flows; i++) {
            const model_flow *flow = &m->flows[i];
            if (flow->got == 0 && !flow->active && flow->start < next)
                next = flow->start;
            if (flow->active && flow->stop < next)
                next = flow->stop;
        }
        if (next == MOE_TIME_NEVER)
            break;
        m->now = next;
        moe_flow_land(flows, next, landed, NULL);
        for (uint32_t i = 0; i < m->n_flows; i++) {
            model_flow *flow = &m->flows[i];
            if (flow->active && flow->stop == next && flow->start < next) {
                double before = moe_flow_left(flows, flow->handle, next);
                double left = moe_flow_stop(flows, flow->handle, next);
                MOE_CHECK(left == before && left <= flow->bytes, "left %g and %g", left, before);
                flow->active = false;
                flow->got = next;
            } else if (flow->got == 0 && !flow->active && flow->start == next) {
                flow->handle =
                    moe_flow_start(flows, flow->path, flow->bytes, flow->cap, flow, next);
                flow->active = true;
            }
        }
    }
    moe_flows_free(flows);
}

static void
random_networks(void)
{
    static model m;
    double worst = 0;
    for (uint64_t seed = 1; seed <= 600; seed++) {
        generate(&m, seed);
        run_reference(&m);
        run_network(&m, seed);
        for (uint32_t i = 0; i < m.n_flows; i++) {
            const model_flow *flow = &m.flows[i];
            double error = (double)flow->got - flow->finish;
            worst = fmax(worst, fabs(error));
            if (fabs(error) > fmax(2, 1e-9 * flow->finish))
                MOE_CHECK(false, "seed %llu flow %u: finish %lld, not %.3f",
                          (unsigned long long)seed, i, (long long)flow->got, flow->finish);
        }
    }
    printf("\n    worst finish %.3f ps off", worst);
    CU_PASS("compared");
}

static void
count(void *context, void *owner)
{
    (*(uint32_t *)context)++;
}

/* Flows that finish together cost one event, however many they are. */
static void
one_event_per_class(void)
{
    moe_flows *flows = moe_flows_new();
    uint32_t events = 0, n = 0;
    for (uint32_t i = 0; i < 32; i++)
        moe_flow_add_link(flows, 50e9);
    for (uint32_t i = 0; i < 16; i++) {
        for (uint32_t j = 0; j < 16; j++)
            moe_flow_add_path(flows, (uint32_t[]){i, 16 + j}, 2, 0);
    }
    for (uint32_t pair = 0; pair < 256; pair++)
        moe_flow_start(flows, pair, 1e6 + (pair / 16 + pair % 16) % 2, 0, NULL, 0);
    moe_time now = 0;
    for (moe_time next; (next = moe_flow_solve(flows, now)) != MOE_TIME_NEVER; events++) {
        now = next;
        moe_flow_land(flows, now, count, &n);
    }
    MOE_CHECK(n == 256, "%u landed", n);
    MOE_CHECK(events == 2, "%u events", events);
    moe_flows_free(flows);
}

/* What does not share a link with a change, directly or not, is not looked at. */
static void
untouched(void)
{
    moe_flows *flows = moe_flows_new();
    for (uint32_t i = 0; i < 100; i++) {
        moe_flow_add_link(flows, 1e9 * (1 + i));
        moe_flow_add_path(flows, &i, 1, 0);
    }
    for (uint32_t i = 0; i < 100; i++) {
        moe_flow_start(flows, i, 1e9, 0, NULL, 0);
        moe_flow_start(flows, i, 2e9, 0, NULL, 0);
    }
    moe_flow_solve(flows, 0);
    uint64_t relaxed = moe_flow_relaxed(flows), solved = moe_flow_solved(flows);
    uint32_t n = 0;
    moe_time now = moe_flow_solve(flows, 0);
    moe_flow_land(flows, now, count, &n);
    moe_flow_solve(flows, now);
    MOE_CHECK(n == 1, "%u landed", n);
    MOE_CHECK(moe_flow_solved(flows) == solved && moe_flow_relaxed(flows) - relaxed <= 1,
              "%llu links relaxed", (unsigned long long)(moe_flow_relaxed(flows) - relaxed));
    moe_flows_free(flows);
}

/* A link that lost all its flows in a large change works when flows come back to it. */
static void
reused_link(void)
{
    moe_flows *flows = moe_flows_new();
    uint32_t handles[20];
    for (uint32_t i = 0; i < 4; i++)
        moe_flow_add_link(flows, 1e9);
    for (uint32_t i = 0; i < 8; i++)
        moe_flow_add_path(flows, (uint32_t[]){i % 4}, 1, 0);
    for (uint32_t i = 0; i < 20; i++)
        handles[i] = moe_flow_start(flows, i % 4, 1e9, 0, NULL, 0);
    moe_flow_solve(flows, 0);
    for (uint32_t i = 0; i < 20; i++) {
        if (i % 4 < 3)
            moe_flow_stop(flows, handles[i], 1000);
    }
    moe_flow_solve(flows, 1000);
    MOE_CHECK(moe_flow_solved(flows) == 2, "%llu complete solutions",
              (unsigned long long)moe_flow_solved(flows));
    for (uint32_t i = 0; i < 4; i++)
        handles[i] = moe_flow_start(flows, 1 + i % 2 * 4, 1e9, 0, NULL, 2000);
    moe_flow_solve(flows, 2000);
    for (uint32_t i = 0; i < 4; i++)
        MOE_CHECK(fabs(moe_flow_rate(flows, handles[i]) - 0.25e9) < 1, "rate %g",
                  moe_flow_rate(flows, handles[i]));
    moe_flows_free(flows);
}

static void
land_now(void *context, void *owner)
{
    *(moe_time *)owner = *(moe_time *)context;
}

/* Terabytes through one group that is never idle: counters start again, times stay exact. */
static void
long_service(void)
{
    enum { SMALL = 12 };
    moe_flows *flows = moe_flows_new();
    moe_time finish[SMALL + 1] = {0}, now = 0;
    moe_flow_add_link(flows, 1e12);
    moe_flow_add_path(flows, (uint32_t[]){0}, 1, 0);
    moe_flow_start(flows, 0, 2e13, 0, &finish[0], 0);
    for (uint32_t k = 1;;) {
        moe_time next = moe_flow_solve(flows, now);
        moe_time start = k <= SMALL ? k * 1000000000000 : MOE_TIME_NEVER;
        if (next == MOE_TIME_NEVER && start == MOE_TIME_NEVER)
            break;
        now = next < start ? next : start;
        moe_flow_land(flows, now, land_now, &now);
        if (now == start)
            moe_flow_start(flows, 0, 1e11, 0, &finish[k++], now);
    }
    for (uint32_t k = 1; k <= SMALL; k++)
        MOE_CHECK(llabs(finish[k] - (k * 1000000000000 + 200000000000)) <= 2, "flow %u: %lld ps", k,
                  (long long)finish[k]);
    MOE_CHECK(llabs(finish[0] - 21200000000000) <= 2, "the long flow: %lld ps",
              (long long)finish[0]);
    moe_flows_free(flows);
}

MOE_TESTS({"random networks", random_networks}, {"one event per class", one_event_per_class},
          {"untouched", untouched}, {"reused link", reused_link}, {"long service", long_service})
