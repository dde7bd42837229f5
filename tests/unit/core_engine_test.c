/* The engine on small graphs whose times are known by hand. */
#include "sim/core/engine.h"

#include "tests/test.h"

#define US 1000000LL /* picoseconds */

typedef struct setup {
    moe_engine *engine;
    uint16_t compute, load;
    moe_server_id gpu, copy;
    moe_link_id link;
    moe_path_id path;
    moe_capacity_id memory;
} setup;

/* One compute server; a copy engine with chunks of 1 MB over a link of 1 MB/us. */
static setup
start(void)
{
    setup s = {.engine = moe_engine_new(1)};
    s.compute = moe_engine_add_cause(s.engine, "compute", MOE_CAUSE_COMPUTE);
    s.load = moe_engine_add_cause(s.engine, "load", MOE_CAUSE_TRANSFER);
    s.gpu = moe_engine_add_server(s.engine, "gpu", 0);
    s.copy = moe_engine_add_server(s.engine, "copy", 1000000);
    s.link = moe_engine_add_link(s.engine, "pcie", 1e12);
    s.path = moe_engine_add_path(s.engine, &s.link, 1, 0);
    s.memory = moe_engine_add_capacity(s.engine, "memory");
    return s;
}

static moe_task *
compute(const setup *s, moe_time work)
{
    moe_task *task = moe_task_new(s->engine);
    task->server = s->gpu;
    task->work = work;
    task->cause = s->compute;
    return task;
}

static moe_task *
transfer(const setup *s, int64_t bytes, uint8_t priority)
{
    moe_task *task = moe_task_new(s->engine);
    task->server = s->copy;
    task->path = s->path;
    task->bytes = bytes;
    task->cause = s->load;
    task->priority = priority;
    return task;
}

/* Results outlive the task: each writes them where user[0] points. */
typedef struct result {
    moe_time ready, start, end, free, lean;
} result;

static void
keep(moe_engine *engine, moe_task *task, void *context)
{
    result *r = (result *)(uintptr_t)task->user[0];
    *r = (result){task->ready, task->start, task->end, task->free, task->lean};
}

static moe_task *
kept(moe_task *task, result *r)
{
    task->user[0] = (uintptr_t)r;
    task->on_done = keep;
    return task;
}

static void
expect_time(const char *what, moe_time got, moe_time want)
{
    MOE_CHECK(got == want, "%s: %lld ps, not %lld", what, (long long)got, (long long)want);
}

static void
chain(void)
{
    setup s = start();
    result a, b, c;
    moe_task *first = kept(compute(&s, 3 * US), &a);
    moe_task *second = kept(compute(&s, 2 * US), &b);
    moe_task *join = kept(moe_task_new(s.engine), &c);
    moe_task_after(s.engine, second, first);
    moe_task_after(s.engine, join, second);
    moe_task_after(s.engine, join, first);
    moe_task_submit(s.engine, join);
    moe_task_submit(s.engine, second);
    moe_task_submit(s.engine, first);
    expect_time("run", moe_engine_run(s.engine), 5 * US);
    expect_time("second starts", b.start, 3 * US);
    expect_time("join", c.end, 5 * US);
    expect_time("free", c.free, 5 * US);
    expect_time("free path", moe_engine_free_path(s.engine), 5 * US);
    expect_time("busy", moe_engine_server_busy(s.engine, s.gpu), 5 * US);
    MOE_CHECK(moe_engine_tasks(s.engine) == 3, "%llu tasks",
              (unsigned long long)moe_engine_tasks(s.engine));
    moe_engine_free(s.engine);
}

