/* The engine against closed forms: a deterministic server fed at random (M/D/1), and one
 * transfer. */
#include "sim/base/random.h"
#include "sim/core/engine.h"

#include "tests/test.h"

#include <math.h>

#define ARRIVALS 400000
#define SERVICE 1000000 /* ps */

typedef struct station {
    moe_server_id server;
    moe_stream random;
    double rate, next, waited; /* arrivals per ps; of the next arrival; summed */
    uint32_t left, served;
} station;

static void
served(moe_engine *engine, moe_task *task, void *context)
{
    station *s = context;
    if (s->served++ >= ARRIVALS / 10) /* after a warm-up */
        s->waited += (double)(task->start - task->ready);
}

static void
arrive(moe_engine *engine, void *context)
{
    station *s = context;
    moe_task *task = moe_task_new(engine);
    task->server = s->server;
    task->work = SERVICE;
    task->on_done = served;
    moe_task_submit(engine, task);
    s->next -= log(1 - moe_stream_unit(&s->random)) / s->rate;
    if (--s->left > 0)
        moe_engine_at(engine, (moe_time)s->next, 0, arrive, s);
}

/* Mean wait of M/D/1: rho / (2 (1 - rho)) services (Pollaczek and Khinchine). */
static void
md1(void)
{
    static const struct {
        double load, tolerance;
    } rows[] = {{0.3, 0.02}, {0.6, 0.02}, {0.8, 0.03}, {0.9, 0.06}};
    for (size_t i = 0; i < MOE_COUNT(rows); i++) {
        moe_engine *engine = moe_engine_new(i);
        station s = {.random = moe_stream_new(i, "arrivals", 0), .left = ARRIVALS};
        s.rate = rows[i].load / SERVICE;
        s.server = moe_engine_add_server(engine, "station", 0);
        moe_engine_add_cause(engine, "service", MOE_CAUSE_COMPUTE);
        moe_engine_set_context(engine, &s);
        moe_engine_at(engine, 0, 0, arrive, &s);
        moe_time end = moe_engine_run(engine);
        double got = s.waited / (s.served - ARRIVALS / 10) / SERVICE;
        double want = rows[i].load / (2 * (1 - rows[i].load));
        double busy = (double)moe_engine_server_busy(engine, s.server) / (double)end;
        printf("\n    load %.1f: wait expected %.4f got %.4f services (%+.2f %%, within %.0f %%)",
               rows[i].load, want, got, 100 * (got / want - 1), 100 * rows[i].tolerance);
        MOE_CHECK(fabs(got / want - 1) <= rows[i].tolerance, "wait %g, not %g", got, want);
        MOE_CHECK(fabs(busy / rows[i].load - 1) <= 0.01, "busy %g, not %g", busy, rows[i].load);
        moe_engine_free(engine);
    }
}

static void
note_end(moe_engine *engine, moe_task *task, void *context)
{
    *(moe_time *)context = task->end;
}

/* Latency + bytes / bandwidth, to the picosecond: PCIe 4.0 x16 at what the driver's copies reach,
 * NVLink, an NVMe drive, each with a cap or without. */
static void
one_transfer(void)
{
    static const struct {
        int64_t bytes;
        moe_time latency;
        double link, cap;
    } rows[] = {
        {352321536, 8000000, 25e9, 24.7e9}, {1, 0, 3.35e12, 0},
        {1048576, 12000000, 450e9, 0},      {7340032, 80000000, 7e9, 6.6e9},
        {68719476736, 1, 2e12, 0},
    };
    for (size_t i = 0; i < MOE_COUNT(rows); i++) {
        moe_engine *engine = moe_engine_new(1);
        moe_time end = 0;
        moe_engine_add_cause(engine, "load", MOE_CAUSE_TRANSFER);
        moe_engine_set_context(engine, &end);
        moe_link_id links[] = {moe_engine_add_link(engine, "a", 1e15),
                               moe_engine_add_link(engine, "b", rows[i].link)};
        moe_task *task = moe_task_new(engine);
        task->path = moe_engine_add_path(engine, links, 2, rows[i].cap);
        task->work = rows[i].latency;
        task->bytes = rows[i].bytes;
        task->on_done = note_end;
        moe_task_submit(engine, task);
        moe_engine_run(engine);
        double rate = rows[i].cap > 0 ? rows[i].cap : rows[i].link;
        __int128 ps = ((__int128)rows[i].bytes * 1000000000000 + (int64_t)rate - 1) / (int64_t)rate;
        moe_time want = rows[i].latency + (moe_time)ps;
        printf("\n    %lld bytes at %g bytes/s: expected %lld got %lld ps (0 %%)",
               (long long)rows[i].bytes, rate, (long long)want, (long long)end);
        MOE_CHECK(end == want, "%lld ps, not %lld", (long long)end, (long long)want);
        moe_engine_free(engine);
    }
}

MOE_TESTS({"M/D/1", md1}, {"one transfer", one_transfer})
