#include "hw/cost_attention.h"

#include "hw/cost_attention_private.h"
#include "hw/cost_private.h"

/* A kernel that is known by its rates alone. */
static moe_cost
by_rates(const moe_hardware *hw, const moe_device *device, const moe_attention_kernel *kernel,
         const moe_attention_work *work)
{
    double peak = moe_peak_flops(device, work->activation_bits) * kernel->efficiency;
    double units = work->rows, half = device->gemm.half_rows;

    if (work->rows > 1 && kernel->half_keys > 0) {
        units = work->keys;
        half = kernel->half_keys;
    } else if (work->kv_bytes > 0) {
        units = moe_larger(work->rows, work->flops / work->kv_bytes);
    }
    moe_cost cost = {
        .launch_ps = MOE_ATTENTION_KERNELS * device->launch_ps + kernel->fixed_ps +
                     moe_times(kernel->head_ps, work->heads),
        .bytes = work->kv_bytes,
        .bytes_per_s = moe_streaming_rate(hw, device, kernel->stream_efficiency),
        .flops = work->flops,
        .flops_per_s = peak * units / (units + half),
        .kernels = MOE_ATTENTION_KERNELS,
        .formula = moe_roofline,
    };
    if (kernel->pass_efficiency > 0) {
        cost.pass_bytes = 2 * work->new_bytes;
        cost.pass_bytes_per_s = moe_streaming_rate(hw, device, kernel->pass_efficiency);
    }
    return moe_cost_finish(cost);
}

moe_cost
moe_cost_attention(const moe_hardware *hw, const moe_device *device, const moe_attention_work *work)
{
    const moe_attention_kernel *kernel =
        work->kernel ? work->kernel
                     : moe_device_attention(device, work->form, work->kv_bits, work->key_dim);

    if (work->queries <= 0)
        return (moe_cost){.formula = moe_roofline};
    if (kernel->tile_rows > 0)
        return moe_cost_attention_tiles(hw, device, kernel, work);
    return by_rates(hw, device, kernel, work);
}

bool
moe_attention_expands(const moe_device *device, double kv_bits, double key_dim)
{
    return moe_device_attention(device, MOE_FORM_HEADS, kv_bits, key_dim)->tile_rows > 0;
}

bool
moe_attention_absorbs(const moe_device *device, double kv_bits, double latent_dim, double queries)
{
    const moe_attention_kernel *kernel =
        moe_device_attention(device, MOE_FORM_LATENT, kv_bits, latent_dim);
    return queries <= 1 || queries <= (double)kernel->absorb;
}

moe_attention_work
moe_attention_linear(double sequences, double queries, double heads, double key_dim,
                     double value_dim, double state_bits, double chunk)
{
    double state = key_dim * value_dim;
    /* 2 * state to the state and from it, in keys of 2 * (key_dim + value_dim) FLOPs */
    double keys = 2 * state / (key_dim + value_dim);

    if (queries > 1)
        keys += chunk < queries ? chunk : queries;
    return (moe_attention_work){
        .queries = sequences * queries,
        .sequences = sequences,
        .rows = queries > 1 ? sequences * queries : 1,
        .heads = sequences * heads,
        .query_heads = heads,
        .kv_heads = heads,
        .key_dim = key_dim,
        .value_dim = value_dim,
        .keys = keys,
        .longest = keys,
        .flops = 2 * (key_dim + value_dim) * heads * sequences * queries * keys,
        .kv_bytes = 2 * sequences * heads * state * state_bits / 8,
        .key_bytes = 2 * state * state_bits / 8 / keys,
        .activation_bits = 16,
        .kv_bits = MOE_STATE_KERNEL_BITS,
        .form = MOE_FORM_STATE,
    };
}
