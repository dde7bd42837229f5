/* Cost functions: time of kernels and copies on a device. Pure: no state, no allocation, no libm
 * but sqrt and ceil. Times are picoseconds, rounded up.
 *
 * Every function fills a moe_cost that holds all the inputs of its formula, so that `explain` can
 * print the formula with the numbers put in. Common form:
 *     time = launch + max(bytes / (stream_efficiency * bandwidth), flops / rate(rows)) + decode +
 *            passes
 *     rate(rows) = peak(dtype) * gemm_efficiency * rows / (rows + half_rows)
 *     launch     = kernels * launch + what the kernels' own ramp and tail take (gemm_fixed …)
 * rows: how many tokens share one read of the weights (rational saturation instead of a table:
 * facts on H800 grouped GEMM give half of the best rate near 64-128 tokens per expert).
 * Products whose kernel tells its tiles are taken apart further, into tiles and waves of them
 * (hw/cost_gemm.c): their flops / rate has all of that in it, and the two times overlap().
 * Attention: hw/cost_attention.h.
 * decode: weights below 8 bits by a kernel that is for wider ones, once per read, at
 * dequant_bytes_per_s of decoded bytes; kernels for such weights have it in their numbers.
 *
 * A copy takes latency + bytes / rate. The rate that it achieves so depends on its size: bytes /
 * (bytes + latency * rate) of the best (V100, PCIe 3, te42kyfo/gpu-benches@1c36d50: 9.25, 11.4 and
 * 12.1 GB/s at 1, 4 and 16 MB, of 12.35; 28 us give all three within 1 %). Queued behind another on
 * its copy engine it has per_copy instead of the latency: what is asked of the engine next is
 * fetched while bytes flow (RTX 5090, PCIe 5, kekzl/imp pulls 1409, 1377: 864 KiB alone in 27.3 us
 * = 11.4 us + 884736 B / 55.6 GB/s; 186786 copies of 0.885 MB at 51 GB/s, so 1.4 us more than their
 * bytes take). One batched copy of the same bytes has either but once.
 * A file, or a flash drive, is read as n = bytes / request requests, up to `depth` in flight, each
 * of which alone takes s = latency + request / channel. Three things bound them, and the slowest
 * counts:
 *     time = max(ceil(n / depth) * s            requests wait for one in flight to end,
 *                latency + bytes / rate         all bytes pass one bus,
 *                (n - 1) / iops + s)            the controller takes one after the other.
 * Of many requests that is Little's law, bytes in flight = rate * time of each: rate = min(rate,
 * depth * request / s, iops * request). A sequential read is one request (request 0): system and
 * drive read ahead. Random ones are not. Cache lines read over CXL are requests of 64 B, `depth`
 * the fill buffers of all cores. */
#ifndef MOE_HW_COST_H
#define MOE_HW_COST_H

#include "hw/hardware.h"

/* No cost is longer, in picoseconds: 53 days. What would be is this, and takes at least so long. */
#define MOE_LONGEST ((int64_t)1 << 62)

typedef struct moe_cost {
    int64_t total_ps;   /* launch + body */
    int64_t launch_ps;  /* fixed part: kernel launches */
    int64_t blocks_ps;  /* begin and end of the blocks of a kernel that is known by them */
    int64_t tail_ps;    /* of such a kernel: its last blocks, and what joins them */
    double bytes;       /* moved through the device's memory */
    double bytes_per_s; /* achieved */
    double flops;
    double flops_per_s; /* achieved (average over experts) */
    double decode_bytes, decode_bytes_per_s;
    double pass_bytes, pass_bytes_per_s;
    int64_t host_ps; /* what the host needs for it, joined with all the rest; 0: nothing, or it runs
                        ahead */
    int64_t waiting_ps; /* by how much the host makes it longer */
    bool joined;        /* bytes and FLOPs hide each other as overlap() says, not as max() */
    double exposed;     /* share of the shorter of streaming and computing that is not hidden */
    int kernels;
    const char *formula; /* static text that names the form used */
} moe_cost;

/* y[m,n] = x[m,k] w[k,n], weights of weight_bits, activations of activation_bits; one launch. */
typedef struct moe_gemm_shape {
    double m, n, k;
    double weight_bits, activation_bits;
    const moe_gemm_kernel *kernel; /* NULL: the device's for such a product */
    double groups;     /* so many products of the shape, each with its own x, w and y; 0: 1 */
    const char *dtype; /* its type (hw/kernels.h); NULL: by its widths */
} moe_gemm_shape;
moe_cost moe_cost_product(const moe_hardware *hw, const moe_device *device,
                          const moe_gemm_shape *shape);
/* The same by the device's kernel, with `kernels` launches in all: of small kernels beside it. */
moe_cost moe_cost_gemm(const moe_hardware *hw, const moe_device *device, double m, double n,
                       double k, double weight_bits, double activation_bits, int kernels);

