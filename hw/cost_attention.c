/* Attention without its projections. */
#include "hw/cost_private.h"

/* Writing the new keys and values, and the attention kernel itself. */
#define ATTENTION_KERNELS 2

moe_cost
moe_cost_attention(const moe_hardware *hw, const moe_device *device, const moe_attention_work *work)
{
    const moe_attention_kernel *kernel =
        work->kernel ? work->kernel : moe_device_attention(device, work->kv_bits);
    double peak = moe_peak_flops(device, work->activation_bits) * kernel->efficiency;
    double units = work->rows, half = device->gemm.half_rows;

    if (work->queries <= 0)
        return (moe_cost){.formula = moe_roofline};
    if (work->rows > 1 && kernel->half_keys > 0) {
        units = work->keys;
        half = kernel->half_keys;
    } else if (work->kv_bytes > 0) {
        units = moe_larger(work->rows, work->flops / work->kv_bytes);
    }
    moe_cost cost = {
        .launch_ps = ATTENTION_KERNELS * device->launch_ps + kernel->fixed_ps +
                     (int64_t)(work->heads * (double)kernel->head_ps),
        .bytes = work->kv_bytes,
        .bytes_per_s = moe_streaming_rate(hw, device, kernel->stream_efficiency),
        .flops = work->flops,
        .flops_per_s = peak * units / (units + half),
        .kernels = ATTENTION_KERNELS,
        .formula = moe_roofline,
    };
    if (kernel->pass_efficiency > 0) {
        cost.pass_bytes = 2 * work->new_bytes;
        cost.pass_bytes_per_s = moe_streaming_rate(hw, device, kernel->pass_efficiency);
    }
    return moe_cost_finish(cost);
}
