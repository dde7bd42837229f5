#include "hw/cost.h"

#include "hw/cost_private.h"

#include "sim/base/units.h"

#include <math.h>

/* What a small kernel takes at the least, to read its operands and to add up over a row (norm, rope
 * and embedding of one token, 2.0 to 2.4 us on an RTX PRO 6000: casys-kaist/LLMServingSim@5daddb2);
 * a launch that takes longer hides it, and where none takes anything, fixed costs are not told. */
#define SMALL_KERNEL_PS 2100000

/* Kernels that follow each other, each waiting for the last block of the one before: what one of a
 * single block takes beyond its launch, and what is added as more processors take part, half of it
 * at a third of them. (vLLM's MLA module on an H100, which has 30 such kernels, decodes of 128, 32,
 * 8 and 2 heads; ai-dynamo/aiconfigurator@095f58a. Two kernels of attention, fitted apart, give the
 * same within a fifth.) A block of PyTorch's works on 512 elements. */
#define ELEMENTS_PS 220000
#define SPREAD_PS 1440000.0
#define FILLED_SHARE 0.33
#define BLOCK_BYTES 2048.0

const char moe_roofline[] = "launch + max(bytes / bandwidth, flops / rate) + decode + passes";
static const char summed[] = "sum of its stages";

int64_t
moe_picoseconds(double seconds)
{
    double ps = seconds * 1e12;

    if (!(ps < (double)MOE_LONGEST))
        return MOE_LONGEST;
    int64_t whole = (int64_t)ps;
    return whole + ((double)whole < ps);
}

moe_arithmetic
moe_device_arithmetic(const moe_device *device, double activation_bits)
{
    const moe_rates *peak = &device->peak;

    if (activation_bits < 5 && peak->fp4 > 0)
        return MOE_FP4;
    if (activation_bits <= 8 && peak->fp8 > 0)
        return MOE_FP8;
    if (activation_bits <= 8 && peak->int8 > 0)
        return MOE_INT8;
    if ((activation_bits <= 16 && peak->bf16 > 0) || peak->fp32 <= 0)
        return MOE_BF16;
    return MOE_FP32;
}

double
moe_peak_flops(const moe_device *device, double activation_bits)
{
    const moe_rates *peak = &device->peak;

    switch (moe_device_arithmetic(device, activation_bits)) {
    case MOE_FP32:
        return peak->fp32;
    case MOE_BF16:
        return peak->bf16;
    case MOE_FP8:
        return peak->fp8;
    case MOE_INT8:
        return peak->int8;
    case MOE_FP4:
        return peak->fp4;
    }
    return 0;
}

double
moe_overlap(double a, double b)
{
    double large = moe_larger(a, b), share = large > 0 ? (a < b ? a : b) / large : 0;
    double square = share * share;
    return large * sqrt(sqrt(1 + square * square));
}

moe_cost
moe_cost_finish(moe_cost cost)
{
    double moving = moe_ratio(cost.bytes, cost.bytes_per_s);
    double computing = moe_ratio(cost.flops, cost.flops_per_s);
    double longer = moe_larger(moving, computing);
    double shorter = moving + computing - longer;
    double body = (cost.joined ? moe_overlap(moving, computing) : longer + cost.exposed * shorter) +
                  moe_ratio(cost.decode_bytes, cost.decode_bytes_per_s) +
                  moe_ratio(cost.pass_bytes, cost.pass_bytes_per_s);

    int64_t fixed_ps = moe_add_times(cost.launch_ps, moe_add_times(cost.blocks_ps, cost.tail_ps));
    cost.total_ps = moe_add_times(fixed_ps, moe_picoseconds(body));
    cost.waiting_ps = 0;
    return moe_cost_launched(cost, cost.host_ps);
}

moe_cost
moe_cost_launched(moe_cost cost, int64_t host_ps)
{
    int64_t busy_ps = cost.total_ps;

    cost.host_ps = host_ps;
    if (host_ps > 0)
        cost.total_ps =
            moe_picoseconds(moe_overlap((double)busy_ps / 1e12, (double)host_ps / 1e12));
    cost.waiting_ps = moe_add_times(cost.waiting_ps, cost.total_ps - busy_ps);
    return cost;
}

