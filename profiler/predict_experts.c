/* The routed experts of a layer. */
#include "profiler/predict.h"

/* The mean over the draws of a row: times and amounts of all, divided by their number. */
static moe_cost
mean_of(moe_cost sum, uint32_t draws)
{
    double share = 1.0 / draws;
    sum.total_ps /= draws;
    sum.launch_ps /= draws;
    sum.bytes *= share;
    sum.flops *= share;
    sum.decode_bytes *= share;
    sum.pass_bytes *= share;
    return sum;
}

moe_cost
moe_predict_experts(const moe_candidate *candidate, const moe_device *device,
                    const moe_measured_row *row)
{
    double params = (double)row->matrices * (double)row->hidden * (double)row->width;
    moe_expert_shape shape = {
        .params = params,
        .flops = 2 * params,
        .hidden = (double)row->hidden,
        .width = (double)row->width,
        .weight_bits = row->weight_bits,
        .activation_bits = row->activation_bits,
        .rows = (double)(row->tokens * row->top_k),
        .kernel = moe_predict_expert_kernel(device, row),
    };
    moe_cost sum = {0};
    if (row->part != MOE_MEASURED_WHOLE)
        return sum;
    for (uint32_t i = 0; i < row->draws; i++) {
        uint32_t n = 0;
        const uint32_t *loads = moe_measured_draw(row, i, &n);
        moe_cost cost = moe_cost_experts(&candidate->hw, device, &shape, loads, n);
        sum = i ? moe_cost_add(sum, cost) : cost;
    }
    return row->draws > 1 ? mean_of(sum, row->draws) : sum;
}
