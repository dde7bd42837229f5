#include "sim/core/engine_state.h"
#include "sim/core/grow.h"

#include <stdio.h>

#include "sim/base/poison.h"

#define ENGINE_CALLS 64

/* Marks of events' items: a task's has none. */
#define ENGINE_CALL ((uintptr_t)1)
#define ENGINE_FLOWS ((uintptr_t)2)

moe_engine *
moe_engine_new(uint64_t seed)
{
    moe_engine *engine = calloc(1, sizeof *engine);
    moe_assert(engine, "out of memory for an engine");
    engine->queue = moe_event_queue_new();
    engine->flows = moe_flows_new();
    engine->flow_due = MOE_TIME_NEVER;
    engine->seed = seed;
    return engine;
}

void
moe_engine_free(moe_engine *engine)
{
    if (!engine)
        return;
    for (uint32_t i = 0; i < engine->n_servers; i++) {
        free(engine->servers[i].name);
        free(engine->servers[i].lanes);
    }
    for (uint32_t i = 0; i < engine->n_links; i++)
        free(engine->links[i].name);
    for (uint32_t i = 0; i < engine->n_capacities; i++) {
        free(engine->capacities[i].name);
        free(engine->capacities[i].holders);
    }
    for (uint32_t i = 0; i < engine->n_causes; i++)
        free(engine->causes[i].name);
    for (uint32_t i = 0; i < engine->n_blocks; i++)
        free(engine->blocks[i]);
    moe_event_queue_free(engine->queue);
    moe_flows_free(engine->flows);
    void *const arrays[] = {engine->servers,    engine->links,  engine->paths,
                            engine->path_links, engine->kicked, engine->capacities,
                            engine->causes,     engine->blocks, engine->observers};
    for (size_t i = 0; i < MOE_COUNT(arrays); i++)
        free(arrays[i]);
    free(engine);
}

void *
moe_engine_block(moe_engine *engine, size_t n, size_t size)
{
    moe_grow(&engine->blocks, &engine->block_room, engine->n_blocks + 1, sizeof *engine->blocks);
    void *block = calloc(n, size);
    moe_assert(block, "out of memory for %zu items of %zu bytes", n, size);
    engine->blocks[engine->n_blocks++] = block;
    return block;
}

void
moe_engine_set_context(moe_engine *engine, void *context)
{
    engine->context = context;
}

/* ---- set-up ---- */

static char *
engine_name(const char *name)
{
    char *copy = strdup(name);
    moe_assert(copy, "out of memory for '%s'", name);
    return copy;
}

uint16_t
moe_engine_add_cause(moe_engine *engine, const char *name, moe_cause_kind kind)
{
    moe_assert(engine->n_causes < UINT16_MAX, "more than %u causes", engine->n_causes);
    moe_grow(&engine->causes, &engine->cause_room, engine->n_causes + 1, sizeof *engine->causes);
    engine->causes[engine->n_causes] = (engine_cause){engine_name(name), kind};
    return (uint16_t)engine->n_causes++;
}

moe_server_id
moe_engine_add_server(moe_engine *engine, const char *name, int64_t chunk_bytes)
{
    moe_assert(engine->n_servers < MOE_NO_SERVER, "more than %u servers", engine->n_servers);
    moe_assert(chunk_bytes >= 0, "chunks of %lld bytes", (long long)chunk_bytes);
    uint32_t n = engine->n_servers + 1;
    moe_grow(&engine->servers, &engine->server_room, n, sizeof *engine->servers);
    moe_grow(&engine->kicked, &engine->kicked_room, n, sizeof *engine->kicked);
    engine->servers[engine->n_servers] =
        (engine_server){.chunk = chunk_bytes, .watch = MOE_NONE, .name = engine_name(name)};
    return (moe_server_id)engine->n_servers++;
}