/* The fused expert part of one MoE layer on one device: n distinct experts, tokens[i] tokens for
 * the i-th (all >= 1; NULL: one each).
 *
 * With the kernel's numbers (hw/kernels.h), t tokens of an expert, and n experts of `matrices`
 * hidden x width matrices (params = matrices * hidden * width), all matrices but the last as one
 * product (hidden to (matrices - 1) * width, "up"), the last as another (width to hidden, "down"):
 *
 *   time     = launch + max(streaming, computing) + exposed * min(streaming, computing) + decode +
 *              passes
 *   launch   = (kernels + begun) * launch + fixed + n * per_expert +
 *              (hidden + width) * per_element
 *              begun: a CUDA graph that begins with the layer takes about as long to be under way
 *              as one more of its kernels (0.3 to 2.4 us, 1 us at the median of vLLM's and
 *              TensorRT-LLM's kernels on an H100: what benches of one call a graph take longer than
 *              of five, where both do the same)
 *              per_element: of a block's steps along the inner dimension, one after the other;
 *              coarse_per_element where coarse tiles have shorter steps (SGLang's untuned kernel
 *              takes 64 elements in a step with 16 rows and 32 with 64: fitted are 3.5 and 7.0 ns)
 *   streaming = (weights + activations) / (stream_efficiency * bandwidth)
 *              weights: of each distinct expert once, whatever its tokens; those found in the
 *              cache as fast as that is (2.7 times) (benches call a layer again and again, and find
 *              what fits: two experts of 22 MB take SGLang 39 us on an A100 where each call reads
 *              the same, 50 to 54 us where the next call's are others); activations of hidden +
 *              width elements per token and product side
 *   computing = sum over both products of (2 * rows * columns' * inner' / (peak * efficiency) +
 *              blocks / sms * (block + inner' * (tile + columns) * activation bytes / feed)) *
 *              alone'
 *   rows     = sum over experts of (tile * ceil(t / tile) + half_rows): whole tiles, and what it
 *              takes to feed the tensor units with an expert's weights at all
 *   columns', inner': a product's sizes in whole blocks of `columns`, and steps of 64 along the
 *              inner dimension; the down product's inner dimension is the width: where it is no
 *              multiple of 16, its rows do not begin at whole sectors and cannot be loaded as such,
 *              and it takes `unaligned` times as long
 *   blocks   = sum over experts of ceil(t / tile) * columns' / columns, on `sms` processors
 *   feed     = what a processor loads of a block's operands per second, whatever its tensor units
 *              could do: small blocks are bound by it. (Triton's of 64 x 64: 102 GB/s on an H100's,
 *              73 GB/s on an A100's; with it SGLang's numbers of one foretell the other within 18 %
 *              instead of 44 %.)
 *   alone'   = max(1, alone * sms / blocks): fewer blocks than processors take the time of a block,
 *              not their share of it; one that need not share its processor is faster, by `alone`
 *   tile     = tile, or up to coarse_tile by what an expert has on average, as the software
 *              chooses: where the choice changes, one token more may take slightly less time, as it
 *              does with the software
 *   passes   = matrices * width + hidden elements for each row, at pass_efficiency of the
 *              bandwidth: the gate's function reads its inputs and writes its result, the sum reads
 *              the down product's. vLLM's buffers hold the rows of other devices' experts, too, and
 *              the passes go over them: without this its H100 tables (ai-dynamo/aiconfigurator
 *              at 095f58a) are off by 20 % at the mean, with it by 8 %. Further, at the streaming
 *              rate, for each token that enters, with an expert here or not: its result of hidden
 *              elements of 16 bits is written, and where activations are narrower it is read and
 *              quantised before.
 *
 * Sums over the experts are order-free. More waves of blocks than one are not rounded up: blocks of
 * several per processor begin and end apart, and the tables show no steps (a fitted share of the
 * rounding was 0.00 to 0.02).
 *
 * A device's own kernel has no blocks; then columns' and inner' are the products' own and alone' is
 * 1, so that rate = peak * efficiency * tokens / rows. Where a device does not say its sms, blocks
 * cost nothing and alone' is 1, too. */
typedef enum moe_expert_part { MOE_EXPERT_WHOLE, MOE_EXPERT_UP, MOE_EXPERT_DOWN } moe_expert_part;

typedef struct moe_expert_shape {
    double params, flops; /* one expert; FLOPs per token */
    double hidden, width;
    double weight_bits, activation_bits;
    double rows; /* of the buffers between the kernels; 0: as many as tokens are computed */
    const moe_expert_kernel *kernel; /* NULL: the device's for such weights */
    double experts;                  /* that the device holds; 0: as many as are computed */
    double entering;  /* tokens that enter the layer; 0: as the experts have together, over top_k */
    double top_k;     /* 0: 1 */
    double mean_rows; /* tokens of an expert on average; 0: of those that are computed */
    int part;         /* moe_expert_part: a product alone is one kernel, without passes */
    double found;     /* experts' worth of weights that are in the cache when they are read; 0 in a
                         model, where other layers' weights are read in between */
    double begun;     /* share of the calls that begin a CUDA graph; 0 in a model, whose graph holds
                         all layers */
    const char *dtype; /* its type (hw/kernels.h); NULL: by its widths */
} moe_expert_shape;
moe_cost moe_cost_experts(const moe_hardware *hw, const moe_device *device,
                          const moe_expert_shape *shape, const uint32_t *tokens, uint32_t n);

