/* A replay of decisions under way. Private to sim/machine/decided*.c. */
#ifndef MOE_MACHINE_DECIDED_PRIVATE_H
#define MOE_MACHINE_DECIDED_PRIVATE_H

#include "sim/machine/decided.h"
#include "sim/machine/schedule.h"
#include "sim/policy/wants.h"

typedef struct decided_run {
    moe_decisions *log;
    const moe_schedule *schedule;
    const moe_demand *demand;
    moe_residency *residency;
    moe_wants *wants;
    moe_decided *out;
    moe_diag *diag;

    uint32_t n_groups; /* gates so far */
    bool open, asked;  /* within a step; the want-list of the last gate is made */
    uint32_t step, layer, n;
    uint32_t *objects, *miss; /* members; those that missed, in order: n_miss */
    uint8_t *outcomes, *state;
    uint32_t n_miss, next_miss, n_done;
    bool *ahead; /* by object: on its way, and nobody has asked for it */
    uint32_t n_ahead;
    moe_decision_kind before;
    uint32_t n_counted;
} decided_run;

/* One decision; false after a message. */
bool decided_take(decided_run *run, const moe_decision *decision);

#endif