moe_link_id
moe_engine_add_link(moe_engine *engine, const char *name, double bytes_per_s)
{
    moe_assert(engine->n_links < UINT16_MAX, "more than %u links", engine->n_links);
    moe_grow(&engine->links, &engine->link_room, engine->n_links + 1, sizeof *engine->links);
    engine->links[engine->n_links] = (engine_link){
        .flow_link = moe_flow_add_link(engine->flows, bytes_per_s), .name = engine_name(name)};
    return (moe_link_id)engine->n_links++;
}

moe_path_id
moe_engine_add_path(moe_engine *engine, const moe_link_id *links, size_t n, double max_rate)
{
    moe_assert(engine->n_paths < MOE_NO_PATH, "more than %u paths", engine->n_paths);
    moe_assert(n >= 1 && n <= 16, "a path of %zu links", n);
    uint32_t first = engine->n_path_links, flow_links[16];
    engine->n_path_links += (uint32_t)n;
    moe_grow(&engine->paths, &engine->path_room, engine->n_paths + 1, sizeof *engine->paths);
    moe_grow(&engine->path_links, &engine->path_link_room, engine->n_path_links,
             sizeof *engine->path_links);
    for (size_t i = 0; i < n; i++) {
        moe_assert(links[i] < engine->n_links, "link %u of %u", links[i], engine->n_links);
        for (size_t j = 0; j < i; j++)
            moe_assert(links[j] != links[i], "link %u twice in a path", links[i]);
        engine->path_links[first + i] = links[i];
        flow_links[i] = engine->links[links[i]].flow_link;
    }
    uint32_t path = moe_flow_add_path(engine->flows, flow_links, n, max_rate);
    engine->paths[path] = (engine_path){
        .rate = moe_flow_path_rate(engine->flows, path), .first = first, .n = (uint32_t)n};
    return (moe_path_id)engine->n_paths++;
}

moe_capacity_id
moe_engine_add_capacity(moe_engine *engine, const char *name)
{
    uint32_t n = engine->n_capacities;
    moe_assert(n < MOE_NO_CAPACITY, "more than %u capacities", n);
    moe_grow(&engine->capacities, &engine->capacity_room, n + 1, sizeof *engine->capacities);
    engine->capacities[n] = (engine_capacity){.name = engine_name(name)};
    engine->n_capacities++;
    return (moe_capacity_id)n;
}

void
moe_engine_observe(moe_engine *engine, const moe_observer *observer)
{
    uint32_t n = engine->n_observers;
    moe_grow(&engine->observers, &engine->observer_room, n + 1, sizeof *engine->observers);
    engine->observers[n] = *observer;
    engine->n_observers++;
}

/* ---- the loop ---- */

void
moe_engine_at(moe_engine *engine, moe_time at, uint8_t priority,
              void (*call)(moe_engine *engine, void *context), void *context)
{
    moe_assert(at >= engine->now, "a call at %lld ps, in the past", (long long)at);
    if (!engine->free_calls) {
        engine_call *block = moe_engine_block(engine, ENGINE_CALLS, sizeof *block);
        for (uint32_t i = 0; i < ENGINE_CALLS; i++) {
            block[i].next = engine->free_calls;
            engine->free_calls = &block[i];
        }
    }
    engine_call *entry = engine->free_calls;
    engine->free_calls = entry->next;
    entry->order = moe_event_order(priority, ++engine->sequence);
    entry->call = call;
    entry->context = context;
    moe_event_push(engine->queue, at, (uintptr_t)&entry->order | ENGINE_CALL);
}

static void
engine_solve(moe_engine *engine)
{
    uintptr_t item = (uintptr_t)&engine->flow_order | ENGINE_FLOWS;
    moe_time due = moe_flow_solve(engine->flows, engine->now);
    engine->flows_changed = false;
    if (due == engine->flow_due)
        return;
    if (engine->flow_due != MOE_TIME_NEVER)
        moe_event_cancel(engine->queue, engine->flow_due, item);
    engine->flow_due = due;
    if (due != MOE_TIME_NEVER)
        moe_event_push(engine->queue, due, item);
}

