/* Cost functions: time of kernels and copies on a device. Pure: no state, no allocation, no libm
 * but sqrt. Times are picoseconds, rounded up.
 *
 * Every function fills a moe_cost that holds all the inputs of its formula, so that `explain` can
 * print the formula with the numbers put in. Common form:
 *     time = launch + max(bytes / (stream_efficiency * bandwidth), flops / rate(rows)) + decode
 *     rate(rows) = peak(dtype) * gemm_efficiency * rows / (rows + half_rows)
 * rows: how many tokens share one read of the weights (rational saturation instead of a table:
 * facts on H800 grouped GEMM give half of the best rate near 64-128 tokens per expert).
 * Expert kernels: bytes follow the distinct experts read, flops the tokens of each expert, summed
 * over experts with each expert's own rate; expert_efficiency instead of gemm_efficiency.
 * decode: weights below 8 bits, once per read, at dequant_bytes_per_s of decoded bytes. */
#ifndef MOE_HW_COST_H
#define MOE_HW_COST_H

#include "hw/hardware.h"

typedef struct moe_cost {
    int64_t total_ps;   /* launch + body */
    int64_t launch_ps;  /* fixed part: kernel launches */
    double bytes;       /* moved through the device's memory */
    double bytes_per_s; /* achieved */
    double flops;
    double flops_per_s; /* achieved (average over experts) */
    double decode_bytes, decode_bytes_per_s;
    int kernels;
    const char *formula; /* static text that names the form used */
} moe_cost;

/* y[m,n] = x[m,k] w[k,n], weights of weight_bits, activations of activation_bits. `kernels`
 * launches (several small products of a stage may be given as one call with summed n). */
moe_cost moe_cost_gemm(const moe_hardware *hw, const moe_device *device, double m, double n,
                       double k, double weight_bits, double activation_bits, int kernels);

/* The fused expert part of one MoE layer on one device: n distinct experts, tokens[i] tokens for
 * the i-th (all >= 1; NULL: one each). Expert: `params` weights of `bits`, `flops` per token;
 * activations of hidden + width elements per token and matrix side. */
typedef struct moe_expert_shape {
    double params, flops; /* one expert; FLOPs per token */
    double hidden, width;
    double weight_bits, activation_bits;
} moe_expert_shape;
moe_cost moe_cost_experts(const moe_hardware *hw, const moe_device *device,
                          const moe_expert_shape *shape, const uint32_t *tokens, uint32_t n);

/* Attention without its projections: `queries` query tokens in total that read `kv_bytes` of KV
 * cache and do `flops`; prefill uses the matrix rate (rows = queries per sequence), decode is
 * bound by the KV bytes. Query heads that share a KV head (or MLA's latent) are rows too: the
 * rate is that of max(rows, flops / kv_bytes), the latter being the multiply-adds per 16-bit
 * element read. */
moe_cost moe_cost_attention(const moe_hardware *hw, const moe_device *device, double queries,
                            double kv_bytes, double flops, double rows, double activation_bits);

/* One transfer alone on its link: latency, then bytes at the achieved rate. */
moe_cost moe_cost_copy(const moe_hw_link *link, double bytes, bool pageable);

/* Adds b to a (stages fused into one task): times, bytes and FLOPs add up, the rates become the
 * averages that lead to the same times. */
moe_cost moe_cost_add(moe_cost a, moe_cost b);
/* "3 kernels in 7.50 us + max(2.82 GB / 1.78 TB/s, 1.2 GFLOP / 45 TFLOP/s) = 1.59 ms" */
void moe_cost_explain(const moe_cost *cost, GString *out);
/* Peak rate for an activation dtype: fp8, else int8, for 8 bits and below; then wider types. */
double moe_peak_flops(const moe_device *device, double activation_bits);

#endif
