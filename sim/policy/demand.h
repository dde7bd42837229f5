/* What the model will ask for: for each step and MoE layer, the distinct experts that its tokens
 * need. A read-only view, shared by every run that replays the same requests in the same batches.
 *
 * Groups are numbered in the order in which the machine meets them: group = step * n_layers +
 * layer, counting MoE layers only (layer 0 is the first MoE layer). An object is an expert of a
 * layer: object = layer * n_experts + expert. Members of a group stand in order of first
 * appearance (token by token, by descending gate weight where the trace has it). */
#ifndef MOE_POLICY_DEMAND_H
#define MOE_POLICY_DEMAND_H

#include "sim/base/base.h"

typedef struct moe_demand {
    uint32_t n_steps, n_layers, n_experts;
    const uint64_t *first;  /* [n_steps * n_layers + 1]: group g has members first[g]..first[g+1] */
    const uint16_t *expert; /* per member */
    const uint32_t *tokens; /* per member: tokens routed to it in this step */
    const uint32_t *next_use;    /* per member: group of the object's next use, MOE_NONE: never */
    const uint32_t *step_tokens; /* per step: tokens processed */
} moe_demand;

static inline uint32_t
moe_demand_group(const moe_demand *demand, uint32_t step, uint32_t layer)
{
    return step * demand->n_layers + layer;
}

static inline uint32_t
moe_demand_size(const moe_demand *demand, uint32_t group)
{
    return (uint32_t)(demand->first[group + 1] - demand->first[group]);
}

#endif
