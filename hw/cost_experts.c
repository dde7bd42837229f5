/* The expert part of an MoE layer on one device. */
#include "hw/cost_private.h"

/* Sorting tokens by expert, gate and up, activation, down, and adding up the outputs take about
 * this many kernels (vLLM's fused_moe: align in 2, gather-GEMM, activation, GEMM, sum). */
#define EXPERT_KERNELS 6

/* Tokens of all experts when each has whole tiles; NULL: one token each. */
static double
padded(const uint32_t *tokens, uint32_t n, int64_t tile)
{
    double all = 0;

    if (!tokens)
        return (double)n * (double)tile;
    for (uint32_t i = 0; i < n; i++)
        all += (double)((tokens[i] + tile - 1) / tile * tile);
    return all;
}

moe_cost
moe_cost_experts(const moe_hardware *hw, const moe_device *device, const moe_expert_shape *shape,
                 const uint32_t *tokens, uint32_t n)
{
    const moe_expert_kernel *kernel =
        shape->kernel ? shape->kernel
                      : moe_device_experts(device, shape->weight_bits, shape->activation_bits);
    double all = n; /* tokens of all experts: small integers, so the sum is exact */

    if (!n)
        return (moe_cost){.formula = moe_roofline};
    if (tokens) {
        all = 0;
        for (uint32_t i = 0; i < n; i++)
            all += tokens[i];
    }
    /* sum over i of flops * tokens[i] / (peak * tokens[i] / (padded[i] + half_rows)) */
    double computed = kernel->tile > 1 ? padded(tokens, n, kernel->tile) : all;
    double peak = moe_peak_flops(device, shape->activation_bits) * kernel->efficiency;
    double activations = 2 * all * (shape->hidden + shape->width);
    moe_cost cost = {
        .launch_ps = EXPERT_KERNELS * device->launch_ps + kernel->fixed_ps + n * kernel->expert_ps,
        .bytes =
            n * shape->params * shape->weight_bits / 8 + activations * shape->activation_bits / 8,
        .bytes_per_s = moe_streaming_rate(hw, device, kernel->stream_efficiency),
        .flops = shape->flops * all,
        .flops_per_s = peak * all / (computed + n * kernel->half_rows),
        .kernels = EXPERT_KERNELS,
        .formula = moe_roofline,
    };
    moe_cost_decode(&cost, device, n * shape->params, shape->weight_bits, shape->activation_bits);
    if (kernel->pass_efficiency > 0) {
        double rows = moe_larger(all, shape->rows);
        double elements = shape->params / shape->hidden + shape->hidden;
        cost.pass_bytes = rows * elements * shape->activation_bits / 8;
        cost.pass_bytes_per_s = moe_streaming_rate(hw, device, kernel->pass_efficiency);
    }
    return moe_cost_finish(cost);
}