/* An event that is no task's. */
static void
engine_other(moe_engine *engine, uintptr_t item)
{
    if ((item & MOE_EVENT_MARKS) == ENGINE_FLOWS) {
        engine->flow_due = MOE_TIME_NEVER;
        engine->flows_changed = true;
        moe_flow_land(engine->flows, engine->now, moe_service_landed, engine);
        return;
    }
    engine_call *entry = (engine_call *)(item - ENGINE_CALL - offsetof(engine_call, order));
    engine_call call = *entry;
    entry->next = engine->free_calls;
    engine->free_calls = entry;
    call.call(engine, call.context);
}

/* For failed assertions. */
static void
engine_describe(const void *context, char *text, size_t size)
{
    const moe_engine *engine = context;
    snprintf(text, size, "simulated time %lld ps, seed %llu", (long long)engine->now,
             (unsigned long long)engine->seed);
}

static void
engine_loop(moe_engine *engine)
{
    for (;;) {
        if (engine->n_kicked > 0)
            moe_server_dispatch(engine);
        const moe_event *next = moe_event_peek(engine->queue);
        if (MOE_UNLIKELY(engine->flows_changed) && (!next || next->time > engine->now)) {
            engine_solve(engine);
            continue;
        }
        moe_event event;
        if (!moe_event_pop(engine->queue, &event))
            return;
        engine->now = event.time;
        engine->events++;
        if (MOE_LIKELY((event.item & MOE_EVENT_MARKS) == 0))
            moe_service_event(engine, engine_item_task(event.item));
        else
            engine_other(engine, event.item);
    }
}

moe_time
moe_engine_run(moe_engine *engine)
{
    moe_assert_context(engine_describe, engine);
    engine_loop(engine);
    moe_assert_context(NULL, NULL);
    return engine->now;
}

/* ---- questions ---- */

bool
moe_engine_endless(const moe_engine *engine, const moe_task **task)
{
    *task = NULL;
    for (uint32_t i = 0; i < engine->n_servers && !*task; i++) {
        const moe_task *running = engine->servers[i].running;
        bool going = running && (running->state == TASK_WORK || running->state == TASK_LATENCY ||
                                 running->state == TASK_SOLO || running->state == TASK_FLOW);
        *task = going ? running : NULL;
    }
    return engine->endless || *task;
}

moe_time
moe_engine_now(const moe_engine *engine)
{
    return engine->now;
}

uint64_t
moe_engine_events(const moe_engine *engine)
{
    return engine->events;
}

uint64_t
moe_engine_tasks(const moe_engine *engine)
{
    return engine->tasks;
}

moe_time
moe_engine_free_path(const moe_engine *engine)
{
    return engine->free_path;
}

moe_time
moe_engine_lean_path(const moe_engine *engine)
{
    return engine->lean_path;
}

const char *
moe_engine_cause_name(const moe_engine *engine, uint16_t cause)
{
    moe_assert(cause < engine->n_causes, "cause %u of %u", cause, engine->n_causes);
    return engine->causes[cause].name;
}

moe_cause_kind
moe_engine_cause_kind(const moe_engine *engine, uint16_t cause)
{
    moe_assert(cause < engine->n_causes, "cause %u of %u", cause, engine->n_causes);
    return engine->causes[cause].kind;
}

const char *
moe_engine_server_name(const moe_engine *engine, moe_server_id server)
{
    moe_assert(server < engine->n_servers, "server %u of %u", server, engine->n_servers);
    return engine->servers[server].name;
}

moe_time
moe_engine_server_busy(const moe_engine *engine, moe_server_id server)
{
    const engine_server *of = &engine->servers[server];
    return of->busy + (of->running ? engine->now - of->busy_since : 0);
}

int64_t
moe_engine_link_bytes(const moe_engine *engine, moe_link_id link)
{
    return engine->links[link].bytes;
}

moe_time
moe_engine_link_busy(const moe_engine *engine, moe_link_id link)
{
    const engine_link *of = &engine->links[link];
    bool busy = of->users > 0 && of->busy_since < engine->now;
    return of->busy + (busy ? engine->now - of->busy_since : 0);
}
