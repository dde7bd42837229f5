/* Products, streams, launches, and the small kernels between the large ones. */
#include "profiler/predict.h"

moe_cost
moe_predict_gemm(const moe_candidate *candidate, const moe_device *device,
                 const moe_measured_row *row)
{
    moe_gemm_shape shape = {
        .m = (double)row->m,
        .n = (double)row->n,
        .k = (double)row->k,
        .weight_bits = row->weight_bits,
        .activation_bits = row->activation_bits,
        .kernel = moe_predict_gemm_kernel(device, row),
    };
    return moe_cost_product(&candidate->hw, device, &shape);
}

moe_cost
moe_predict_stream(const moe_candidate *candidate, const moe_device *device,
                   const moe_measured_row *row)
{
    return moe_cost_stream(&candidate->hw, device, (double)row->bytes);
}

moe_cost
moe_predict_launch(const moe_candidate *candidate, const moe_device *device,
                   const moe_measured_row *row)
{
    int64_t launches = row->kernels * device->launch_ps;
    return (moe_cost){.total_ps = launches, .launch_ps = launches, .kernels = (int)row->kernels};
}

/* Activations of 16 bits that an operation reads and writes of each token. */
static double
elements(const moe_measured_row *row)
{
    double hidden = (double)row->hidden, experts = (double)row->experts;
    double heads = (double)(row->heads + row->kv_heads) * (double)row->head_dim;

    switch ((moe_measured_operation)row->operation) {
    case MOE_MEASURED_EMBEDDING:
        return 2 * hidden;
    case MOE_MEASURED_NORM: /* with the sum that goes on */
        return 4 * hidden;
    case MOE_MEASURED_ADD:
        return 3 * hidden;
    case MOE_MEASURED_QK_NORM:
    case MOE_MEASURED_ROPE:
        return 2 * heads;
    case MOE_MEASURED_ACTIVATION:
        return 3 * (double)row->width;
    case MOE_MEASURED_ROUTER:
    case MOE_MEASURED_TOP_K:
    case MOE_MEASURED_SOFTMAX:
        return experts;
    case MOE_MEASURED_SHUFFLE: /* an index and a weight of 32 bits for each choice */
        return 4 * (double)row->top_k;
    case MOE_MEASURED_GATE:
    case MOE_MEASURED_SAMPLING: /* a vocabulary, which the row does not say */
    case MOE_MEASURED_NO_OPERATION:
        break;
    }
    return 0;
}

moe_cost
moe_predict_operation(const moe_candidate *candidate, const moe_device *device,
                      const moe_measured_row *row)
{
    double tokens = (double)row->tokens, each = elements(row);
    moe_gemm_shape gate = {.m = tokens,
                           .n = (double)row->experts,
                           .k = (double)row->hidden,
                           .weight_bits = 16,
                           .activation_bits = 16};
    moe_cost cost = {0};

    if (each > 0)
        cost = moe_cost_pass(&candidate->hw, device, tokens * each * 2);
    if (row->operation == MOE_MEASURED_GATE || row->operation == MOE_MEASURED_ROUTER) {
        moe_cost product = moe_cost_product(&candidate->hw, device, &gate);
        cost = each > 0 ? moe_cost_add(product, cost) : product;
    }
    return cost;
}