/* Classes first, then readiness, then submission. */
static void
queue_order(void)
{
    setup s = start();
    result r[5];
    moe_task *gate = moe_task_new(s.engine);
    gate->work = 1 * US;
    static const uint8_t classes[] = {2, 1, 2, 0, 1};
    moe_task *tasks[5];
    for (int i = 0; i < 5; i++) {
        tasks[i] = kept(compute(&s, 10 * US), &r[i]);
        tasks[i]->priority = classes[i];
        if (i > 0) /* the first is ready at once, the others when it runs */
            moe_task_after(s.engine, tasks[i], gate);
    }
    moe_task_submit(s.engine, gate);
    for (int i = 0; i < 5; i++)
        moe_task_submit(s.engine, tasks[i]);
    moe_engine_run(s.engine);
    static const moe_time starts[] = {0, 20 * US, 40 * US, 10 * US, 30 * US};
    for (int i = 0; i < 5; i++)
        expect_time("start", r[i].start, starts[i]);
    expect_time("free of the last", r[2].free, 11 * US);
    moe_engine_free(s.engine);
}

/* 5 MB in flight when a demand comes at 1.3 us: it starts at 2 us, the rest follows. */
static void
suspension(void)
{
    setup s = start();
    result low, high;
    moe_task *gate = moe_task_new(s.engine);
    gate->work = 1300000;
    moe_task *prefetch = kept(transfer(&s, 5000000, 2), &low);
    moe_task *demand = kept(transfer(&s, 2000000, 0), &high);
    moe_task_after(s.engine, demand, gate);
    moe_task_submit(s.engine, gate);
    moe_task_submit(s.engine, prefetch);
    moe_task_submit(s.engine, demand);
    moe_engine_run(s.engine);
    expect_time("demand starts", high.start, 2 * US);
    expect_time("demand ends", high.end, 4 * US);
    expect_time("prefetch ends", low.end, 7 * US);
    expect_time("link busy", moe_engine_link_busy(s.engine, s.link), 7 * US);
    MOE_CHECK(moe_engine_link_bytes(s.engine, s.link) == 7000000, "%lld bytes",
              (long long)moe_engine_link_bytes(s.engine, s.link));
    moe_engine_free(s.engine);
}

/* A higher class in the midst of latency is served at once; the latency left is kept. */
static void
suspended_latency(void)
{
    setup s = start();
    result low, high;
    moe_task *gate = moe_task_new(s.engine);
    gate->work = 1 * US;
    moe_task *prefetch = kept(transfer(&s, 1000000, 2), &low);
    moe_task *demand = kept(transfer(&s, 2000000, 0), &high);
    prefetch->work = 3 * US;
    moe_task_after(s.engine, demand, gate);
    moe_task_submit(s.engine, gate);
    moe_task_submit(s.engine, prefetch);
    moe_task_submit(s.engine, demand);
    moe_engine_run(s.engine);
    expect_time("demand", high.end, 3 * US);
    expect_time("prefetch", low.end, 3 * US + 2 * US + 1 * US);
    moe_engine_free(s.engine);
}

/* Two copy engines share one link: half the rate each while both run. */
static void
shared_link(void)
{
    setup s = start();
    result a, b;
    moe_server_id other = moe_engine_add_server(s.engine, "copy 2", 0);
    moe_task *first = kept(transfer(&s, 4000000, 0), &a);
    moe_task *second = kept(transfer(&s, 1000000, 0), &b);
    second->server = other;
    second->work = 1 * US; /* latency: its bytes come at 1 us */
    moe_task_submit(s.engine, first);
    moe_task_submit(s.engine, second);
    moe_engine_run(s.engine);
    expect_time("second", b.end, 3 * US);
    expect_time("first", a.end, 5 * US);
    expect_time("link busy", moe_engine_link_busy(s.engine, s.link), 5 * US);
    moe_engine_free(s.engine);
}

/* Two tasks that want 0.8 and 0.7 of one capacity run at 1/1.5 while both run. */
static void
shares(void)
{
    setup s = start();
    result a, b;
    moe_task *host = kept(moe_task_new(s.engine), &a);
    host->work = 3 * US;
    host->n_shares = 1;
    host->shares[0] = (moe_share){s.memory, 0.75f};
    moe_task *load = kept(transfer(&s, 2000000, 0), &b);
    load->n_shares = 1;
    load->shares[0] = (moe_share){s.memory, 0.75f};
    moe_task_submit(s.engine, host);
    moe_task_submit(s.engine, load);
    moe_engine_run(s.engine);
    expect_time("load", b.end, 3 * US);
    expect_time("host", a.end, 4 * US);
    moe_engine_free(s.engine);
}

