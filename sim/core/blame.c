/* Each watched server is either busy since `since` or idle since then. Parts are charged when a
 * task leaves the server, and when one ends a gap. */
#include "sim/core/blame.h"

#include "sim/core/engine_state.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/poison.h"

#define BLAME_PIECES 64

typedef struct blame_server {
    moe_server_id id;
    const moe_task *running; /* NULL: idle */
    moe_time since;          /* busy or idle since; nothing before it counts any more */
    moe_time occupied;       /* when `running` began or was resumed */
    moe_time *parts;         /* by kind and cause */
} blame_server;

struct moe_blame {
    moe_engine *engine;
    blame_server *servers;
    size_t n_servers, n_causes;
    moe_blame_split *split;
    void *context;
    moe_time origin;
};

moe_blame *
moe_blame_new(moe_engine *engine, const moe_server_id *servers, size_t n, moe_blame_split *split,
              void *context)
{
    moe_assert(!engine->blame, "an engine has one blame");
    moe_blame *blame = calloc(1, sizeof *blame);
    moe_assert(blame, "out of memory for blame");
    blame->servers = calloc(n + 1, sizeof *blame->servers);
    moe_assert(blame->servers, "out of memory for %zu servers", n);
    blame->engine = engine;
    blame->n_servers = n;
    blame->n_causes = engine->n_causes ? engine->n_causes : 1;
    blame->split = split;
    blame->context = context;
    for (size_t i = 0; i < n; i++) {
        moe_assert(servers[i] < engine->n_servers, "server %u of %u", servers[i],
                   engine->n_servers);
        blame->servers[i].id = servers[i];
        blame->servers[i].parts = calloc(MOE_BLAME_KINDS * blame->n_causes, sizeof(moe_time));
        moe_assert(blame->servers[i].parts, "out of memory for %zu causes", blame->n_causes);
        engine->servers[servers[i]].watch = (uint32_t)i;
    }
    engine->blame = blame;
    return blame;
}

void
moe_blame_free(moe_blame *blame)
{
    if (!blame)
        return;
    for (size_t i = 0; i < blame->n_servers; i++)
        free(blame->servers[i].parts);
    free(blame->servers);
    free(blame);
}

static bool
blame_has_cause(moe_blame_kind kind)
{
    return kind == MOE_BLAME_BUSY || kind == MOE_BLAME_EXPOSED || kind == MOE_BLAME_IMBALANCE;
}

static inline void
blame_add(const moe_blame *blame, blame_server *server, moe_blame_kind kind, uint16_t cause,
          moe_time ps)
{
    moe_dassert(ps >= 0, "%lld ps of %s", (long long)ps, moe_blame_kind_name(kind));
    moe_dassert(cause < blame->n_causes, "cause %u of %zu", cause, blame->n_causes);
    server->parts[kind * blame->n_causes + cause] += ps;
}

/* ---- idle gaps ---- */

static moe_blame_kind
blame_service_kind(const moe_blame *blame, uint16_t cause)
{
    bool compute = moe_engine_cause_kind(blame->engine, cause) == MOE_CAUSE_COMPUTE;
    return compute ? MOE_BLAME_IMBALANCE : MOE_BLAME_EXPOSED;
}

/* The last `ps` of what `task` has been in service: first what it waited for a producer it
 * streams from, then what it took beyond its zero load, then the rest. */
static void
blame_service(const moe_blame *blame, blame_server *server, const moe_task *task, moe_time ps)
{
    moe_time beyond = 0;
    if (task->state == TASK_DONE)
        beyond = task->end - task->start - task->zero_load;
    if (beyond > 0 && task->tail && task->tail->last && task->tail->served > 0) {
        uint16_t cause = task->tail->cause;
        moe_time stall = task->end - task->tail->served;
        beyond -= stall;
        stall = stall < ps ? stall : ps;
        blame_add(blame, server, blame_service_kind(blame, cause), cause, stall);
        ps -= stall;
    }
    moe_time contention = beyond < 0 ? 0 : beyond < ps ? beyond : ps;
    blame_add(blame, server, MOE_BLAME_CONTENTION, 0, contention);
    blame_add(blame, server, blame_service_kind(blame, task->cause), task->cause, ps - contention);
}

