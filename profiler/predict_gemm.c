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
    case MOE_MEASURED_QKV_NORM:
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
    case MOE_MEASURED_PERMUTE:
        return 2 * (double)row->top_k * hidden;
    case MOE_MEASURED_HEAD_PRODUCTS: /* what the other heads read */
        return ((double)row->heads - 1) * (double)row->head_dim;
    case MOE_MEASURED_QUANTISE:
        return hidden * (1 + row->activation_bits / 16);
    case MOE_MEASURED_GATE:
    case MOE_MEASURED_SAMPLING: /* a vocabulary, which the row does not say */
    case MOE_MEASURED_NO_OPERATION:
        break;
    }
    return 0;
}

/* Columns of the product that is a part of an operation; 0: there is none. */
static double
columns(const moe_measured_row *row)
{
    if (row->operation == MOE_MEASURED_GATE || row->operation == MOE_MEASURED_ROUTER)
        return (double)row->experts;
    if (row->operation == MOE_MEASURED_QKV_NORM)
        return (double)(row->heads + 2 * row->kv_heads) * (double)row->head_dim;
    if (row->operation == MOE_MEASURED_HEAD_PRODUCTS)
        return (double)row->heads * (double)row->width;
    return 0;
}

/* What an operation works on, each alone: tokens, or their heads. */
static double
rows(const moe_measured_row *row)
{
    return (double)row->tokens * (row->heads ? (double)(row->heads + row->kv_heads) : 1);
}

/* The product that is a part of an operation; its cost is 0 where there is none. */
static moe_cost
product_of(const moe_hardware *hw, const moe_device *device, const moe_measured_row *row)
{
    bool heads = row->operation == MOE_MEASURED_HEAD_PRODUCTS;
    double n = columns(row);
    moe_gemm_shape shape = {.m = (double)row->tokens,
                            .n = n,
                            .k = (double)(heads ? row->head_dim : row->hidden),
                            .weight_bits = heads ? row->weight_bits : 16,
                            .activation_bits = heads ? row->activation_bits : 16};
    return n > 0 ? moe_cost_product(hw, device, &shape) : (moe_cost){0};
}

/* As a library says that it is carried out; the host's time is that of all of it. */
static moe_cost
by_library(const moe_hardware *hw, const moe_device *device, const moe_measured_row *row,
           const moe_operation_kernel *kernel)
{
    const moe_device in_graph = moe_device_in_graph(device);
    double bytes = (double)row->tokens * elements(row) * 2;
    moe_cost product = product_of(hw, &in_graph, row);
    if (!product.kernels)
        return moe_cost_operation(hw, device, kernel, bytes, rows(row));
    moe_cost cost =
        moe_cost_add(product, moe_cost_operation(hw, &in_graph, kernel, bytes, rows(row)));
    return device->in_graph ? cost : moe_cost_launched(cost, kernel->host_ps);
}

moe_cost
moe_predict_operation(const moe_candidate *candidate, const moe_device *device,
                      const moe_measured_row *row)
{
    const moe_operation_kernel *kernel = moe_predict_operation_kernel(device, row);
    if (kernel)
        return by_library(&candidate->hw, device, row, kernel);
    double each = elements(row);
    moe_cost cost = product_of(&candidate->hw, device, row);
    if (each <= 0)
        return cost;
    moe_cost pass = moe_cost_pass(&candidate->hw, device, (double)row->tokens * each * 2);
    if (row->operation == MOE_MEASURED_HEAD_PRODUCTS) { /* of one kernel */
        pass.total_ps -= pass.launch_ps;
        pass.launch_ps = 0;
    }
    return cost.kernels ? moe_cost_add(cost, pass) : pass;
}
