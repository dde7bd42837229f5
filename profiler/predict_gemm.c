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

moe_cost
moe_predict_operation(const moe_candidate *candidate, const moe_device *device,
                      const moe_measured_row *row)
{
    return (moe_cost){0};
}
