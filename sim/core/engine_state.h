/* The engine's state; private to sim/core.
 *
 * engine.c  set-up, the event loop, what can be asked
 * task.c    life of a task: dependencies, submission, done, reuse
 * service.c how a task that has started gets on: work, latency, bytes, halts, shares
 * server.c  queues, suspension, cancelling */
#ifndef MOE_CORE_ENGINE_STATE_H
#define MOE_CORE_ENGINE_STATE_H

#include "sim/core/blame.h"
#include "sim/core/engine.h"
#include "sim/core/event.h"
#include "sim/core/flow.h"

enum moe_task_state {
    TASK_WAITING, /* for dependencies or submission */
    TASK_QUEUED,  /* in its server's queue, for the first time or suspended */
    TASK_WORK,    /* working, no bytes to follow */
    TASK_LATENCY, /* working, bytes to follow */
    TASK_SOLO,    /* latency and bytes in one go: its links carry nothing else */
    TASK_FLOW,    /* bytes on shared links */
    TASK_HALTED,  /* settled, about to go on, to wait or to end */
    TASK_LANDED,  /* its flow is over, its event is pending */
    TASK_STALLED, /* served, but a producer it streams from is not done */
    TASK_DONE,
};

/* On the producer's list. */
struct moe_edge {
    moe_edge *next;
    moe_task *task; /* the dependent */
    double granule; /* 0: after; else the share of the producer to wait for */
    bool released;  /* a stream whose first granule is out */
};

/* What a task with streams needs besides; times of its producers' ends plus its last granule. */
struct moe_tail {
    moe_time end, free, lean; /* no earlier than these */
    moe_time served;          /* when its own service was over */
    moe_time stop_work;       /* where its next halt is, in work left */
    const moe_task *last;     /* the producer that decided `end`, while this one is not done */
    uint16_t cause;           /* its cause */
    uint32_t producers;       /* not done */
    moe_tail *next;           /* free list */
};

typedef struct engine_lane {
    moe_task *head, *tail; /* by (ready, sequence) */
} engine_lane;

typedef struct engine_server {
    moe_task *running, *last;
    int64_t chunk;
    moe_time busy, busy_since;
    moe_time vacated;   /* when `last` ended or was suspended */
    engine_lane *lanes; /* by class, as many as were ever used */
    uint32_t n_lanes, lane_room;
    uint32_t queued;
    uint32_t watch; /* index in blame; MOE_NONE */
    bool kicked;
    char *name;
} engine_server;

typedef struct engine_link {
    moe_task *solo; /* the only user, if it is in TASK_SOLO */
    uint32_t users;
    uint32_t flow_link; /* in the flow network, where caps are links too */
    moe_time busy, busy_since;
    int64_t bytes;
    char *name;
} engine_link;

typedef struct engine_path {
    double rate;        /* alone, bytes/s */
    uint32_t first, n;  /* links in path_links */
    int64_t last_bytes; /* of the last transfer, and how long that takes alone */
    moe_time last_time;
} engine_path;

typedef struct engine_capacity {
    double sum;
    moe_task **holders;
    uint32_t n_holders, holder_room;
    char *name;
} engine_capacity;

typedef struct engine_cause {
    char *name;
    moe_cause_kind kind;
} engine_cause;

typedef struct engine_call {
    uint64_t order;
    void (*call)(moe_engine *engine, void *context);
    void *context;
    struct engine_call *next; /* free list */
} engine_call;

struct moe_engine {
    moe_time now;
    moe_event_queue *queue;
    engine_server *servers;
    engine_link *links;
    engine_path *paths;
    uint32_t *path_links;
    moe_task *free_tasks;
    moe_edge *free_edges;
    moe_tail *free_tails;
    engine_call *free_calls;
    moe_task *done_head, *done_tail; /* done, not yet reused, by end */
    uint32_t n_done, done_limit;
    uint32_t *kicked; /* servers that may start something */
    uint32_t n_kicked, kicked_room;
    bool flows_changed;
    bool endless;        /* some task could not end */
    moe_time flow_due;   /* time of the flows' pending event */
    uint64_t flow_order; /* 0: before any task's */
    moe_flows *flows;
    moe_blame *blame;
    uint64_t sequence, events, tasks;
    moe_time free_path, lean_path;
    uint64_t seed;
    void *context; /* of done callbacks */

