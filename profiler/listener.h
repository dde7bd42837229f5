/* The capture that this process runs under (moesim capture -- PROGRAM), if it does: told of routing
 * through its ABI (inject/moesim_route.h), so that a profile of the execution core holds routing
 * beside times. */
#ifndef MOE_PROFILER_LISTENER_H
#define MOE_PROFILER_LISTENER_H

#include "profiler/arch.h"

typedef struct moe_listener moe_listener;

/* Rows of one step. ids, weights [n, MoE layers, k]. */
typedef struct moe_listener_rows {
    uint32_t step, n;
    const uint32_t *sequence, *position, *token;
    const uint16_t *ids;
    const float *weights;
} moe_listener_rows;

/* NULL: nobody listens. Steps have up to max_rows rows. */
moe_listener *moe_listener_new(const moe_arch *arch, uint32_t max_rows);
void moe_listener_free(moe_listener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_listener, moe_listener_free)
/* Tells one step, all its layers; rows are borrowed for the call. */
void moe_listener_tell(moe_listener *listener, const moe_listener_rows *rows);

#endif
