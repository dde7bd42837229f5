/* Runs of scenarios on all cores: workers simulate, the caller's thread takes each result. */
#ifndef MOE_CLI_POOL_H
#define MOE_CLI_POOL_H

#include "sim/machine/scenario.h"

#include <glib.h>
#include <stdatomic.h>

typedef struct moe_job {
    moe_scenario *scenario;
    size_t run;
    size_t owner; /* the caller's */
} moe_job;

typedef struct moe_pool_calls {
    /* A finished job; takes the result, and the diag that says why there is none if it is NULL.
     * False stops the pool. */
    bool (*done)(void *context, const moe_job *job, moe_result *result, moe_diag *diag,
                 double wall_s);
    /* Some times a second: how much of all jobs is done (0..1), and jobs so far. */
    void (*tick)(void *context, double share, size_t n_done);
    void *context;
} moe_pool_calls;

typedef enum moe_pool_end { MOE_POOL_DONE, MOE_POOL_STOPPED, MOE_POOL_INTERRUPTED } moe_pool_end;

/* Returns when all jobs are done, `done` said stop, or *interrupted became non-zero. In the last
 * case jobs may still be running: the caller must end the process without freeing scenarios. */
moe_pool_end moe_pool_run(const moe_job *jobs, size_t n, unsigned n_threads,
                          const moe_pool_calls *calls, atomic_int *interrupted);

#endif
