/* What must hold on any graph: random servers, links, capacities; tasks with random dependencies,
 * streams, classes and shares, created ahead and from callbacks, cancelled and promoted. */
#include "sim/base/random.h"
#include "sim/core/blame.h"
#include "sim/core/engine.h"

#include "tests/test.h"

#define WORLD_TASKS 400
#define WORLD_SERVERS 6
#define WORLD_LINKS 5
#define WORLD_CAUSES 4
#define RECENT 12

typedef struct world {
    moe_engine *engine;
    moe_blame *blame;
    moe_stream random;
    uint32_t created, done;
    moe_task *open[RECENT]; /* not done yet, or NULL */
    moe_mark mark;
    uint64_t log;  /* hash of all events */
    moe_time gone; /* of cancelled tasks' starts */
    bool reset;
    moe_time splits;
    struct world *other; /* run within this one's run */
} world;

static uint32_t
below(world *w, uint32_t n)
{
    return (uint32_t)moe_stream_below(&w->random, n);
}

static void
record(world *w, uint64_t value)
{
    w->log = moe_mix64(w->log ^ value) + 1;
}

static void
on_started(void *context, const moe_task *task)
{
    world *w = context;
    record(w, 2 * task->user[0]);
    record(w, (uint64_t)task->start);
    MOE_CHECK(task->ready <= task->start, "started before it was ready");
}

static void
on_observed(void *context, const moe_task *task)
{
    world *w = context;
    bool cancelled = task->user[1] == 1;
    record(w, 2 * task->user[0] + 1);
    record(w, (uint64_t)task->end);
    record(w, (uint64_t)task->free);
    if (task->free > task->end || task->lean > task->free)
        MOE_CHECK(false, "task %llu: lean %lld free %lld end %lld",
                  (unsigned long long)task->user[0], (long long)task->lean, (long long)task->free,
                  (long long)task->end);
    if (!cancelled && task->end - task->start < task->zero_load)
        MOE_CHECK(false, "task %llu took %lld of %lld ps", (unsigned long long)task->user[0],
                  (long long)(task->end - task->start), (long long)task->zero_load);
    for (uint32_t i = 0; i < RECENT; i++) {
        if (w->open[i] == task)
            w->open[i] = NULL;
    }
    w->done++;
}

static void create(world *w, moe_task *after);

static void
on_done(moe_engine *engine, moe_task *task, void *context)
{
    world *w = context;
    w->mark = moe_task_mark(task);
    for (uint32_t n = below(w, 3); n > 0; n--)
        create(w, task);
}

static void
describe(world *w, moe_task *task)
{
    task->priority = (uint8_t)below(w, 3);
    task->group = below(w, 4);
    task->work = below(w, 3) ? (moe_time)below(w, 1000000) : 0;
    if (below(w, 5)) /* computes on the first half, copies on the second */
        task->server = (moe_server_id)below(w, WORLD_SERVERS / 2);
    task->cause = (uint16_t)below(w, 2);
    if (below(w, 2)) {
        task->cause = (uint16_t)(2 + below(w, 2));
        task->path = (moe_path_id)below(w, WORLD_LINKS);
        task->bytes = below(w, 6) ? (int64_t)below(w, 3000000) : 0;
        if (below(w, 5))
            task->server = (moe_server_id)(WORLD_SERVERS / 2 + below(w, WORLD_SERVERS / 2));
    }
    if (below(w, 4) == 0) {
        task->n_shares = 1;
        task->shares[0] = (moe_share){0, 0.25f * (float)(1 + below(w, 3))};
        if (below(w, 2))
            task->shares[task->n_shares++] = (moe_share){1, 0.5f};
    }
}

static void
create(world *w, moe_task *after)
{
    if (w->created == WORLD_TASKS)
        return;
    moe_task *task = moe_task_new(w->engine);
    task->user[0] = ++w->created;
    task->on_done = on_done;
    describe(w, task);
    if (after)
        moe_task_after(w->engine, task, after);
    else if (w->mark.end > 0 && below(w, 2))
        moe_task_after_mark(w->engine, task, &w->mark);
    for (uint32_t n = below(w, 3); n > 0; n--) {
        moe_task *before = w->open[below(w, RECENT)];
        if (before && below(w, 3) == 0)
            moe_task_stream(w->engine, task, before, 0.125 * (1 + below(w, 8)));
        else if (before)
            moe_task_after(w->engine, task, before);
    }
    w->open[below(w, RECENT)] = task;
    moe_task_submit(w->engine, task);
}

