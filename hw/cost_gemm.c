/* Dense products. */
#include "hw/cost_private.h"

moe_cost
moe_cost_gemm(const moe_hardware *hw, const moe_device *device, double m, double n, double k,
              double weight_bits, double activation_bits, int kernels)
{
    const moe_gemm_kernel *kernel = moe_device_gemm(device, weight_bits, activation_bits);
    double peak = moe_peak_flops(device, activation_bits) * kernel->efficiency;
    moe_cost cost = {
        .launch_ps = kernels * (device->launch_ps + kernel->fixed_ps),
        .bytes = n * k * weight_bits / 8 + m * (k + n) * activation_bits / 8,
        .bytes_per_s = moe_streaming_rate(hw, device, kernel->stream_efficiency),
        .flops = 2 * m * n * k,
        .flops_per_s = peak * m / (m + kernel->half_rows),
        .kernels = kernels,
        .formula = moe_roofline,
    };

    if (m <= 0)
        return (moe_cost){.formula = moe_roofline};
    moe_cost_decode(&cost, device, n * k, weight_bits, activation_bits);
    return moe_cost_finish(cost);
}