/* A consumer twice as fast starts with the first quarter and ends a quarter of its own time
 * after its producer; one twice as slow is held back by the first granule only. */
static void
streams(void)
{
    static const moe_time works[] = {2 * US, 8 * US};
    static const moe_time ends[] = {4 * US + US / 2, 1 * US + 8 * US};
    for (int i = 0; i < 2; i++) {
        setup s = start();
        result a, b;
        moe_task *producer = kept(transfer(&s, 4000000, 0), &a);
        moe_task *consumer = kept(compute(&s, works[i]), &b);
        moe_task_stream(s.engine, consumer, producer, 0.25);
        moe_task_submit(s.engine, producer);
        moe_task_submit(s.engine, consumer);
        moe_engine_run(s.engine);
        expect_time("producer", a.end, 4 * US);
        expect_time("consumer starts", b.start, 1 * US);
        expect_time("consumer ends", b.end, ends[i]);
        expect_time("consumer's bound", b.free, ends[i]);
        expect_time("lean", b.lean, works[i]);
        moe_engine_free(s.engine);
    }
}

static void
cancel_late(moe_engine *engine, void *context)
{
    moe_task **tasks = context;
    MOE_CHECK(moe_task_progress(engine, tasks[0]) == 1500000, "progress %lld",
              (long long)moe_task_progress(engine, tasks[0]));
    expect_time("backlog", moe_engine_server_backlog(engine, tasks[0]->server, 255),
                2500000 + 1 * US + 2 * US);
    expect_time("backlog of class 0", moe_engine_server_backlog(engine, tasks[0]->server, 0),
                2 * US);
    int64_t queued = moe_task_cancel(engine, tasks[1]);
    int64_t running = moe_task_cancel(engine, tasks[0]);
    MOE_CHECK(queued == 0 && running == 1500000, "%lld and %lld bytes", (long long)queued,
              (long long)running);
}

static void
cancelled(void)
{
    setup s = start();
    result done = {0}, after = {0};
    moe_task *tasks[2] = {kept(transfer(&s, 4000000, 1), &done),
                          kept(transfer(&s, 1000000, 1), &done)};
    moe_server_id copy = moe_engine_add_server(s.engine, "copy without chunks", 0);
    tasks[0]->server = tasks[1]->server = copy;
    moe_task *last = transfer(&s, 2000000, 0);
    last->server = copy;
    moe_task *dependent = kept(compute(&s, 1 * US), &after);
    moe_task *gate = moe_task_new(s.engine);
    gate->work = 1 * US;
    moe_task_after(s.engine, last, gate);
    moe_task_after(s.engine, dependent, tasks[0]);
    moe_task_submit(s.engine, gate);
    moe_task_submit(s.engine, tasks[0]);
    moe_task_submit(s.engine, tasks[1]);
    moe_task_submit(s.engine, last);
    moe_task_submit(s.engine, dependent);
    moe_engine_at(s.engine, 1500000, 0, cancel_late, tasks);
    moe_engine_run(s.engine);
    expect_time("callback of a cancelled task", done.end, 0);
    expect_time("dependent starts", after.start, 1500000);
    expect_time("wall", moe_engine_now(s.engine), 3500000);
    MOE_CHECK(moe_engine_link_bytes(s.engine, s.link) == 3500000, "%lld bytes",
              (long long)moe_engine_link_bytes(s.engine, s.link));
    moe_engine_free(s.engine);
}

static void
promote(moe_engine *engine, void *context)
{
    moe_task **tasks = context;
    moe_task_set_priority(engine, tasks[1], 0);
    MOE_CHECK(moe_engine_server_occupied(engine, tasks[1]->server, 0), "class 0 waits");
}

