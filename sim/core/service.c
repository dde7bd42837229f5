/* How a task that has started gets on.
 *
 * A task works (`remaining` picoseconds at speed 1), then moves its bytes (`left`). It halts when
 * both are over, and before that where a stream's first granule is out, or at a chunk's boundary
 * when a higher class waits for its server. While the links of its path carry nothing else, work
 * and bytes take one event (solo); as soon as others come, it is a flow in the network. */
#include "sim/core/engine_state.h"
#include "sim/core/grow.h"

#include <math.h>

#include "sim/base/poison.h"

/* Bytes below this are rounding. */
#define SERVICE_NO_BYTES 1e-6

static moe_time
service_stretch(moe_time work, double speed)
{
    if (MOE_LIKELY(speed == 1))
        return work;
    return moe_time_ceil((double)work / speed * (1 - 0x1p-51));
}

/* ---- links that carry one transfer ---- */

static void
service_claim(moe_engine *engine, moe_task *task)
{
    const engine_path *path = &engine->paths[task->path];
    for (uint32_t i = 0; i < path->n; i++) {
        engine_link *link = &engine->links[engine->path_links[path->first + i]];
        link->solo = task;
        link->users = 1;
        link->busy_since = task->since;
    }
}

static void
service_unclaim(moe_engine *engine, const moe_task *task)
{
    const engine_path *path = &engine->paths[task->path];
    for (uint32_t i = 0; i < path->n; i++) {
        engine_link *link = &engine->links[engine->path_links[path->first + i]];
        link->solo = NULL;
        link->users = 0;
        if (engine->now > link->busy_since)
            link->busy += engine->now - link->busy_since;
    }
}

static bool
service_links_idle(const moe_engine *engine, const moe_task *task)
{
    const engine_path *path = &engine->paths[task->path];
    for (uint32_t i = 0; i < path->n; i++) {
        if (engine->links[engine->path_links[path->first + i]].users > 0)
            return false;
    }
    return true;
}

/* ---- links that carry several ---- */

static void
service_join(moe_engine *engine, moe_task *task)
{
    const engine_path *path = &engine->paths[task->path];
    double cap = task->speed < 1 ? path->rate * task->speed : 0;
    for (uint32_t i = 0; i < path->n; i++) {
        engine_link *link = &engine->links[engine->path_links[path->first + i]];
        if (link->users++ == 0)
            link->busy_since = engine->now;
    }
    task->since = engine->now;
    task->flow =
        moe_flow_start(engine->flows, task->path, task->left - task->stop, cap, task, engine->now);
    task->state = TASK_FLOW;
    engine->flows_changed = true;
}

static void
service_leave(moe_engine *engine, const moe_task *task)
{
    const engine_path *path = &engine->paths[task->path];
    for (uint32_t i = 0; i < path->n; i++) {
        engine_link *link = &engine->links[engine->path_links[path->first + i]];
        if (--link->users == 0)
            link->busy += engine->now - link->busy_since;
    }
}

/* A transfer that had its links for itself must share them from now on. */
static void
service_evict(moe_engine *engine, moe_task *task)
{
    moe_time since = task->since;
    bool flowing = since <= engine->now;
    moe_service_settle(engine, task);
    if (flowing) {
        service_join(engine, task);
        return;
    }
    task->state = TASK_LATENCY;
    task->since = engine->now;
    engine_schedule(engine, task, since);
}

static void
service_share(moe_engine *engine, moe_task *task)
{
    const engine_path *path = &engine->paths[task->path];
    for (uint32_t i = 0; i < path->n; i++) {
        const engine_link *link = &engine->links[engine->path_links[path->first + i]];
        if (link->solo)
            service_evict(engine, link->solo);
    }
    service_join(engine, task);
}

/* ---- going on and stopping ---- */

/* Bytes left at the next halt. */
static double
service_stop(const moe_engine *engine, const moe_task *task)
{
    double stop = 0, bytes = (double)task->bytes;
    for (const moe_edge *edge = task->tail ? task->dependents : NULL; edge; edge = edge->next) {
        double at = bytes * (1 - edge->granule);
        if (edge->granule > 0 && !edge->released && at > stop && at < task->left)
            stop = at;
    }
    if (!moe_server_contested(engine, task))
        return stop;
    double chunk = (double)engine->servers[task->server].chunk;
    double boundary = bytes - ceil((bytes - task->left) / chunk) * chunk;
    return boundary > stop ? boundary : stop;
}

static moe_time
service_stop_work(const moe_task *task)
{
    moe_time stop = 0;
    for (const moe_edge *edge = task->tail ? task->dependents : NULL; edge; edge = edge->next) {
        moe_time at = task->work - moe_time_ceil(edge->granule * (double)task->work);
        if (edge->granule > 0 && !edge->released && at > stop && at < task->remaining)
            stop = at;
    }
    return stop;
}

