#include "hw/cost.h"

#include "sim/base/units.h"

/* Sorting tokens by expert, gate and up, activation, down, and adding up the outputs take about
 * this many kernels (vLLM's fused_moe: align in 2, gather-GEMM, activation, GEMM, sum). */
#define EXPERT_KERNELS 6
/* Writing the new keys and values, and the attention kernel itself. */
#define ATTENTION_KERNELS 2

static const char roofline[] = "launch + max(bytes / bandwidth, flops / rate) + decode + passes";
static const char transfer[] = "latency + bytes / bandwidth";
static const char summed[] = "sum of its stages";

/* Picoseconds, rounded up; beyond 2^62 (53 days) the time is taken as that. */
static int64_t
picoseconds(double seconds)
{
    const double limit = 4611686018427387904.0;
    double ps = seconds * 1e12;

    if (!(ps < limit))
        return (int64_t)limit;
    int64_t whole = (int64_t)ps;
    return whole + ((double)whole < ps);
}

static double
ratio(double amount, double rate)
{
    return amount > 0 ? amount / rate : 0;
}

static double
larger(double a, double b)
{
    return a > b ? a : b;
}

double
moe_peak_flops(const moe_device *device, double activation_bits)
{
    const moe_rates *peak = &device->peak;

    if (activation_bits <= 8 && peak->fp8 > 0)
        return peak->fp8;
    if (activation_bits <= 8 && peak->int8 > 0)
        return peak->int8;
    if (activation_bits <= 16 && peak->bf16 > 0)
        return peak->bf16;
    return peak->fp32 > 0 ? peak->fp32 : peak->bf16;
}

/* Fills in the times from the amounts and rates that are already there. */
static moe_cost
finish(moe_cost cost)
{
    double body = larger(ratio(cost.bytes, cost.bytes_per_s), ratio(cost.flops, cost.flops_per_s)) +
                  ratio(cost.decode_bytes, cost.decode_bytes_per_s) +
                  ratio(cost.pass_bytes, cost.pass_bytes_per_s);

    cost.total_ps = cost.launch_ps + picoseconds(body);
    return cost;
}

/* What decoding `params` weights costs; nothing when they need none or it is free. */
static void
decode(moe_cost *cost, const moe_device *device, double params, double weight_bits,
       double activation_bits)
{
    if (weight_bits >= 8 || device->dequant_bytes_per_s <= 0)
        return;
    cost->decode_bytes = params * activation_bits / 8;
    cost->decode_bytes_per_s = device->dequant_bytes_per_s;
}

static double
streaming_rate(const moe_hardware *hw, const moe_device *device, double efficiency)
{
    return efficiency * hw->places[device->place].read_bytes_per_s;
}

moe_device
moe_device_in_graph(const moe_device *device)
{
    moe_device copy = *device;

    copy.launch_ps = device->graph_launch_ps;
    return copy;
}

moe_cost
moe_cost_gemm(const moe_hardware *hw, const moe_device *device, double m, double n, double k,
              double weight_bits, double activation_bits, int kernels)
{
    double peak = moe_peak_flops(device, activation_bits) * device->gemm_efficiency;
    moe_cost cost = {
        .launch_ps = kernels * (device->launch_ps + device->gemm_fixed_ps),
        .bytes = n * k * weight_bits / 8 + m * (k + n) * activation_bits / 8,
        .bytes_per_s = streaming_rate(hw, device, device->stream_efficiency),
        .flops = 2 * m * n * k,
        .flops_per_s = peak * m / (m + device->half_rows),
        .kernels = kernels,
        .formula = roofline,
    };

    if (m <= 0)
        return (moe_cost){.formula = roofline};
    decode(&cost, device, n * k, weight_bits, activation_bits);
    return finish(cost);
}

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
    double all = n; /* tokens of all experts: small integers, so the sum is exact */

    if (!n)
        return (moe_cost){.formula = roofline};
    if (tokens) {
        all = 0;
        for (uint32_t i = 0; i < n; i++)
            all += tokens[i];
    }
    /* sum over i of flops * tokens[i] / (peak * tokens[i] / (padded[i] + half_rows)) */
    double computed = device->tile > 1 ? padded(tokens, n, device->tile) : all;
    double peak = moe_peak_flops(device, shape->activation_bits) * device->expert_efficiency;
    double activations = 2 * all * (shape->hidden + shape->width);
    moe_cost cost = {
        .launch_ps =
            EXPERT_KERNELS * device->launch_ps + device->expert_fixed_ps + n * device->expert_ps,
        .bytes =
            n * shape->params * shape->weight_bits / 8 + activations * shape->activation_bits / 8,
        .bytes_per_s = streaming_rate(hw, device, device->expert_stream_efficiency),
        .flops = shape->flops * all,
        .flops_per_s = peak * all / (computed + n * device->expert_half_rows),
        .kernels = EXPERT_KERNELS,
        .formula = roofline,
    };
    decode(&cost, device, n * shape->params, shape->weight_bits, shape->activation_bits);
    if (device->expert_pass_efficiency > 0) {
        double rows = larger(all, shape->rows);
        double elements = shape->params / shape->hidden + shape->hidden;
        cost.pass_bytes = rows * elements * shape->activation_bits / 8;
        cost.pass_bytes_per_s = streaming_rate(hw, device, device->expert_pass_efficiency);
    }
    return finish(cost);
}

