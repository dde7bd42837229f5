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

static const int parts[] = {
    [MOE_MEASURED_WHOLE] = MOE_EXPERT_WHOLE,
    [MOE_MEASURED_UP] = MOE_EXPERT_UP,
    [MOE_MEASURED_DOWN] = MOE_EXPERT_DOWN,
};

/* Of the part that the row is of. */
static int64_t
matrices_of(const moe_measured_row *row)
{
    if (row->part == MOE_MEASURED_WHOLE)
        return row->matrices;
    return row->part == MOE_MEASURED_UP ? row->matrices - 1 : 1;
}

/* Tables of frameworks' kernels are of benches that call one layer again and again; rows of a
 * profile are of models' layers in turn. What of a draw's weights is in the cache: experts' worth.
 */
static double
found_of(const moe_device *device, const moe_measured_row *row, double expert_bytes,
         const uint32_t *loads, uint32_t n)
{
    double found = 0;

    if (!*row->framework || row->group)
        return 0;
    if (!row->since)
        return n * moe_cost_found(device, n * expert_bytes);
    const uint32_t *since = row->since + (loads - row->loads);
    for (uint32_t i = 0; i < n; i++)
        found += moe_cost_found(device, since[i] * expert_bytes);
    return found;
}

moe_cost
moe_predict_experts(const moe_candidate *candidate, const moe_device *device,
                    const moe_measured_row *row)
{
    double rows = (double)row->tokens * (double)row->top_k;
    double params = (double)matrices_of(row) * (double)row->hidden * (double)row->width;
    moe_expert_shape shape = {
        .params = params,
        .flops = 2 * params,
        .hidden = (double)row->hidden,
        .width = (double)row->width,
        .weight_bits = row->weight_bits,
        .activation_bits = row->activation_bits,
        .rows = rows,
        .kernel = moe_predict_expert_kernel(device, row),
        .experts = (double)row->experts,
        .entering = (double)row->tokens,
        .mean_rows = rows / ((double)row->experts * (double)row->ep),
        .top_k = (double)row->top_k,
        .part = parts[row->part],
        .begun = row->calls ? 1.0 / (double)row->calls : 0,
    };
    moe_cost sum = {0};
    for (uint32_t i = 0; i < row->draws; i++) {
        uint32_t n = 0;
        const uint32_t *loads = moe_measured_draw(row, i, &n);
        if (row->strays) /* of what is computed, nothing is of other devices */
            shape.rows = shape.entering = shape.mean_rows = 0;
        shape.found = found_of(device, row, params * row->weight_bits / 8, loads, n);
        moe_cost cost = moe_cost_experts(&candidate->hw, device, &shape, loads, n);
        sum = i ? moe_cost_add(sum, cost) : cost;
    }
    return row->draws > 1 ? mean_of(sum, row->draws) : sum;
}