/* The end does not come before zero-load time is over, whatever rounding of parts says. */
static moe_time
service_halt(const moe_task *task, moe_time at)
{
    moe_time least = moe_time_add(task->start, task->zero_load);
    if (task->stop > 0 || (task->tail && task->tail->stop_work > 0))
        return at;
    return at > least ? at : least;
}

static void
service_go_work(moe_engine *engine, moe_task *task)
{
    moe_time stop = task->tail ? service_stop_work(task) : 0;
    if (task->tail)
        task->tail->stop_work = stop;
    task->state = TASK_WORK;
    task->stop = 0;
    task->since = engine->now;
    moe_time at = moe_time_add(engine->now, service_stretch(task->remaining - stop, task->speed));
    engine_schedule(engine, task, service_halt(task, at));
}

/* How long its bytes take until the next halt, alone on its links. */
static inline moe_time
service_bytes(const moe_engine *engine, const moe_task *task)
{
    double bytes = task->left - task->stop;
    if (MOE_LIKELY(bytes == (double)task->bytes && task->speed == 1))
        return task->zero_load - task->work;
    return moe_time_of_bytes(bytes, engine->paths[task->path].rate * task->speed);
}

void
moe_service_go(moe_engine *engine, moe_task *task)
{
    if (!engine_task_flows(task)) {
        service_go_work(engine, task);
        return;
    }
    moe_time latency = service_stretch(task->remaining, task->speed);
    task->stop = service_stop(engine, task);
    if (MOE_LIKELY(service_links_idle(engine, task))) {
        task->state = TASK_SOLO;
        task->since = moe_time_add(engine->now, latency);
        service_claim(engine, task);
        moe_time at = moe_time_add(task->since, service_bytes(engine, task));
        engine_schedule(engine, task, service_halt(task, at));
    } else if (latency > 0) {
        task->state = TASK_LATENCY;
        task->since = engine->now;
        engine_schedule(engine, task, moe_time_add(engine->now, latency));
    } else {
        service_share(engine, task);
    }
}

moe_time
moe_service_left(const moe_engine *engine, const moe_task *task, double *left)
{
    moe_time elapsed = engine->now - task->since, remaining = task->remaining;
    *left = task->left;
    switch (task->state) {
    case TASK_WORK:
    case TASK_LATENCY:
        remaining -= task->speed == 1 ? elapsed : (moe_time)((double)elapsed * task->speed);
        return remaining > 0 ? remaining : 0;
    case TASK_SOLO:
        if (elapsed < 0)
            return task->speed == 1 ? -elapsed : moe_time_ceil((double)-elapsed * task->speed);
        *left -= engine->paths[task->path].rate * task->speed * (double)elapsed * 1e-12;
        *left = *left > task->stop ? *left : task->stop;
        return 0;
    case TASK_FLOW:
        *left = task->stop + moe_flow_left(engine->flows, task->flow, engine->now);
        return 0;
    default:
        return remaining;
    }
}

void
moe_service_settle(moe_engine *engine, moe_task *task)
{
    task->remaining = moe_service_left(engine, task, &task->left);
    engine_unschedule(engine, task);
    if (task->state == TASK_SOLO) {
        service_unclaim(engine, task);
    } else if (task->state == TASK_FLOW) {
        moe_flow_stop(engine->flows, task->flow, engine->now);
        service_leave(engine, task);
        engine->flows_changed = true;
    }
    task->state = TASK_HALTED;
    task->since = engine->now;
}

/* ---- shares of capacities ---- */

static double
service_speed(const moe_engine *engine, const moe_task *task)
{
    double most = 1;
    for (uint32_t i = 0; i < task->n_shares; i++) {
        double sum = engine->capacities[task->shares[i].capacity].sum;
        most = sum > most ? sum : most;
    }
    return 1 / most;
}

/* The load of a capacity changed: its holders go on at their new speed. */
static void
service_respeed(moe_engine *engine, const engine_capacity *capacity)
{
    for (uint32_t i = 0; i < capacity->n_holders; i++) {
        moe_task *task = capacity->holders[i];
        double speed = service_speed(engine, task);
        bool moving = task->state == TASK_WORK || task->state == TASK_LATENCY ||
                      task->state == TASK_SOLO || task->state == TASK_FLOW;
        if (speed == task->speed)
            continue;
        if (moving)
            moe_service_settle(engine, task);
        task->speed = speed;
        if (moving)
            moe_service_go(engine, task);
    }
}

