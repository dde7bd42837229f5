/* The dispatch stages of a run: opened once over the routing, then asked for each group. */
#include "traces/transform/stage.h"

struct moe_dispatch {
    size_t n;
    struct dispatch_step {
        const moe_transform_ops *ops;
        moe_transform_job job;
    } * steps;
};

moe_dispatch *
moe_dispatch_open(const moe_routing *routing, const moe_transform_order *order, moe_diag *diag)
{
    moe_dispatch *dispatch = g_new0(moe_dispatch, 1);
    dispatch->steps = g_new0(struct dispatch_step, order->n + 1);
    for (size_t i = 0; i < order->n; i++) {
        const moe_transform_step *step = &order->steps[i];
        const moe_transform_ops *ops = step->choice->variant->ops;
        if (ops->stage != MOE_TRANSFORM_DISPATCH)
            continue;
        struct dispatch_step *to = &dispatch->steps[dispatch->n];
        to->ops = ops;
        if (!moe_transform_needs(routing, step, false, diag) ||
            !moe_transform_open(&to->job, routing, step, order, diag)) {
            moe_dispatch_close(dispatch);
            return NULL;
        }
        dispatch->n++;
    }
    if (dispatch->n > 0)
        return dispatch;
    moe_dispatch_close(dispatch);
    return NULL;
}

void
moe_dispatch_group(const moe_dispatch *dispatch, moe_transform_group *group)
{
    for (size_t i = 0; i < dispatch->n; i++)
        dispatch->steps[i].ops->group(dispatch->steps[i].job.state, dispatch->steps[i].job.config,
                                      group);
}

void
moe_dispatch_close(moe_dispatch *dispatch)
{
    if (!dispatch)
        return;
    for (size_t i = 0; i < dispatch->n; i++)
        moe_transform_shut(dispatch->steps[i].ops, &dispatch->steps[i].job);
    g_free(dispatch->steps);
    g_free(dispatch);
}
