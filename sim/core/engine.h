/* The discrete-event engine: tasks that depend on each other, hold servers, move bytes over
 * shared links and share device capacities. It knows nothing of what the tasks mean.
 *
 * A task has at most one server, at most one path of links, up to MOE_TASK_SHARES shares of
 * capacities, and dependencies. Its life: new -> (dependencies) -> ready -> started -> done.
 *   ready:   when the last dependency is satisfied and it has been submitted
 *   started: when its server takes it (at once when it has none)
 *   done:    after `work` picoseconds (stretched while a capacity it shares is over-subscribed)
 *            and, with a path, after its bytes have flowed (they start when `work` is over: work
 *            is then the transfer's latency).
 * A server runs one task at a time, highest priority class first (0 is the highest), then in
 * order of readiness, then of submission. A running transfer of a lower class is suspended for a
 * waiting one of a higher class at the next multiple of the server's chunk (at once before its
 * first byte), and goes on later where it stopped.
 *
 * Events order by (time, priority, sequence), so that a run is a function of its input alone.
 * Sequence numbers are given at submission.
 *
 * Tasks live in the engine's arena: a pointer is valid until the task's done callback returns,
 * and after that for as long as a busy interval or gap that blame may still charge needs it
 * (engine's business). Keep a moe_mark, not a pointer, for later. `binding` and `before` may be
 * followed from a task that starts or is done, but no further than tasks that ended after the
 * oldest idle gap of a watched server began; without blame, within the current instant only.
 *
 * Bounds are accumulated as the graph is realised (a max and an add per dependency): `free` is
 * the end of the longest path to the task's end with zero-load durations, `lean` the same with
 * transfers at zero. */
#ifndef MOE_CORE_ENGINE_H
#define MOE_CORE_ENGINE_H

#include "sim/core/time.h"

#define MOE_TASK_SHARES 3

typedef struct moe_engine moe_engine;
typedef struct moe_task moe_task;
typedef struct moe_edge moe_edge;
typedef struct moe_tail moe_tail;

typedef uint16_t moe_server_id;
typedef uint16_t moe_link_id;
typedef uint16_t moe_path_id;
typedef uint16_t moe_capacity_id;
#define MOE_NO_SERVER UINT16_MAX
#define MOE_NO_PATH UINT16_MAX
#define MOE_NO_CAPACITY UINT16_MAX

typedef void moe_task_done(moe_engine *engine, moe_task *task, void *context);

typedef struct moe_share {
    moe_capacity_id capacity; /* MOE_NO_CAPACITY: unused */
    float amount;             /* of the capacity's 1.0; > 0 */
} moe_share;

/* Fields above the line are the creator's, set between moe_task_new and moe_task_submit. */
struct moe_task {
    moe_time work;          /* contention-free duration before the bytes flow, >= 0 */
    int64_t bytes;          /* to move over `path`; 0 without one */
    moe_task_done *on_done; /* may be NULL */
    uint64_t user[2];       /* the creator's */
    uint32_t group;         /* tasks of one join; 0: none (see sim/core/blame.h) */
    moe_server_id server;   /* MOE_NO_SERVER: none */
    moe_path_id path;       /* MOE_NO_PATH: none */
    uint16_t cause;         /* index in the engine's causes */
    uint8_t priority;       /* class, 0 highest */
    uint8_t n_shares;
    moe_share shares[MOE_TASK_SHARES];
    /* ---- results, read-only ---- */
    moe_time ready, start, end;
    moe_time zero_load;      /* duration had it been alone; known from submission on */
    moe_time free, lean;     /* see above; valid once done */
    const moe_task *binding; /* last satisfied dependency, NULL: none */
    const moe_task *before;  /* the task its server ran right before it, NULL: it was idle */
    moe_time satisfied;      /* when `binding` was */
    uint64_t sequence;
    /* ---- the engine's own ---- */
    moe_edge *dependents;
    moe_task *next, *prev;     /* in its server's queue, or among the done or free ones */
    moe_time remaining, since; /* work left at `since`; or `since` the bytes flow */
    moe_time due;              /* time of its pending event, MOE_TIME_NEVER: none */
    uint64_t order;            /* of its events: priority and sequence */
    double speed;              /* 1 unless a shared capacity is over-subscribed */
    double left, stop;         /* bytes left at `since`; where its next halt is, in bytes left */
    moe_tail *tail;            /* NULL unless it has stream dependents or producers */
    uint32_t waiting;          /* unsatisfied dependencies, +1 until submitted */
    uint32_t flow;             /* its flow while it shares links */
    uint8_t state;
    bool begun;     /* has started */
    bool forgotten; /* done and to be reused once its last dependency is */
};

/* What is left of a task that is done: enough to depend on it later. */
typedef struct moe_mark {
    moe_time end, free, lean;
} moe_mark;