moe_cost
moe_cost_attention(const moe_hardware *hw, const moe_device *device, const moe_attention_work *work)
{
    double peak = moe_peak_flops(device, work->activation_bits) * device->attention_efficiency;
    double units = work->rows, half = device->half_rows;

    if (work->queries <= 0)
        return (moe_cost){.formula = roofline};
    if (work->rows > 1 && device->attention_half_keys > 0) {
        units = work->keys;
        half = device->attention_half_keys;
    } else if (work->kv_bytes > 0) {
        units = larger(work->rows, work->flops / work->kv_bytes);
    }
    moe_cost cost = {
        .launch_ps = ATTENTION_KERNELS * device->launch_ps + device->attention_fixed_ps +
                     (int64_t)(work->heads * (double)device->head_ps),
        .bytes = work->kv_bytes,
        .bytes_per_s = streaming_rate(hw, device, device->attention_stream_efficiency),
        .flops = work->flops,
        .flops_per_s = peak * units / (units + half),
        .kernels = ATTENTION_KERNELS,
        .formula = roofline,
    };
    if (device->attention_pass_efficiency > 0) {
        cost.pass_bytes = 2 * work->new_bytes;
        cost.pass_bytes_per_s = streaming_rate(hw, device, device->attention_pass_efficiency);
    }
    return finish(cost);
}

moe_cost
moe_cost_stream(const moe_hardware *hw, const moe_device *device, double bytes)
{
    return finish((moe_cost){
        .launch_ps = device->launch_ps,
        .bytes = bytes,
        .bytes_per_s = streaming_rate(hw, device, device->stream_efficiency),
        .kernels = 1,
        .formula = roofline,
    });
}

double
moe_link_rate(const moe_hw_link *link, bool pageable)
{
    return pageable && link->pageable_bytes_per_s > 0 ? link->pageable_bytes_per_s
                                                      : link->bytes_per_s;
}

int64_t
moe_link_latency(const moe_hw_link *link, bool pageable)
{
    return pageable ? link->pageable_latency_ps : link->latency_ps;
}

double
moe_wire_rate(double rate, double duplex)
{
    return rate * (2 * duplex);
}

moe_cost
moe_cost_copy(const moe_hw_link *link, double bytes, bool pageable)
{
    return finish((moe_cost){
        .launch_ps = moe_link_latency(link, pageable),
        .bytes = bytes,
        .bytes_per_s = moe_link_rate(link, pageable),
        .formula = transfer,
    });
}

/* The rate at which both amounts take as long as they do one after the other. */
static double
average(double a, double rate_a, double b, double rate_b)
{
    double time = ratio(a, rate_a) + ratio(b, rate_b);
    return time > 0 ? (a + b) / time : larger(rate_a, rate_b);
}

moe_cost
moe_cost_add(moe_cost a, moe_cost b)
{
    return (moe_cost){
        .total_ps = a.total_ps + b.total_ps,
        .launch_ps = a.launch_ps + b.launch_ps,
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
    if (cost->bytes > 0 || cost->flops > 0) {
        bool both = cost->bytes > 0 && cost->flops > 0;
        g_string_append(out, both ? " + max(" : " + ");
        if (cost->bytes > 0)
            append_quotient(out, cost->bytes, cost->bytes_per_s, "B");
        if (both)
            g_string_append(out, ", ");
        if (cost->flops > 0)
            append_quotient(out, cost->flops, cost->flops_per_s, "FLOP");
        g_string_append(out, both ? ")" : "");
    }
    if (cost->decode_bytes > 0) {
        g_string_append(out, " + decode ");
        append_quotient(out, cost->decode_bytes, cost->decode_bytes_per_s, "B");
    }
    if (cost->pass_bytes > 0) {
        g_string_append(out, " + passes ");
        append_quotient(out, cost->pass_bytes, cost->pass_bytes_per_s, "B");
    }
    append_time(out, " = ", cost->total_ps);
}