    uint32_t n_servers, server_room, n_links, link_room, n_paths, path_room;
    uint32_t n_path_links, path_link_room;
    engine_capacity *capacities;
    uint32_t n_capacities, capacity_room;
    engine_cause *causes;
    uint32_t n_causes, cause_room;
    moe_observer *observers;
    uint32_t n_observers, observer_room;
    void **blocks; /* of tasks, edges, tails, calls */
    uint32_t n_blocks, block_room;
};

static inline bool
engine_task_flows(const moe_task *task)
{
    return task->path != MOE_NO_PATH && task->bytes > 0;
}

static inline moe_task *
engine_item_task(uintptr_t item)
{
    return (moe_task *)(item - offsetof(moe_task, order));
}

static inline void
engine_schedule(moe_engine *engine, moe_task *task, moe_time at)
{
    task->due = at;
    if (MOE_UNLIKELY(at == MOE_TIME_NEVER)) { /* it goes on until something changes its pace */
        engine->endless = true;
        return;
    }
    moe_event_push(engine->queue, at, (uintptr_t)&task->order);
}

static inline void
engine_unschedule(moe_engine *engine, moe_task *task)
{
    if (task->due == MOE_TIME_NEVER)
        return;
    moe_event_cancel(engine->queue, task->due, (uintptr_t)&task->order);
    task->due = MOE_TIME_NEVER;
}

/* A block for `n` items of `size` bytes that lives as long as the engine; zeroed. */
void *moe_engine_block(moe_engine *engine, size_t n, size_t size);

/* ---- task.c ---- */
void moe_task_finish(moe_engine *engine, moe_task *task);
/* The same for a cancelled task. */
void moe_task_drop(moe_engine *engine, moe_task *task);
/* Releases streams of which `task` has put out enough. */
void moe_task_granules(moe_engine *engine, moe_task *task);

/* ---- service.c ---- */
/* Begins or resumes a task that has its server, or needs none. */
void moe_service_start(moe_engine *engine, moe_task *task);
/* The task's event. */
void moe_service_event(moe_engine *engine, moe_task *task);
/* Its flow is over; called by moe_flow_land. */
void moe_service_landed(void *engine, void *task);
/* Stops the clock on a task that has started: `remaining` and `left` are up to date, no event is
 * pending, its links are free. */
void moe_service_settle(moe_engine *engine, moe_task *task);
/* Lets such a task go on to its next halt. */
void moe_service_go(moe_engine *engine, moe_task *task);
/* Where the task must halt has changed: it may have passed the place. */
void moe_service_review(moe_engine *engine, moe_task *task);
/* Gives up its shares of capacities. */
void moe_service_release(moe_engine *engine, const moe_task *task);
/* Gives up its shares and its server, at the end; a transfer that stalls does so before. */
void moe_service_quit(moe_engine *engine, moe_task *task);
/* Work left, and bytes left in *left, at this moment. */
moe_time moe_service_left(const moe_engine *engine, const moe_task *task, double *left);

/* ---- server.c ---- */
void moe_server_enqueue(moe_engine *engine, moe_task *task);
/* Its running task is done or suspended. */
void moe_server_vacate(moe_engine *engine, engine_server *server, moe_task *task);
/* Starts what can start on the servers that were kicked. */
void moe_server_dispatch(moe_engine *engine);
/* True when a task of a higher class waits for the server of `task`, which is running and may be
 * suspended. */
bool moe_server_contested(const moe_engine *engine, const moe_task *task);
/* Puts a running, settled task back into the queue. */
void moe_server_suspend(moe_engine *engine, moe_task *task);

/* ---- blame.c, for watched servers ---- */
/* The server `index` (of those watched) begins or resumes `task`; the task leaves it, done or
 * suspended. */
void moe_blame_occupied(moe_blame *blame, uint32_t index, const moe_task *task);
void moe_blame_vacated(moe_blame *blame, uint32_t index);
/* Tasks that ended at or before this will never be looked at. When `crowded`, half of the oldest
 * gap is charged as idle, so that the next answer is later. */
moe_time moe_blame_horizon(moe_blame *blame, moe_time now, bool crowded);

#endif
