/* Servers: queues by class, suspension at chunk boundaries, cancelling. */
#include "sim/core/engine_state.h"
#include "sim/core/grow.h"

#include <math.h>

#include "sim/base/poison.h"

/* ---- lanes ---- */

static engine_lane *
server_lane(engine_server *server, uint8_t priority)
{
    uint32_t n = priority + 1u;
    if (MOE_UNLIKELY(n > server->n_lanes)) {
        moe_grow(&server->lanes, &server->lane_room, n, sizeof *server->lanes);
        for (; server->n_lanes < n; server->n_lanes++)
            server->lanes[server->n_lanes] = (engine_lane){0};
    }
    return &server->lanes[priority];
}

static void
server_insert(moe_engine *engine, moe_task *task)
{
    engine_server *server = &engine->servers[task->server];
    engine_lane *lane = server_lane(server, task->priority);
    moe_task *after = lane->tail;
    while (after && (after->ready > task->ready ||
                     (after->ready == task->ready && after->sequence > task->sequence)))
        after = after->prev;
    task->prev = after;
    task->next = after ? after->next : lane->head;
    if (task->next)
        task->next->prev = task;
    else
        lane->tail = task;
    if (after)
        after->next = task;
    else
        lane->head = task;
    server->queued++;
}

static void
server_remove(moe_engine *engine, moe_task *task)
{
    engine_server *server = &engine->servers[task->server];
    engine_lane *lane = &server->lanes[task->priority];
    if (task->next)
        task->next->prev = task->prev;
    else
        lane->tail = task->prev;
    if (task->prev)
        task->prev->next = task->next;
    else
        lane->head = task->next;
    server->queued--;
}

/* ---- starting and stopping ---- */

static void
server_kick(moe_engine *engine, engine_server *server)
{
    if (server->kicked)
        return;
    server->kicked = true;
    engine->kicked[engine->n_kicked++] = (uint32_t)(server - engine->servers);
}

bool
moe_server_contested(const moe_engine *engine, const moe_task *task)
{
    if (task->server == MOE_NO_SERVER)
        return false;
    const engine_server *server = &engine->servers[task->server];
    if (server->queued == 0 || server->chunk == 0 || !engine_task_flows(task))
        return false;
    uint32_t n = task->priority < server->n_lanes ? task->priority : server->n_lanes;
    for (uint32_t i = 0; i < n; i++) {
        if (server->lanes[i].head)
            return true;
    }
    return false;
}

void
moe_server_enqueue(moe_engine *engine, moe_task *task)
{
    engine_server *server = &engine->servers[task->server];
    task->state = TASK_QUEUED;
    server_insert(engine, task);
    if (!server->running)
        server_kick(engine, server);
    else if (moe_server_contested(engine, server->running))
        moe_service_review(engine, server->running);
}

void
moe_server_vacate(moe_engine *engine, engine_server *server, moe_task *task)
{
    moe_dassert(server->running == task, "a server runs another task");
    server->busy += engine->now - server->busy_since;
    server->running = NULL;
    server->last = task;
    server->vacated = engine->now;
    if (server->watch != MOE_NONE)
        moe_blame_vacated(engine->blame, server->watch);
    if (server->queued > 0)
        server_kick(engine, server);
}

void
moe_server_suspend(moe_engine *engine, moe_task *task)
{
    if (task->n_shares > 0)
        moe_service_release(engine, task);
    moe_server_vacate(engine, &engine->servers[task->server], task);
    moe_server_enqueue(engine, task);
}

static void
server_start(moe_engine *engine, engine_server *server)
{
    uint32_t lane = 0;
    while (!server->lanes[lane].head)
        lane++;
    moe_task *task = server->lanes[lane].head;
    server_remove(engine, task);
    server->running = task;
    server->busy_since = engine->now;
    /* The last one is still there if it ended (or was suspended) at this instant. */
    if (!task->begun && server->last && server->vacated == engine->now)
        task->before = server->last;
    if (!task->begun)
        task->start = engine->now;
    if (server->watch != MOE_NONE)
        moe_blame_occupied(engine->blame, server->watch, task);
    moe_service_start(engine, task);
}

