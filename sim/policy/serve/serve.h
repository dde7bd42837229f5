/* serve: how is a demanded object that is not resident served?
 *
 * Contract. Called once for each missed member of a group, in order of first appearance, before
 * any of them is loaded. The answer is final. A policy that reads the times sets `timed`. */
#ifndef MOE_POLICY_SERVE_SERVE_H
#define MOE_POLICY_SERVE_SERVE_H

#include "sim/base/param.h"

typedef enum moe_serve_how {
    MOE_SERVE_LOAD, /* bring it to the device and compute there */
    MOE_SERVE_HOST, /* compute it where it lives */
} moe_serve_how;

typedef struct moe_serve_query {
    uint32_t tokens;   /* routed to it */
    int64_t load_ps;   /* until it could be on the device: backlog of the path and its own load */
    int64_t device_ps; /* its computation on the device */
    int64_t host_ps;   /* until the host would be done: backlog, its computation, moving the
                          activations; INT64_MAX when the host cannot */
} moe_serve_query;

typedef struct moe_serve_ops {
    bool timed;
    bool uses_host;
    moe_serve_how (*choose)(const void *config, const moe_serve_query *query);
} moe_serve_ops;

#endif