/* Something from outside: cancel a transfer, change a class, create tasks, reset the blame. */
static void
meddle(moe_engine *engine, void *context)
{
    world *w = context;
    moe_task *task = w->open[below(w, RECENT)];
    switch (below(w, 5)) {
    case 0:
        if (task && task->path != MOE_NO_PATH) {
            task->user[1] = 1;
            int64_t flowed = moe_task_cancel(engine, task);
            MOE_CHECK(flowed >= 0 && flowed <= task->bytes, "%lld bytes flowed", (long long)flowed);
        }
        break;
    case 1:
        if (task)
            moe_task_set_priority(engine, task, (uint8_t)below(w, 3));
        break;
    case 2:
        if (task)
            record(w, (uint64_t)moe_task_progress(engine, task));
        for (uint16_t s = 0; s < WORLD_SERVERS; s++)
            record(w, (uint64_t)moe_engine_server_backlog(engine, s, 1));
        break;
    case 3:
        if (w->blame && below(w, 8) == 0)
            moe_blame_reset(w->blame, moe_engine_now(engine));
        break;
    default:
        create(w, NULL);
    }
    if (w->other) {
        world *other = w->other;
        w->other = NULL;
        moe_engine_run(other->engine);
    }
    if (w->created < WORLD_TASKS)
        moe_engine_at(engine, moe_engine_now(engine) + below(w, 2000000), (uint8_t)below(w, 3),
                      meddle, w);
}

static size_t
split(void *context, const moe_task *task, uint16_t *causes, moe_time *parts, size_t max)
{
    if (task->work < 10)
        return 0;
    causes[0] = 1 - task->cause;
    parts[0] = task->work / 3;
    causes[1] = task->cause;
    parts[1] = task->work - task->work / 3;
    return 2;
}

static void
build(world *w, uint64_t seed, bool blamed)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    *w = (world){.engine = moe_engine_new(seed), .random = moe_stream_new(seed, "world", 0)};
    moe_observer observer = {on_started, on_observed, w};
    moe_engine_set_context(w->engine, w);
    moe_engine_observe(w->engine, &observer);
    for (uint32_t i = 0; i < WORLD_CAUSES; i++)
        moe_engine_add_cause(w->engine, names[i], i < 2 ? MOE_CAUSE_COMPUTE : MOE_CAUSE_TRANSFER);
    for (uint32_t i = 0; i < WORLD_SERVERS; i++)
        moe_engine_add_server(w->engine, names[i],
                              i < WORLD_SERVERS / 2 ? 0 : (int64_t)below(w, 3) * 100000);
    for (uint32_t i = 0; i < WORLD_LINKS; i++)
        moe_engine_add_link(w->engine, names[i], 1e12 * (1 + below(w, 3)));
    for (uint32_t i = 0; i < WORLD_LINKS; i++) {
        moe_link_id links[2] = {(moe_link_id)i, (moe_link_id)((i + 1) % WORLD_LINKS)};
        moe_engine_add_path(w->engine, links, 1 + below(w, 2), below(w, 2) ? 0.7e12 : 0);
    }
    moe_engine_add_capacity(w->engine, "x");
    moe_engine_add_capacity(w->engine, "y");
    static const moe_server_id watched[] = {0, 2, 3};
    w->blame = blamed ? moe_blame_new(w->engine, watched, MOE_COUNT(watched), split, NULL) : NULL;
    for (uint32_t i = 0; i < 10; i++)
        create(w, NULL);
    moe_engine_at(w->engine, 0, 1, meddle, w);
}

static void
finish(world *w, uint64_t seed)
{
    moe_time wall = moe_engine_now(w->engine);
    if (w->blame)
        moe_blame_finish(w->blame, wall); /* asserts the sums */
    MOE_CHECK(w->done == w->created, "seed %llu: %u of %u tasks done", (unsigned long long)seed,
              w->done, w->created);
    MOE_CHECK(moe_engine_free_path(w->engine) <= wall, "free path %lld of %lld",
              (long long)moe_engine_free_path(w->engine), (long long)wall);
    for (uint16_t s = 0; s < WORLD_SERVERS; s++) {
        moe_time busy = moe_engine_server_busy(w->engine, s);
        if (busy > wall || moe_engine_server_occupied(w->engine, s, 255) ||
            moe_engine_server_backlog(w->engine, s, 255) != 0)
            MOE_CHECK(false, "seed %llu: server %u busy %lld of %lld", (unsigned long long)seed, s,
                      (long long)busy, (long long)wall);
    }
    moe_blame_free(w->blame);
    moe_engine_free(w->engine);
}

static uint64_t
run_alone(uint64_t seed, bool blamed)
{
    world w;
    build(&w, seed, blamed);
    moe_engine_run(w.engine);
    finish(&w, seed);
    return w.log;
}

static void
any_graph(void)
{
    for (uint64_t seed = 1; seed <= 400; seed++)
        run_alone(seed, true);
}

static void
same_seed_same_log(void)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t first = run_alone(seed, true), second = run_alone(seed, true);
        MOE_CHECK(first == second, "seed %llu", (unsigned long long)seed);
        MOE_CHECK(first != run_alone(seed + 1, true), "seed %llu and the next are alike",
                  (unsigned long long)seed);
    }
}