static void
service_acquire(moe_engine *engine, moe_task *task)
{
    for (uint32_t i = 0; i < task->n_shares; i++) {
        engine_capacity *capacity = &engine->capacities[task->shares[i].capacity];
        capacity->sum += (double)task->shares[i].amount;
        if (capacity->sum > 1)
            service_respeed(engine, capacity);
    }
    for (uint32_t i = 0; i < task->n_shares; i++) {
        engine_capacity *capacity = &engine->capacities[task->shares[i].capacity];
        moe_grow(&capacity->holders, &capacity->holder_room, capacity->n_holders + 1,
                 sizeof *capacity->holders);
        capacity->holders[capacity->n_holders++] = task;
    }
    task->speed = service_speed(engine, task);
}

void
moe_service_release(moe_engine *engine, const moe_task *task)
{
    for (uint32_t i = 0; i < task->n_shares; i++) {
        engine_capacity *capacity = &engine->capacities[task->shares[i].capacity];
        uint32_t at = 0;
        while (capacity->holders[at] != task)
            at++;
        capacity->holders[at] = capacity->holders[--capacity->n_holders];
        bool over = capacity->sum > 1;
        capacity->sum -= (double)task->shares[i].amount;
        if (capacity->n_holders == 0)
            capacity->sum = 0; /* whatever rounding left */
        if (over)
            service_respeed(engine, capacity);
    }
}

/* ---- events ---- */

void
moe_service_start(moe_engine *engine, moe_task *task)
{
    if (!task->begun) {
        task->begun = true;
        task->start = engine->now;
        for (uint32_t i = 0; i < engine->n_observers; i++) {
            const moe_observer *observer = &engine->observers[i];
            if (observer->started)
                observer->started(observer->context, task);
        }
    }
    if (task->n_shares > 0)
        service_acquire(engine, task);
    moe_service_go(engine, task);
}

void
moe_service_quit(moe_engine *engine, moe_task *task)
{
    if (task->state == TASK_STALLED && task->path != MOE_NO_PATH)
        return; /* it did when it stalled */
    if (task->n_shares > 0)
        moe_service_release(engine, task);
    if (task->server != MOE_NO_SERVER)
        moe_server_vacate(engine, &engine->servers[task->server], task);
}

/* The task's own service is over; it is done unless a stream holds it back. */
static void
service_over(moe_engine *engine, moe_task *task)
{
    moe_tail *tail = task->tail;
    if (MOE_LIKELY(!tail || (tail->producers == 0 && tail->end <= engine->now))) {
        moe_task_finish(engine, task);
        return;
    }
    if (task->path != MOE_NO_PATH)
        moe_service_quit(engine, task);
    task->state = TASK_STALLED;
    tail->served = engine->now;
    if (tail->producers == 0)
        engine_schedule(engine, task, tail->end);
}

/* A settled task halts here: what waited for it to get so far is released. */
static void
service_halted(moe_engine *engine, moe_task *task)
{
    if (task->tail)
        moe_task_granules(engine, task);
    if (task->remaining == 0 && task->left <= SERVICE_NO_BYTES) {
        service_over(engine, task);
        return;
    }
    if (moe_server_contested(engine, task)) {
        double chunk = (double)engine->servers[task->server].chunk;
        double chunks = ((double)task->bytes - task->left) / chunk;
        if (fabs(chunks - round(chunks)) * chunk <= SERVICE_NO_BYTES) {
            moe_server_suspend(engine, task);
            return;
        }
    }
    moe_service_go(engine, task);
}

void
moe_service_review(moe_engine *engine, moe_task *task)
{
    switch (task->state) {
    case TASK_WORK:
    case TASK_LATENCY:
    case TASK_SOLO:
    case TASK_FLOW:
        moe_service_settle(engine, task);
        service_halted(engine, task);
        break;
    case TASK_QUEUED:
    case TASK_STALLED:
        moe_task_granules(engine, task);
        break;
    default: /* at this instant it will be seen to anyway */
        break;
    }
}

void
moe_service_landed(void *context, void *owner)
{
    moe_engine *engine = context;
    moe_task *task = owner;
    service_leave(engine, task);
    task->state = TASK_LANDED;
    task->left = task->stop;
    engine_schedule(engine, task, service_halt(task, engine->now));
}

void
moe_service_event(moe_engine *engine, moe_task *task)
{
    task->due = MOE_TIME_NEVER;
    switch (task->state) {
    case TASK_WORK:
        task->remaining = task->tail ? task->tail->stop_work : 0;
        break;
    case TASK_LATENCY:
        task->remaining = 0;
        break;
    case TASK_SOLO:
        service_unclaim(engine, task);
        task->remaining = 0;
        task->left = task->stop;
        break;
    case TASK_STALLED:
        moe_task_finish(engine, task);
        return;
    default: /* TASK_LANDED */
        break;
    }
    if (MOE_LIKELY(!task->tail && task->remaining == 0 && task->left <= 0)) {
        moe_task_finish(engine, task);
        return;
    }
    task->state = TASK_HALTED;
    service_halted(engine, task);
}