void
moe_cost_decode(moe_cost *cost, const moe_device *device, int dtype, double params,
                double weight_bits, double activation_bits)
{
    if (weight_bits >= 8 || moe_kernel_weight_bits(dtype) < 8 || device->dequant_bytes_per_s <= 0)
        return;
    cost->decode_bytes = params * activation_bits / 8;
    cost->decode_bytes_per_s = device->dequant_bytes_per_s;
}

double
moe_streaming_rate(const moe_hardware *hw, const moe_device *device, double efficiency)
{
    return efficiency * hw->places[device->place].read_bytes_per_s;
}

moe_device
moe_device_in_graph(const moe_device *device)
{
    moe_device copy = *device;

    copy.launch_ps = device->graph_launch_ps;
    copy.in_graph = true;
    return copy;
}

const moe_gemm_kernel *
moe_device_gemm(const moe_device *device, const moe_kernel_wanted *wanted)
{
    const moe_gemm_kernel *kernel = moe_kernels_gemm(device->kernels, wanted);
    return kernel ? kernel : &device->gemm;
}

const moe_expert_kernel *
moe_device_experts(const moe_device *device, const moe_kernel_wanted *wanted)
{
    const moe_expert_kernel *kernel = moe_kernels_experts(device->kernels, wanted);
    return kernel ? kernel : &device->experts;
}

const moe_attention_kernel *
moe_device_attention(const moe_device *device, int form, double kv_bits, double key_dim)
{
    const moe_attention_kernel *kernel =
        moe_kernels_attention(device->kernels, device->capability, form, kv_bits, key_dim);
    /* blocks are dealt out to processors, of which there must be a number */
    return kernel && (kernel->tile_rows <= 0 || device->sms > 0) ? kernel : &device->attention;
}

moe_cost
moe_cost_stream(const moe_hardware *hw, const moe_device *device, double bytes)
{
    return moe_cost_finish((moe_cost){
        .launch_ps = device->launch_ps,
        .bytes = bytes,
        .bytes_per_s = moe_streaming_rate(hw, device, device->gemm.stream_efficiency),
        .kernels = 1,
        .formula = moe_roofline,
    });
}

/* A kernel of small work: its launch, and bytes at the cache's speed as far as they stay there. */
static moe_cost
small(const moe_hardware *hw, const moe_device *device, double bytes, int64_t launch_ps)
{
    double kept = (double)device->l2_bytes / 4, cached = bytes < kept ? bytes : kept;
    double slow = moe_streaming_rate(hw, device, device->gemm.stream_efficiency);
    double time =
        cached / moe_streaming_rate(hw, device, MOE_CACHE_SPEED) + (bytes - cached) / slow;
    return moe_cost_finish((moe_cost){
        .launch_ps = launch_ps,
        .bytes = bytes,
        .bytes_per_s = time > 0 ? bytes / time : slow,
        .kernels = 1,
        .formula = moe_roofline,
    });
}

moe_cost
moe_cost_pass(const moe_hardware *hw, const moe_device *device, double bytes)
{
    bool launches = device->kind == MOE_DEVICE_GPU && device->launch_ps > 0;
    return small(hw, device, bytes,
                 launches ? MAX(device->launch_ps, SMALL_KERNEL_PS) : device->launch_ps);
}

moe_cost
moe_cost_elementwise(const moe_hardware *hw, const moe_device *device, double bytes, int kernels)
{
    double blocks = bytes / kernels / BLOCK_BYTES;
    double filled = blocks / (blocks + FILLED_SHARE * (double)MAX(device->sms, 1));
    int64_t latency_ps = ELEMENTS_PS + (int64_t)(SPREAD_PS * filled);
    bool launches = device->kind == MOE_DEVICE_GPU && device->launch_ps > 0;
    moe_cost one =
        small(hw, device, bytes / kernels, device->launch_ps + (launches ? latency_ps : 0));

    one.total_ps = moe_times(one.total_ps, kernels);
    one.launch_ps = moe_times(one.launch_ps, kernels);
    one.bytes *= kernels;
    one.kernels = kernels;
    return one;
}

moe_cost
moe_cost_operation(const moe_hardware *hw, const moe_device *device,
                   const moe_operation_kernel *kernel, double bytes, double rows)
{
    moe_cost cost = moe_cost_pass(hw, device, bytes);

    cost.launch_ps = moe_add_times(kernel->fixed_ps, moe_times(kernel->row_ps, rows));
    cost.bytes *= kernel->passes;
    cost.host_ps = device->in_graph ? 0 : kernel->host_ps;
    return moe_cost_finish(cost);
}