static void
engines_are_apart(void)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t alone = run_alone(seed, true), other = run_alone(seed + 100, false);
        world outer, inner;
        build(&outer, seed, true);
        build(&inner, seed + 100, false);
        outer.other = &inner;
        moe_engine_run(outer.engine);
        finish(&outer, seed);
        finish(&inner, seed + 100);
        MOE_CHECK(outer.log == alone && inner.log == other, "seed %llu", (unsigned long long)seed);
    }
}

/* Tasks one after another, each alone: what is measured is the sum of the parts, and it is the
 * bound. */
static moe_time
run_chain(uint64_t seed, double rate, moe_time *parts)
{
    moe_engine *engine = moe_engine_new(seed);
    moe_stream random = moe_stream_new(seed, "chain", 0);
    moe_engine_add_cause(engine, "any", MOE_CAUSE_TRANSFER);
    moe_server_id server = moe_engine_add_server(engine, "server", 65536);
    moe_link_id links[3];
    for (int i = 0; i < 3; i++)
        links[i] = moe_engine_add_link(engine, "link", rate * (1 + i));
    moe_path_id path = moe_engine_add_path(engine, links, 3, 0);
    moe_task *last = NULL;
    *parts = 0;
    for (int i = 0; i < 100; i++) {
        moe_task *task = moe_task_new(engine);
        uint64_t draw = moe_stream_next(&random);
        task->work = (moe_time)(draw % 1000000);
        task->server = draw >> 40 & 1 ? server : MOE_NO_SERVER;
        task->path = draw >> 41 & 1 ? path : MOE_NO_PATH;
        task->bytes = task->path == path ? (int64_t)(draw >> 44) : 0;
        *parts += task->work + (task->bytes ? moe_time_of_bytes((double)task->bytes, rate) : 0);
        if (last)
            moe_task_after(engine, task, last);
        moe_task_submit(engine, task);
        last = task;
    }
    moe_time end = moe_engine_run(engine);
    MOE_CHECK(moe_engine_free_path(engine) == end, "bound %lld of %lld",
              (long long)moe_engine_free_path(engine), (long long)end);
    moe_engine_free(engine);
    return end;
}

static void
sum_of_parts(void)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        moe_time parts, slow = run_chain(seed, 3.1e9, &parts);
        MOE_CHECK(slow == parts, "%lld ps, not %lld", (long long)slow, (long long)parts);
        moe_time fast = run_chain(seed, 6.2e9, &parts);
        MOE_CHECK(fast <= slow, "%lld ps at twice the bandwidth, %lld before", (long long)fast,
                  (long long)slow);
    }
}

static void
note_start(void *context, const moe_task *task)
{
    if (task->priority == 0)
        *(moe_time *)context = task->start;
}

/* Whenever a demand comes during a long low-class transfer, it starts at the next boundary. */
static void
next_boundary(void)
{
    const int64_t chunk = 1 << 20;
    moe_stream random = moe_stream_new(1, "boundary", 0);
    for (int i = 0; i < 200; i++) {
        moe_engine *engine = moe_engine_new(1);
        moe_time start = -1, at = (moe_time)moe_stream_below(&random, 600000000);
        moe_observer observer = {.started = note_start, .context = &start};
        moe_engine_observe(engine, &observer);
        moe_engine_add_cause(engine, "load", MOE_CAUSE_TRANSFER);
        moe_server_id server = moe_engine_add_server(engine, "copy", chunk);
        moe_link_id link = moe_engine_add_link(engine, "link", 25e9);
        moe_path_id path = moe_engine_add_path(engine, &link, 1, 24.7e9);
        moe_task *tasks[3];
        for (int k = 0; k < 3; k++)
            tasks[k] = moe_task_new(engine);
        tasks[0]->bytes = 16 << 20;
        tasks[0]->priority = 3;
        tasks[1]->bytes = 1 << 20;
        tasks[2]->work = at;
        tasks[2]->priority = 1;
        for (int k = 0; k < 2; k++) {
            tasks[k]->server = server;
            tasks[k]->path = path;
        }
        moe_task_after(engine, tasks[1], tasks[2]);
        for (int k = 0; k < 3; k++)
            moe_task_submit(engine, tasks[k]);
        moe_engine_run(engine);
        int64_t n = (int64_t)((double)at * 24.7e-3 / (double)chunk) + 1;
        moe_time boundary = moe_time_of_bytes((double)(n * chunk), 24.7e9);
        MOE_CHECK(start >= boundary - 1 && start <= boundary + 1, "started at %lld, not %lld",
                  (long long)start, (long long)boundary);
        moe_engine_free(engine);
    }
}

MOE_TESTS({"any graph", any_graph}, {"same seed, same log", same_seed_same_log},
          {"engines are apart", engines_are_apart}, {"sum of parts", sum_of_parts},
          {"next boundary", next_boundary})
