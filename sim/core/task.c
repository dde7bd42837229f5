/* The life of a task: dependencies, submission, the end, reuse. */
#include "sim/core/engine_state.h"

#include "sim/base/poison.h"

#define TASK_BLOCK 256
/* Done tasks are looked through for reuse when so many have gathered. */
#define TASK_DONE_MIN 32
/* More than this and the oldest gap of blame is given up, so that memory stays bounded. */
#define TASK_DONE_MAX (1u << 18)

/* ---- free lists ---- */

static void
task_refill(moe_engine *engine)
{
    moe_task *block = moe_engine_block(engine, TASK_BLOCK, sizeof *block);
    for (uint32_t i = TASK_BLOCK; i-- > 0;) {
        block[i].next = engine->free_tasks;
        engine->free_tasks = &block[i];
    }
}

static moe_edge *
task_edge_new(moe_engine *engine)
{
    if (MOE_UNLIKELY(!engine->free_edges)) {
        moe_edge *block = moe_engine_block(engine, TASK_BLOCK, sizeof *block);
        for (uint32_t i = TASK_BLOCK; i-- > 0;) {
            block[i].next = engine->free_edges;
            engine->free_edges = &block[i];
        }
    }
    moe_edge *edge = engine->free_edges;
    engine->free_edges = edge->next;
    return edge;
}

static moe_tail *
task_tail(moe_engine *engine, moe_task *task)
{
    if (task->tail)
        return task->tail;
    if (!engine->free_tails) {
        moe_tail *block = moe_engine_block(engine, TASK_BLOCK, sizeof *block);
        for (uint32_t i = TASK_BLOCK; i-- > 0;) {
            block[i].next = engine->free_tails;
            engine->free_tails = &block[i];
        }
    }
    task->tail = engine->free_tails;
    engine->free_tails = task->tail->next;
    *task->tail = (moe_tail){0};
    return task->tail;
}

/* Reuses a task that is not needed any more, unless it was cancelled and what it depended on
 * still points to it. */
static void
task_reuse(moe_engine *engine, moe_task *task)
{
    if (!task->forgotten || task->waiting > 0)
        return;
    if (task->tail) {
        if (task->tail->producers > 0)
            return;
        task->tail->next = engine->free_tails;
        engine->free_tails = task->tail;
    }
    task->next = engine->free_tasks;
    engine->free_tasks = task;
}

/* Done tasks that nobody will look at any more are reused. */
static void
task_sweep(moe_engine *engine)
{
    moe_time limit = engine->now - 1;
    if (engine->blame) {
        bool crowded = engine->n_done >= TASK_DONE_MAX;
        moe_time horizon = moe_blame_horizon(engine->blame, engine->now, crowded);
        limit = horizon < limit ? horizon : limit;
    }
    moe_task *task = engine->done_head;
    while (task && task->end <= limit) {
        moe_task *next = task->next;
        engine->n_done--;
        task->forgotten = true;
        task_reuse(engine, task);
        task = next;
    }
    engine->done_head = task;
    uint32_t twice = 2 * engine->n_done;
    engine->done_limit = twice > TASK_DONE_MIN ? twice : TASK_DONE_MIN;
    if (engine->done_limit > TASK_DONE_MAX)
        engine->done_limit = engine->n_done + TASK_DONE_MAX / 2;
}

/* ---- creation and dependencies ---- */

/* Field by field, which is faster than clearing all of it; what submission and service set before
 * they read it is left alone. */
static inline void
task_clear(moe_task *task)
{
    task->work = 0;
    task->bytes = 0;
    task->on_done = NULL;
    task->user[0] = task->user[1] = 0;
    task->group = 0;
    task->server = MOE_NO_SERVER;
    task->path = MOE_NO_PATH;
    task->cause = 0;
    task->priority = 0;
    task->n_shares = 0;
    for (uint32_t i = 0; i < MOE_TASK_SHARES; i++)
        task->shares[i] = (moe_share){MOE_NO_CAPACITY, 0};
    task->ready = task->start = task->end = 0;
    task->free = task->lean = 0;
    task->binding = task->before = NULL;
    task->satisfied = -1;
    task->dependents = NULL;
    task->due = MOE_TIME_NEVER;
    task->speed = 1;
    task->left = task->stop = 0;
    task->tail = NULL;
    task->waiting = 1; /* until submitted */
    task->state = TASK_WAITING;
    task->begun = task->forgotten = false;
}

moe_task *
moe_task_new(moe_engine *engine)
{
    if (MOE_UNLIKELY(!engine->free_tasks))
        task_refill(engine);
    moe_task *task = engine->free_tasks;
    engine->free_tasks = task->next;
    task_clear(task);
    return task;
}