typedef enum moe_cause_kind {
    MOE_CAUSE_COMPUTE,  /* work of a compute server */
    MOE_CAUSE_TRANSFER, /* bytes on a path */
    MOE_CAUSE_WAIT,     /* anything else */
} moe_cause_kind;

/* Called for every task, in order of events; for explain, timelines, tests. Any may be NULL. */
typedef struct moe_observer {
    void (*started)(void *context, const moe_task *task);
    void (*done)(void *context, const moe_task *task);
    void *context;
} moe_observer;

moe_engine *moe_engine_new(uint64_t seed);
void moe_engine_free(moe_engine *engine);
/* What every task's on_done gets as its context. */
void moe_engine_set_context(moe_engine *engine, void *context);

/* Set-up, before the first task. Names are copied. */
uint16_t moe_engine_add_cause(moe_engine *engine, const char *name, moe_cause_kind kind);
/* chunk_bytes: granularity at which a transfer may be suspended; 0: never. */
moe_server_id moe_engine_add_server(moe_engine *engine, const char *name, int64_t chunk_bytes);
moe_link_id moe_engine_add_link(moe_engine *engine, const char *name, double bytes_per_s);
/* A path of 1..16 distinct links; max_rate caps each of its flows (0: no cap). */
moe_path_id moe_engine_add_path(moe_engine *engine, const moe_link_id *links, size_t n,
                                double max_rate);
moe_capacity_id moe_engine_add_capacity(moe_engine *engine, const char *name);
void moe_engine_observe(moe_engine *engine, const moe_observer *observer); /* copied */

/* A task with server, path and capacities unset and everything else zero. */
moe_task *moe_task_new(moe_engine *engine);
/* `task` starts after `before` is done. `before` may be done already if its pointer is valid. */
void moe_task_after(moe_engine *engine, moe_task *task, moe_task *before);
/* The same for a task known to be done by now. */
void moe_task_after_mark(moe_engine *engine, moe_task *task, const moe_mark *mark);
/* `task` may start when the first `granule` (0 < granule <= 1, of its bytes, or of its work when
 * it has none) of `before` is out; it ends no earlier than before's end plus task's own zero-load
 * cost of its last granule. While it waits for that, a transfer has given its
 * server back, a computation has not. */
void moe_task_stream(moe_engine *engine, moe_task *task, moe_task *before, double granule);
void moe_task_submit(moe_engine *engine, moe_task *task);
/* Takes a task that waits for its server out of the queue, or stops a running transfer at once;
 * it counts as done now (dependents are released, on_done is not called, observers are). Returns
 * the bytes that had flowed. A task that is done is an error. */
int64_t moe_task_cancel(moe_engine *engine, moe_task *task);
/* Moves a task that has not started to another class; a running transfer keeps its flow but is
 * treated as of the new class from now on. */
void moe_task_set_priority(moe_engine *engine, moe_task *task, uint8_t priority);
/* Bytes of a transfer that have flowed by now. */
int64_t moe_task_progress(const moe_engine *engine, const moe_task *task);
moe_mark moe_task_mark(const moe_task *task);

/* Runs until no event is left; returns the time of the last one. */
moe_time moe_engine_run(moe_engine *engine);
moe_time moe_engine_now(const moe_engine *engine);
/* Of a run that left tasks undone: true when one of them would end beyond the end of simulated
 * time; *task is the first of those that hold a server, NULL if none does. */
bool moe_engine_endless(const moe_engine *engine, const moe_task **task);
/* Schedules a bare call at `at` >= now. */
void moe_engine_at(moe_engine *engine, moe_time at, uint8_t priority,
                   void (*call)(moe_engine *engine, void *context), void *context);

/* What happened, readable any time. */
uint64_t moe_engine_events(const moe_engine *engine);
uint64_t moe_engine_tasks(const moe_engine *engine);
/* Longest paths over all tasks so far. */
moe_time moe_engine_free_path(const moe_engine *engine);
moe_time moe_engine_lean_path(const moe_engine *engine);
const char *moe_engine_cause_name(const moe_engine *engine, uint16_t cause);
moe_cause_kind moe_engine_cause_kind(const moe_engine *engine, uint16_t cause);
const char *moe_engine_server_name(const moe_engine *engine, moe_server_id server);
moe_time moe_engine_server_busy(const moe_engine *engine, moe_server_id server);
/* True while the server runs or queues anything of class <= priority. */
bool moe_engine_server_occupied(const moe_engine *engine, moe_server_id server, uint8_t priority);
/* Zero-load picoseconds of all work of class <= priority now queued or running there. */
moe_time moe_engine_server_backlog(const moe_engine *engine, moe_server_id server,
                                   uint8_t priority);
/* Bytes of transfers that are done or were cancelled. */
int64_t moe_engine_link_bytes(const moe_engine *engine, moe_link_id link);
moe_time moe_engine_link_busy(const moe_engine *engine, moe_link_id link);

#endif