void
moe_server_dispatch(moe_engine *engine)
{
    for (uint32_t i = 0; i < engine->n_kicked; i++) {
        engine_server *server = &engine->servers[engine->kicked[i]];
        server->kicked = false;
        if (!server->running && server->queued > 0)
            server_start(engine, server);
    }
    engine->n_kicked = 0;
}

/* ---- changes from outside ---- */

int64_t
moe_task_cancel(moe_engine *engine, moe_task *task)
{
    uint8_t state = task->state;
    moe_assert(state != TASK_DONE, "cancelling a task that is done");
    moe_assert(state != TASK_WORK || task->path != MOE_NO_PATH, "cancelling a running computation");
    if (state == TASK_QUEUED)
        server_remove(engine, task);
    else if (state != TASK_WAITING)
        moe_service_settle(engine, task);
    if (state == TASK_WAITING)
        task->ready = engine->now;
    if (!task->begun)
        task->start = engine->now;
    task->end = engine->now;
    if (state != TASK_QUEUED && state != TASK_WAITING) {
        task->state = state;
        moe_service_quit(engine, task);
    }
    task->state = TASK_DONE;
    int64_t flowed = 0;
    if (task->begun && engine_task_flows(task)) {
        const engine_path *path = &engine->paths[task->path];
        flowed = task->bytes - (int64_t)ceil(task->left);
        for (uint32_t i = 0; i < path->n; i++)
            engine->links[engine->path_links[path->first + i]].bytes += flowed;
    }
    moe_task_drop(engine, task);
    return flowed;
}

void
moe_task_set_priority(moe_engine *engine, moe_task *task, uint8_t priority)
{
    moe_assert(task->state != TASK_DONE, "the class of a task that is done");
    if (task->priority == priority)
        return;
    if (task->state == TASK_QUEUED) {
        server_remove(engine, task);
        task->priority = priority;
        task->order = moe_event_order(priority, task->sequence);
        moe_server_enqueue(engine, task);
        return;
    }
    moe_time due = task->due;
    engine_unschedule(engine, task);
    task->priority = priority;
    task->order = moe_event_order(priority, task->sequence);
    if (due != MOE_TIME_NEVER)
        engine_schedule(engine, task, due);
    if (task->begun && moe_server_contested(engine, task))
        moe_service_review(engine, task);
}

int64_t
moe_task_progress(const moe_engine *engine, const moe_task *task)
{
    double left;
    if (!task->begun || !engine_task_flows(task))
        return 0;
    if (task->state == TASK_DONE)
        return task->bytes - (int64_t)ceil(task->left);
    moe_service_left(engine, task, &left);
    return task->bytes - (int64_t)ceil(left);
}

/* ---- questions ---- */

/* Zero-load time left of a queued task. */
static moe_time
server_backlog_of(const moe_engine *engine, const moe_task *task)
{
    if (MOE_LIKELY(!task->begun))
        return task->zero_load;
    double rate = engine_task_flows(task) ? engine->paths[task->path].rate : 1;
    return moe_time_add(task->remaining, moe_time_of_bytes(task->left, rate));
}

bool
moe_engine_server_occupied(const moe_engine *engine, moe_server_id server, uint8_t priority)
{
    const engine_server *of = &engine->servers[server];
    if (of->running && of->running->priority <= priority)
        return true;
    for (uint32_t i = 0; i < of->n_lanes && i <= priority; i++) {
        if (of->lanes[i].head)
            return true;
    }
    return false;
}

moe_time
moe_engine_server_backlog(const moe_engine *engine, moe_server_id server, uint8_t priority)
{
    const engine_server *of = &engine->servers[server];
    moe_time backlog = 0;
    for (uint32_t i = 0; i < of->n_lanes && i <= priority; i++)
        for (const moe_task *queued = of->lanes[i].head; queued; queued = queued->next)
            backlog = moe_time_add(backlog, server_backlog_of(engine, queued));
    const moe_task *task = of->running;
    if (!task || task->priority > priority)
        return backlog;
    double left, rate = engine_task_flows(task) ? engine->paths[task->path].rate : 1;
    moe_time remaining = moe_service_left(engine, task, &left);
    return moe_time_add(moe_time_add(backlog, remaining), moe_time_of_bytes(left, rate));
}