/* Share of what is read again that the device's cache still holds when `bytes` of other and of the
 * same data were read in between: all up to half of the cache, none from all of it. (Lines come
 * from memory into the half of the cache that is theirs, and into the reader's, if that is the
 * other one: between one and two copies are kept.) */
double moe_cost_found(const moe_device *device, double bytes);

/* One kernel that reads `bytes` of the device's memory once. */
moe_cost moe_cost_stream(const moe_hardware *hw, const moe_device *device, double bytes);

/* A small kernel (norm, rope, a gate's function) that reads and writes `bytes` of activations in
 * all: a quarter of the cache's size at the cache's speed, the others as weights are streamed. Such
 * kernels differ by more than their bytes: on an RTX PRO 6000 they are off by 24 % at the mean, and
 * those that a framework makes of several, launched one by one, take a multiple. */
moe_cost moe_cost_pass(const moe_hardware *hw, const moe_device *device, double bytes);
/* `kernels` that follow each other, each of elements that need no others, such as a framework's own
 * sums and products that nothing fuses; `bytes` of all together. */
moe_cost moe_cost_elementwise(const moe_hardware *hw, const moe_device *device, double bytes,
                              int kernels);

/* The same as a library says that it carries it out (hw/kernels.h), of `rows`:
 *     time = fixed + rows * per_row + passes * (what those bytes take above)
 * and outside of graphs joined with the time that the host needs to launch it. */
moe_cost moe_cost_operation(const moe_hardware *hw, const moe_device *device,
                            const moe_operation_kernel *kernel, double bytes, double rows);

/* One transfer alone on its link: latency, then bytes at the achieved rate. */
moe_cost moe_cost_copy(const moe_hw_link *link, double bytes, bool pageable);
/* The same of one that was queued behind another on its copy engine. */
moe_cost moe_cost_queued_copy(const moe_hw_link *link, double bytes, bool pageable);
/* n such copies, asked for at once. */
moe_cost moe_cost_copies(const moe_hw_link *link, double bytes, double n, bool pageable);
/* moe_cost_explain of a copy, with its requests. */
void moe_cost_explain_copy(const moe_hw_link *link, const moe_cost *cost, GString *out);
double moe_link_rate(const moe_hw_link *link, bool pageable);
int64_t moe_link_latency(const moe_hw_link *link, bool pageable);
/* What a wire carries in all when both of its links, of `rate` and `duplex`, are busy. */
double moe_wire_rate(double rate, double duplex);

/* The kernels that a device uses: its library's for such work (hw/kernels.h), else its own. */
const moe_gemm_kernel *moe_device_gemm(const moe_device *device, const moe_kernel_wanted *wanted);
const moe_expert_kernel *moe_device_experts(const moe_device *device,
                                            const moe_kernel_wanted *wanted);
const moe_attention_kernel *moe_device_attention(const moe_device *device, int form, double kv_bits,
                                                 double key_dim);

/* The device as it is when its kernels are launched from a CUDA graph. */
moe_device moe_device_in_graph(const moe_device *device);

/* Adds b to a (stages fused into one task): times, bytes and FLOPs add up, the rates become the
 * averages that lead to the same times. */
moe_cost moe_cost_add(moe_cost a, moe_cost b);
/* The cost when the host needs host_ps to launch all of it, beside it; 0: it runs ahead. */
moe_cost moe_cost_launched(moe_cost cost, int64_t host_ps);
/* "3 kernels in 7.50 us + max(2.82 GB / 1.78 TB/s, 1.2 GFLOP / 45 TFLOP/s) = 1.59 ms" */
void moe_cost_explain(const moe_cost *cost, GString *out);
/* Of two things that hide each other: (a^4 + b^4)^(1/4), near the larger, a fifth more where they
 * are alike. */
double moe_overlap(double a, double b);
/* The arithmetic that a device has for activations of so many bits: fp4 below 5 bits; fp8, else
 * int8, for 8 bits and below; then wider types. */
typedef enum moe_arithmetic { MOE_FP32, MOE_BF16, MOE_FP8, MOE_INT8, MOE_FP4 } moe_arithmetic;
moe_arithmetic moe_device_arithmetic(const moe_device *device, double activation_bits);
/* Its peak rate. */
double moe_peak_flops(const moe_device *device, double activation_bits);

#endif
