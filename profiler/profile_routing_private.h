/* Inside profiler/profile_routing: what is known of all routing before the first row is written. */
#ifndef MOE_PROFILER_PROFILE_ROUTING_PRIVATE_H
#define MOE_PROFILER_PROFILE_ROUTING_PRIVATE_H

#include "profiler/profile_routing.h"
#include "traces/routing.h"

/* Processes whose rows are one another's: one, or the stages of a pipeline. */
typedef struct moe_routing_group {
    GArray *pids; /* int64_t */
    uint64_t rows;
    uint8_t layers[MOE_ROUTING_MAX_LAYERS]; /* 1: routed by one of them */
} moe_routing_group;

typedef struct moe_routing_plan {
    GPtrArray *groups; /* moe_routing_group */
    uint32_t merged;   /* processes that routed what another one did */
    uint32_t n_layers, k, n_experts;
    bool told_experts; /* by the model, not by the largest id */
    uint32_t layer_ids[MOE_ROUTING_MAX_LAYERS];
    uint32_t layer_index[MOE_ROUTING_MAX_LAYERS]; /* MOE_NONE: not of the trace */
    bool weights, token_ids;
    GArray *steps;                   /* int64_t, rising */
    char *model, *engine, *hardware; /* names; NULL: unknown */
} moe_routing_plan;

/* What is odd becomes diagnostics. NULL: there is no routing, or reading failed (the writer says
 * so). */
moe_routing_plan *moe_routing_plan_new(moe_profile_writer *writer);
void moe_routing_plan_free(moe_routing_plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_routing_plan, moe_routing_plan_free)

#endif