/* The rate at which both amounts take as long as they do one after the other. */
static double
average(double a, double rate_a, double b, double rate_b)
{
    double time = moe_ratio(a, rate_a) + moe_ratio(b, rate_b);
    return time > 0 ? (a + b) / time : moe_larger(rate_a, rate_b);
}

moe_cost
moe_cost_add(moe_cost a, moe_cost b)
{
    return (moe_cost){
        .total_ps = moe_add_times(a.total_ps, b.total_ps),
        .launch_ps = moe_add_times(a.launch_ps, b.launch_ps),
        .blocks_ps = moe_add_times(a.blocks_ps, b.blocks_ps),
        .tail_ps = moe_add_times(a.tail_ps, b.tail_ps),
        .waiting_ps = moe_add_times(a.waiting_ps, b.waiting_ps),
        .bytes = a.bytes + b.bytes,
        .bytes_per_s = average(a.bytes, a.bytes_per_s, b.bytes, b.bytes_per_s),
        .flops = a.flops + b.flops,
        .flops_per_s = average(a.flops, a.flops_per_s, b.flops, b.flops_per_s),
        .decode_bytes = a.decode_bytes + b.decode_bytes,
        .decode_bytes_per_s =
            average(a.decode_bytes, a.decode_bytes_per_s, b.decode_bytes, b.decode_bytes_per_s),
        .pass_bytes = a.pass_bytes + b.pass_bytes,
        .pass_bytes_per_s =
            average(a.pass_bytes, a.pass_bytes_per_s, b.pass_bytes, b.pass_bytes_per_s),
        .kernels = a.kernels + b.kernels,
        .formula = summed,
    };
}

static void
append_time(GString *out, const char *before, int64_t ps)
{
    g_autofree char *text = moe_format_time(ps);
    g_string_append_printf(out, "%s%s", before, text);
}

/* "2.82 GB": three significant digits with a decimal prefix. */
static void
append_si(GString *out, double value, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
    char number[48];
    size_t i = 0;

    for (; value >= 999.5 && i + 1 < MOE_COUNT(prefixes); i++)
        value /= 1000;
    g_ascii_formatd(number, sizeof number, "%.3g", value);
    g_string_append_printf(out, "%s %s%s", number, prefixes[i], unit);
}

static void
append_quotient(GString *out, double amount, double rate, const char *unit)
{
    append_si(out, amount, unit);
    g_string_append(out, " / ");
    append_si(out, rate, unit);
    g_string_append(out, "/s");
}

void
moe_cost_explain(const moe_cost *cost, GString *out)
{
    if (cost->formula == summed)
        g_string_append(out, "stages: ");
    if (cost->kernels)
        g_string_append_printf(out, "%d kernels in ", cost->kernels);
    append_time(out, "", cost->launch_ps);
    if (cost->blocks_ps)
        append_time(out, " + blocks ", cost->blocks_ps);
    if (cost->bytes > 0 || cost->flops > 0) {
        bool both = cost->bytes > 0 && cost->flops > 0;
        const char *hidden = cost->joined ? " + overlap(" : " + max(";
        g_string_append(out, both ? hidden : " + ");
        if (cost->bytes > 0)
            append_quotient(out, cost->bytes, cost->bytes_per_s, "B");
        if (both)
            g_string_append(out, ", ");
        if (cost->flops > 0)
            append_quotient(out, cost->flops, cost->flops_per_s, "FLOP");
        g_string_append(out, both ? ")" : "");
        if (both && cost->exposed > 0) {
            g_string_append(out, " + ");
            append_si(out, 100 * cost->exposed, "%");
            g_string_append(out, " of the shorter");
        }
    }
    if (cost->decode_bytes > 0) {
        g_string_append(out, " + decode ");
        append_quotient(out, cost->decode_bytes, cost->decode_bytes_per_s, "B");
    }
    if (cost->pass_bytes > 0) {
        g_string_append(out, " + passes ");
        append_quotient(out, cost->pass_bytes, cost->pass_bytes_per_s, "B");
    }
    if (cost->tail_ps)
        append_time(out, " + tail ", cost->tail_ps);
    if (cost->host_ps > 0)
        append_time(out, ", joined with the host's ", cost->host_ps);
    else if (cost->waiting_ps > 0)
        append_time(out, " + waiting for the host ", cost->waiting_ps);
    append_time(out, cost->total_ps < MOE_LONGEST ? " = " : " = more than ", cost->total_ps);
}
