/* Which kernel of a library a measured row is of. (Attention's is chosen by what it works on.) */
#include "profiler/predict.h"

static moe_kernel_wanted
wanted(const moe_measured_row *row)
{
    return (moe_kernel_wanted){
        .dtype = row->dtype,
        .weight_bits = row->weight_bits,
        .activation_bits = row->activation_bits,
        .kernel = row->kernel,
        .m = (double)row->m,
        .n = (double)row->n,
        .k = (double)row->k,
        .experts = (double)row->experts,
        .width = (double)row->width,
    };
}

bool
moe_predict_is_of_type(int dtype, const moe_measured_row *row)
{
    const moe_kernel_wanted w = wanted(row);
    return moe_kernel_is_of_type(dtype, &w);
}

const moe_gemm_kernel *
moe_predict_gemm_kernel(const moe_device *device, const moe_measured_row *row)
{
    const moe_kernel_wanted w = wanted(row);
    return moe_device_gemm(device, &w);
}

const moe_operation_kernel *
moe_predict_operation_kernel(const moe_device *device, const moe_measured_row *row)
{
    const moe_kernels *all = device->kernels;
    const char *does = moe_measured_operation_name(row->operation);
    const moe_operation_kernel *best = NULL, *named = NULL;

    for (size_t i = 0; all && i < all->n_operations; i++) {
        const moe_operation_kernel *one = &all->operations[i];
        if (strstr(row->kernel, one->name) && (!best || strlen(one->name) > strlen(best->name)))
            best = one;
        if (!named && !strcmp(one->name, does))
            named = one;
    }
    return best ? best : named;
}

const moe_expert_kernel *
moe_predict_expert_kernel(const moe_device *device, const moe_measured_row *row)
{
    const moe_kernel_wanted w = wanted(row);
    return moe_device_experts(device, &w);
}