/* from..to, in which `task` waited for its server. */
static void
blame_wait(const moe_blame *blame, blame_server *server, const moe_task *task, moe_time from,
           moe_time to)
{
    const moe_task *ahead = task->before;
    while (to > from && ahead) {
        moe_time begin = ahead->start > from ? ahead->start : from;
        if (begin < to) {
            if (task->group && ahead->group == task->group)
                blame_service(blame, server, ahead, to - begin);
            else
                blame_add(blame, server, MOE_BLAME_QUEUEING, 0, to - begin);
            to = begin;
        }
        if (to > from)
            ahead = ahead->before;
    }
    blame_add(blame, server, MOE_BLAME_QUEUEING, 0, to - from);
}

/* The gap from..to that `task` ends. Tasks that ended at or before `from` may be gone: a binding
 * predecessor is looked at only if it was satisfied after that. */
static void
blame_gap(const moe_blame *blame, blame_server *server, const moe_task *task, moe_time from,
          moe_time to)
{
    while (to > from) {
        if (!task->binding || task->satisfied <= from)
            break;
        if (task->satisfied < to) { /* submitted only later */
            blame_add(blame, server, MOE_BLAME_IDLE, 0, to - task->satisfied);
            to = task->satisfied;
        }
        task = task->binding;
        moe_time begin = task->start > from ? task->start : from;
        blame_service(blame, server, task, to - begin);
        to = begin;
        begin = task->ready > from ? task->ready : from;
        blame_wait(blame, server, task, begin, to);
        to = begin;
    }
    blame_add(blame, server, MOE_BLAME_IDLE, 0, to - from);
}

/* ---- busy times ---- */

/* The work of `task`, done from `begin` to `end`, as far as it lies after `since`. */
static void
blame_busy(const moe_blame *blame, blame_server *server, const moe_task *task, moe_time begin,
           moe_time end)
{
    uint16_t causes[BLAME_PIECES];
    moe_time pieces[BLAME_PIECES];
    moe_time since = server->since > begin ? server->since : begin;
    size_t n = 0;
    if (blame->split && moe_engine_cause_kind(blame->engine, task->cause) == MOE_CAUSE_COMPUTE)
        n = blame->split(blame->context, task, causes, pieces, BLAME_PIECES);
    for (size_t i = 0; i < n && begin < end; i++) {
        moe_time to = pieces[i] < end - begin ? begin + pieces[i] : end;
        if (to > since)
            blame_add(blame, server, MOE_BLAME_BUSY, causes[i],
                      to - (begin > since ? begin : since));
        begin = to;
    }
    if (begin < since)
        begin = since;
    if (end > begin)
        blame_add(blame, server, MOE_BLAME_BUSY, task->cause, end - begin);
}

/* The time of a task that a producer held back until the end. */
static void
blame_stall(const moe_blame *blame, blame_server *server, const moe_task *task, moe_time ps)
{
    const moe_task *producer = task->tail->last;
    moe_task end = {.binding = producer, .satisfied = producer->end};
    blame_gap(blame, server, &end, producer->end - ps, producer->end);
}

/* Charges what the running task has had from `since` to `now`: work up to its zero load, then
 * contention, then what it waited for a producer. */
static void
blame_running(const moe_blame *blame, blame_server *server, moe_time now)
{
    const moe_task *task = server->running;
    if (server->occupied != task->start) { /* resumed after a suspension: all of it is its own */
        blame_add(blame, server, MOE_BLAME_BUSY, task->cause, now - server->since);
        return;
    }
    moe_time busy = task->start + task->zero_load, stall = 0;
    busy = busy < now ? busy : now;
    blame_busy(blame, server, task, task->start, busy);
    moe_time from = busy > server->since ? busy : server->since;
    if (task->state == TASK_STALLED && task->tail->last && task->end == now) {
        stall = now - task->tail->served;
        stall = stall < now - from ? stall : now - from;
        if (stall > 0)
            blame_stall(blame, server, task, stall);
    }
    blame_add(blame, server, MOE_BLAME_CONTENTION, 0, now - from - stall);
}

