/* Blame: where a device's wall time went, to the picosecond.
 *
 * For each watched compute server, busy time goes to the running task's cause (stretch beyond its
 * zero-load duration: contention). Each idle gap is charged, when the task that ends it starts, to
 * the chain of binding predecessors of that task, walked backwards and clipped to the gap:
 *   - a transfer in service             -> exposed transfer, by the transfer's cause (a task
 *     whose cause is neither compute nor transfer counts as one);
 *   - its service beyond zero load      -> contention;
 *   - its wait for its server, while that server worked for the same group (the same join, so
 *     that waiting for a sibling is waiting for the load itself) -> as that sibling's service;
 *     otherwise                         -> queueing;
 *   - another server's compute          -> imbalance, by that task's cause;
 *   - nothing (before the first task, or after the last one) -> idle.
 *   - a task held back by a producer it streams from -> as that producer's service.
 * Binding is the last satisfied dependency, ties to the lowest sequence. The parts of a server sum
 * to wall time exactly; moe_blame_finish asserts it. A part of each compute task's time can be
 * split off: moe_blame_split says how its first picoseconds are divided (launch overhead, stages
 * fused into one task). */
#ifndef MOE_CORE_BLAME_H
#define MOE_CORE_BLAME_H

#include "sim/core/engine.h"

typedef enum moe_blame_kind {
    MOE_BLAME_BUSY,       /* compute, by cause */
    MOE_BLAME_EXPOSED,    /* a transfer waited for, by cause */
    MOE_BLAME_IMBALANCE,  /* another server's compute waited for, by cause */
    MOE_BLAME_CONTENTION, /* service beyond its zero-load duration */
    MOE_BLAME_QUEUEING,   /* waiting behind others */
    MOE_BLAME_IDLE,
    MOE_BLAME_KINDS,
} moe_blame_kind;

typedef struct moe_blame moe_blame;

/* How a task's busy time divides: up to n (cause, ps) pieces that sum to its `work`. Returns the
 * number written; 0 leaves all of it to the task's own cause. Called once per compute task. */
typedef size_t moe_blame_split(void *context, const moe_task *task, uint16_t *causes,
                               moe_time *parts, size_t max);

/* Watches `servers` of `engine` from time 0; registered as an observer. One per engine. */
moe_blame *moe_blame_new(moe_engine *engine, const moe_server_id *servers, size_t n,
                         moe_blame_split *split, void *context);
void moe_blame_free(moe_blame *blame);
/* Closes the account at `wall`; asserts that each server's parts sum to it. */
void moe_blame_finish(moe_blame *blame, moe_time wall);
/* Accumulated time of server index `i` (order of `servers`) by kind and cause; cause is ignored
 * for kinds that have none. */
moe_time moe_blame_part(const moe_blame *blame, size_t i, moe_blame_kind kind, uint16_t cause);
const char *moe_blame_kind_name(moe_blame_kind kind);
/* Starts a new interval at `now`: parts accumulated so far go to the previous interval, which is
 * forgotten (warm-up). The sum then covers now..wall. Splits a running task or open gap at now. */
void moe_blame_reset(moe_blame *blame, moe_time now);

#endif