/* Takes note of a dependency that is satisfied at `at`. */
static inline void
task_satisfied(moe_task *task, const moe_task *by, moe_time at, moe_time free, moe_time lean)
{
    if (free > task->free)
        task->free = free;
    if (lean > task->lean)
        task->lean = lean;
    if (at > task->satisfied ||
        (at == task->satisfied && task->binding && by->sequence < task->binding->sequence)) {
        task->binding = by;
        task->satisfied = at;
    }
}

static void
task_link(moe_engine *engine, moe_task *task, moe_task *before, double granule)
{
    moe_edge *edge = task_edge_new(engine);
    edge->next = before->dependents;
    edge->task = task;
    edge->granule = granule;
    edge->released = false;
    before->dependents = edge;
    task->waiting++;
}

void
moe_task_after(moe_engine *engine, moe_task *task, moe_task *before)
{
    moe_dassert(task->state == TASK_WAITING && !task->begun, "a dependency of a running task");
    if (before->state == TASK_DONE)
        task_satisfied(task, before, before->end, before->free, before->lean);
    else
        task_link(engine, task, before, 0);
}

void
moe_task_after_mark(moe_engine *engine, moe_task *task, const moe_mark *mark)
{
    moe_assert(mark->end <= engine->now, "a mark of %lld ps, in the future", (long long)mark->end);
    if (mark->free > task->free)
        task->free = mark->free;
    if (mark->lean > task->lean)
        task->lean = mark->lean;
}

void
moe_task_stream(moe_engine *engine, moe_task *task, moe_task *before, double granule)
{
    moe_assert(granule > 0 && granule <= 1, "a granule of %g", granule);
    if (before->state == TASK_DONE) {
        moe_task_after(engine, task, before);
        return;
    }
    task_link(engine, task, before, granule);
    task_tail(engine, task)->producers++;
    task_tail(engine, before);
    if (before->begun) /* it may have put out enough by now, or must halt earlier than planned */
        moe_service_review(engine, before);
}

static void
task_ready(moe_engine *engine, moe_task *task)
{
    task->ready = engine->now;
    if (task->server == MOE_NO_SERVER)
        moe_service_start(engine, task);
    else
        moe_server_enqueue(engine, task);
}

/* Zero-load time of its bytes. Transfers of one path are mostly alike, so the last is kept. */
static inline moe_time
task_bytes_time(moe_engine *engine, const moe_task *task)
{
    engine_path *path = &engine->paths[task->path];
    if (MOE_UNLIKELY(path->last_bytes != task->bytes)) {
        path->last_bytes = task->bytes;
        path->last_time = moe_time_of_bytes((double)task->bytes, path->rate);
    }
    return path->last_time;
}

void
moe_task_submit(moe_engine *engine, moe_task *task)
{
    moe_assert(task->work >= 0 && task->bytes >= 0, "a task of %lld ps and %lld bytes",
               (long long)task->work, (long long)task->bytes);
    moe_assert(task->bytes == 0 || task->path != MOE_NO_PATH, "%lld bytes without a path",
               (long long)task->bytes);
    moe_dassert(task->server == MOE_NO_SERVER || task->server < engine->n_servers, "server %u",
                task->server);
    task->sequence = ++engine->sequence;
    task->order = moe_event_order(task->priority, task->sequence);
    task->zero_load = task->work;
    task->remaining = task->work;
    if (engine_task_flows(task)) {
        task->left = (double)task->bytes;
        task->zero_load = moe_time_add(task->work, task_bytes_time(engine, task));
    }
    engine->tasks++;
    if (--task->waiting == 0)
        task_ready(engine, task);
}

moe_mark
moe_task_mark(const moe_task *task)
{
    moe_assert(task->state == TASK_DONE, "a mark of a task that is not done");
    return (moe_mark){task->end, task->free, task->lean};
}

/* ---- release of dependents ---- */

static void
task_release(moe_engine *engine, moe_task *task)
{
    if (--task->waiting > 0)
        return;
    if (MOE_LIKELY(task->state == TASK_WAITING))
        task_ready(engine, task);
    else /* cancelled before */
        task_reuse(engine, task);
}

/* Zero-load time from a task's start until the first `granule` of it is out; it is out now, so
 * that a picosecond of rounding does not count. */
static moe_time
task_granule_time(const moe_engine *engine, const moe_task *task, double granule)
{
    moe_time first = moe_time_ceil(granule * (double)task->work);
    if (engine_task_flows(task)) {
        double bytes = granule * (double)task->bytes;
        first = moe_time_add(task->work, moe_time_of_bytes(bytes, engine->paths[task->path].rate));
    }
    return first < engine->now - task->start ? first : engine->now - task->start;
}

/* The first granule for `edge` is out, at the latest because the producer is done. */
static void
task_first_granule(moe_engine *engine, moe_task *task, moe_edge *edge)
{
    moe_time free = task->free, lean = task->lean;
    if (task->state != TASK_DONE) { /* these are its start's so far */
        moe_time first = task_granule_time(engine, task, edge->granule);
        free += first;
        lean += task->path == MOE_NO_PATH ? first : 0;
    }
    edge->released = true;
    if (edge->task->state != TASK_DONE)
        task_satisfied(edge->task, task, engine->now, free, lean);
    task_release(engine, edge->task);
}