void
moe_blame_occupied(moe_blame *blame, uint32_t index, const moe_task *task)
{
    blame_server *server = &blame->servers[index];
    moe_time now = blame->engine->now;
    if (now > server->since)
        blame_gap(blame, server, task, server->since, now);
    server->running = task;
    server->since = server->occupied = now;
}

void
moe_blame_vacated(moe_blame *blame, uint32_t index)
{
    blame_server *server = &blame->servers[index];
    moe_time now = blame->engine->now;
    blame_running(blame, server, now);
    server->running = NULL;
    server->since = now;
}

moe_time
moe_blame_horizon(moe_blame *blame, moe_time now, bool crowded)
{
    moe_time oldest = now;
    for (size_t i = 0; i < blame->n_servers; i++) {
        blame_server *server = &blame->servers[i];
        const moe_task *task = server->running;
        if (task && task->tail && task->start < oldest)
            oldest = task->start;
        if (!task && server->since < oldest)
            oldest = server->since;
    }
    if (!crowded)
        return oldest;
    moe_time middle = oldest + (now - oldest) / 2;
    for (size_t i = 0; i < blame->n_servers; i++) {
        blame_server *server = &blame->servers[i];
        if (server->running || server->since >= middle)
            continue;
        blame_add(blame, server, MOE_BLAME_IDLE, 0, middle - server->since);
        server->since = middle;
    }
    return oldest;
}

/* ---- accounts ---- */

void
moe_blame_reset(moe_blame *blame, moe_time now)
{
    blame->origin = now;
    for (size_t i = 0; i < blame->n_servers; i++) {
        blame_server *server = &blame->servers[i];
        moe_assert(server->since <= now, "a new interval at %lld ps, in the past", (long long)now);
        memset(server->parts, 0, MOE_BLAME_KINDS * blame->n_causes * sizeof *server->parts);
        server->since = now;
    }
}

void
moe_blame_finish(moe_blame *blame, moe_time wall)
{
    for (size_t i = 0; i < blame->n_servers; i++) {
        blame_server *server = &blame->servers[i];
        moe_assert(wall >= server->since, "wall time %lld ps, but server %s was at %lld ps",
                   (long long)wall, moe_engine_server_name(blame->engine, server->id),
                   (long long)server->since);
        if (server->running)
            blame_running(blame, server, wall);
        else
            blame_add(blame, server, MOE_BLAME_IDLE, 0, wall - server->since);
        server->running = NULL;
        server->since = wall;
        moe_time sum = 0;
        for (size_t part = 0; part < MOE_BLAME_KINDS * blame->n_causes; part++)
            sum += server->parts[part];
        moe_assert(sum == wall - blame->origin, "blame of server %s sums to %lld of %lld ps",
                   moe_engine_server_name(blame->engine, server->id), (long long)sum,
                   (long long)(wall - blame->origin));
    }
}

moe_time
moe_blame_part(const moe_blame *blame, size_t i, moe_blame_kind kind, uint16_t cause)
{
    moe_assert(i < blame->n_servers && kind < MOE_BLAME_KINDS, "server %zu, kind %d", i, (int)kind);
    if (!blame_has_cause(kind))
        cause = 0;
    moe_assert(cause < blame->n_causes, "cause %u of %zu", cause, blame->n_causes);
    return blame->servers[i].parts[kind * blame->n_causes + cause];
}

const char *
moe_blame_kind_name(moe_blame_kind kind)
{
    static const char *const names[MOE_BLAME_KINDS] = {
        [MOE_BLAME_BUSY] = "busy",           [MOE_BLAME_EXPOSED] = "exposed",
        [MOE_BLAME_IMBALANCE] = "imbalance", [MOE_BLAME_CONTENTION] = "contention",
        [MOE_BLAME_QUEUEING] = "queueing",   [MOE_BLAME_IDLE] = "idle",
    };
    return names[kind];
}