/* A queued prefetch becomes a demand: it overtakes, and suspends what runs. */
static void
promotion(void)
{
    setup s = start();
    result r[3];
    moe_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        tasks[i] = kept(transfer(&s, 4000000, 1), &r[i]);
        moe_task_submit(s.engine, tasks[i]);
    }
    MOE_CHECK(!moe_engine_server_occupied(s.engine, s.copy, 0), "class 0 is absent");
    moe_task *swap = tasks[1];
    tasks[1] = tasks[2];
    tasks[2] = swap;
    moe_engine_at(s.engine, 500000, 0, promote, tasks);
    moe_engine_run(s.engine);
    expect_time("promoted", r[2].start, 1 * US);
    expect_time("suspended", r[0].end, 8 * US);
    expect_time("last", r[1].end, 12 * US);
    moe_engine_free(s.engine);
}

static void
take_mark(moe_engine *engine, moe_task *task, void *context)
{
    *(moe_mark *)context = moe_task_mark(task);
}

/* What depends on a mark carries its bounds on, in a later run of the engine too. */
static void
marks(void)
{
    setup s = start();
    result r;
    moe_mark mark = {0};
    moe_engine_set_context(s.engine, &mark);
    moe_task *first = transfer(&s, 5000000, 0);
    first->on_done = take_mark;
    moe_task_submit(s.engine, first);
    expect_time("first run", moe_engine_run(s.engine), 5 * US);
    moe_task *task = kept(compute(&s, 2 * US), &r);
    moe_task_after_mark(s.engine, task, &mark);
    moe_task_submit(s.engine, task);
    expect_time("second run", moe_engine_run(s.engine), 7 * US);
    expect_time("free", r.free, 7 * US);
    expect_time("lean", r.lean, 2 * US);
    expect_time("free path", moe_engine_free_path(s.engine), 7 * US);
    expect_time("lean path", moe_engine_lean_path(s.engine), 2 * US);
    moe_engine_free(s.engine);
}

/* Tasks beyond the end of simulated time: alone, slowed down by a share, behind another's time, and
 * among flows. They stop nothing else, can be cancelled, and are told. */
static void
endless(void)
{
    for (int k = 0; k < 5; k++) {
        setup s = start();
        const moe_task *found = NULL;
        result r;
        moe_task *first = kept(compute(&s, k == 2 ? MOE_TIME_NEVER - 5 : US), &r);
        moe_task *last = k == 0 ? compute(&s, MOE_TIME_NEVER) : compute(&s, 6);
        if (k == 1) {
            last->work = MOE_TIME_NEVER / 2 + US;
            last->n_shares = first->n_shares = 1;
            last->shares[0] = first->shares[0] = (moe_share){s.memory, 1};
            first->server = MOE_NO_SERVER;
            first->work = MOE_TIME_NEVER / 2 + US;
        } else if (k >= 3) {
            moe_path_id slow = moe_engine_add_path(s.engine, &s.link, 1, 1e-3);
            for (int t = 0; t < 2; t++) {
                last = transfer(&s, 1000000000, 1);
                last->server = t ? s.copy : MOE_NO_SERVER;
                last->path = slow;
                moe_task_submit(s.engine, last);
            }
        }
        if (k == 0 || k == 2)
            moe_task_after(s.engine, last, first);
        moe_task_submit(s.engine, first);
        if (k < 3)
            moe_task_submit(s.engine, last);
        moe_time end = moe_engine_run(s.engine);
        MOE_CHECK(moe_engine_endless(s.engine, &found) && found == last, "case %d: not found", k);
        if (k != 1)
            expect_time("what comes before", end, k == 2 ? MOE_TIME_NEVER - 5 : US);
        if (k == 4) {
            moe_task_cancel(s.engine, last);
            expect_time("after it is gone", moe_engine_run(s.engine), US);
        }
        moe_engine_free(s.engine);
    }
}

MOE_TESTS({"chain", chain}, {"queue order", queue_order}, {"suspension", suspension},
          {"suspended latency", suspended_latency}, {"shared link", shared_link},
          {"shares", shares}, {"streams", streams}, {"cancelled", cancelled},
          {"promotion", promotion}, {"marks", marks}, {"endless", endless})