void
moe_task_granules(moe_engine *engine, moe_task *task)
{
    double out = (double)task->bytes - task->left, whole = (double)task->bytes;
    if (!engine_task_flows(task)) {
        out = (double)(task->work - task->remaining);
        whole = (double)task->work;
    }
    for (moe_edge *edge = task->dependents; edge; edge = edge->next) {
        if (edge->granule > 0 && !edge->released && out >= edge->granule * whole * (1 - 1e-12))
            task_first_granule(engine, task, edge);
    }
}

/* The producer of a stream is done: its consumer may end its last granule later. */
static void
task_stream_end(moe_engine *engine, const moe_task *task, const moe_edge *edge)
{
    moe_task *to = edge->task;
    moe_tail *tail = to->tail;
    moe_time last = moe_time_ceil(edge->granule * (double)to->zero_load);
    moe_time end = moe_time_add(task->end, last);
    moe_time free = moe_time_add(task->free, last);
    moe_time lean = moe_time_add(task->lean, to->path == MOE_NO_PATH ? last : 0);
    tail->free = free > tail->free ? free : tail->free;
    tail->lean = lean > tail->lean ? lean : tail->lean;
    if (end > tail->end) {
        tail->end = end;
        tail->last = task;
        tail->cause = task->cause;
    }
    if (to->state == TASK_STALLED && tail->producers == 0)
        engine_schedule(engine, to, tail->end > engine->now ? tail->end : engine->now);
}

/* Releases what waits for `task`, in the order in which it was attached. */
static void
task_release_all(moe_engine *engine, moe_task *task)
{
    moe_edge *edge = task->dependents, *list = NULL;
    while (edge) {
        moe_edge *next = edge->next;
        edge->next = list;
        list = edge;
        edge = next;
    }
    task->dependents = NULL;
    while (list) {
        moe_edge *next = list->next;
        moe_task *to = list->task;
        if (MOE_LIKELY(list->granule == 0)) {
            if (MOE_LIKELY(to->state != TASK_DONE))
                task_satisfied(to, task, engine->now, task->free, task->lean);
            task_release(engine, to);
        } else {
            to->tail->producers--;
            if (to->state != TASK_DONE)
                task_stream_end(engine, task, list);
            if (!list->released)
                task_first_granule(engine, task, list);
            else if (MOE_UNLIKELY(to->state == TASK_DONE))
                task_reuse(engine, to);
        }
        list->next = engine->free_edges;
        engine->free_edges = list;
        list = next;
    }
}

/* ---- the end ---- */

static void
task_bounds(moe_engine *engine, moe_task *task)
{
    task->free = moe_time_add(task->free, task->zero_load);
    if (task->path == MOE_NO_PATH)
        task->lean += task->zero_load;
    if (task->tail) {
        task->free = task->tail->free > task->free ? task->tail->free : task->free;
        task->lean = task->tail->lean > task->lean ? task->tail->lean : task->lean;
    }
    moe_dassert(task->free <= engine->now, "a task ends at %lld ps, before its bound %lld ps",
                (long long)engine->now, (long long)task->free);
}

static void
task_end(moe_engine *engine, moe_task *task)
{
    if (task->free > engine->free_path)
        engine->free_path = task->free;
    if (task->lean > engine->lean_path)
        engine->lean_path = task->lean;
    for (uint32_t i = 0; i < engine->n_observers; i++) {
        const moe_observer *observer = &engine->observers[i];
        if (observer->done)
            observer->done(observer->context, task);
    }
    if (task->dependents)
        task_release_all(engine, task);
}

static void
task_keep(moe_engine *engine, moe_task *task)
{
    task->next = NULL;
    if (engine->done_head)
        engine->done_tail->next = task;
    else
        engine->done_head = task;
    engine->done_tail = task;
    if (++engine->n_done >= engine->done_limit)
        task_sweep(engine);
}

void
moe_task_finish(moe_engine *engine, moe_task *task)
{
    task->end = engine->now;
    moe_service_quit(engine, task);
    task->state = TASK_DONE;
    if (engine_task_flows(task)) {
        const engine_path *path = &engine->paths[task->path];
        for (uint32_t i = 0; i < path->n; i++)
            engine->links[engine->path_links[path->first + i]].bytes += task->bytes;
    }
    task_bounds(engine, task);
    task_end(engine, task);
    if (task->on_done)
        task->on_done(engine, task, engine->context);
    task_keep(engine, task);
}

void
moe_task_drop(moe_engine *engine, moe_task *task)
{
    task_end(engine, task);
    task_keep(engine, task);
}
