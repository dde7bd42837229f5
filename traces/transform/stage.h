/* Inside traces/transform: opening and closing one step. */
#ifndef MOE_TRACES_TRANSFORM_STAGE_H
#define MOE_TRACES_TRANSFORM_STAGE_H

#include "traces/transform/transform.h"

/* Whether the routing has what the step needs; false after a message. `ordered`: the experts of a
 * row stand in order of weight. */
bool moe_transform_needs(const moe_routing *routing, const moe_transform_step *step, bool ordered,
                         moe_diag *diag);
/* Fills the job and opens the step; false after messages. */
bool moe_transform_open(moe_transform_job *job, const moe_routing *routing,
                        const moe_transform_step *step, const moe_transform_order *order,
                        moe_diag *diag);
void moe_transform_shut(const moe_transform_ops *ops, moe_transform_job *job);

#endif
