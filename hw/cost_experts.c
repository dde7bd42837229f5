/* The expert part of an MoE layer on one device: the formula and what it means are in hw/cost.h. */
#include "hw/cost_private.h"

/* Sorting tokens by expert, gate and up, activation, down, and adding up the outputs take about
 * this many kernels (vLLM's fused_moe: align in 2, gather-GEMM, activation, GEMM, sum). */
#define EXPERT_KERNELS 6
#define RESULT_BITS 16.0 /* of what the layer gives on, at least */
#define STEP 64          /* of a block along its product's inner dimension */

/* Tokens of all experts together: small integers, so the sum is exact in any order. */
static double
sum_of(const uint32_t *tokens, uint32_t n)
{
    uint64_t all = 0;

    if (!tokens)
        return n;
    for (uint32_t i = 0; i < n; i++)
        all += tokens[i];
    return (double)all;
}

/* Tiles of all experts. */
static double
tiles_of(const uint32_t *tokens, uint32_t n, uint32_t tile)
{
    uint64_t tiles = 0;

    if (!tokens)
        return n;
    if (tile & (tile - 1)) {
        for (uint32_t i = 0; i < n; i++)
            tiles += (tokens[i] + (uint64_t)tile - 1) / tile;
        return (double)tiles;
    }
    int shift = __builtin_ctz(tile);
    for (uint32_t i = 0; i < n; i++)
        tiles += (tokens[i] + (uint64_t)tile - 1) >> shift;
    return (double)tiles;
}

/* Tokens that enter the layer. */
static double
entering_of(const moe_expert_shape *shape, double all)
{
    return shape->entering > 0 ? shape->entering : all / moe_larger(1, shape->top_k);
}

/* Rows of a block, as the software chooses them. */
static uint32_t
tile_for(const moe_expert_kernel *kernel, const moe_expert_shape *shape, double all, uint32_t n)
{
    int64_t tile = kernel->tile > 1 ? kernel->tile : 1;
    double experts = shape->experts > 0 ? shape->experts : n;

    if (kernel->coarse_tile <= tile)
        return (uint32_t)tile;
    if (kernel->tiles_by == MOE_TILES_BY_TOKENS) {
        return (uint32_t)(entering_of(shape, all) <= experts ? tile : kernel->coarse_tile);
    }
    double mean = shape->mean_rows > 0 ? shape->mean_rows : all / experts;
    while ((double)tile < mean && tile < kernel->coarse_tile)
        tile *= 2;
    return (uint32_t)(tile < kernel->coarse_tile ? tile : kernel->coarse_tile);
}

static double
whole(double amount, double block)
{
    int64_t blocks = (int64_t)(amount / block);
    return (double)(blocks + ((double)blocks * block < amount)) * block;
}

/* What whole blocks make of the products: their FLOPs as a multiple of the plain ones, and seconds
 * that the blocks themselves take. */
typedef struct blocked {
    double slower, seconds;
} blocked;

/* The blocks that all experts are cut into, and how fast they are fed, seconds per element of the
 * inner dimension. */
typedef struct cut {
    double tiles, feed;
} cut;

static void
add_product(blocked *sum, const moe_device *device, const moe_expert_kernel *kernel, const cut *c,
            double columns, double inner, double times)
{
    double wide = whole(columns, (double)kernel->columns);
    double alone = 1, waves = 0;

    if (device->sms > 0) {
        waves = c->tiles * wide / (double)(kernel->columns * device->sms);
        alone = moe_larger(1, kernel->alone / waves);
    }
    double steps = whole(inner, STEP) * times;
    sum->slower += wide * steps * alone;
    sum->seconds += waves * ((double)kernel->block_ps / 1e12 + c->feed * steps) * alone;
}

static blocked
blocks_of(const moe_device *device, const moe_expert_kernel *kernel, const moe_expert_shape *shape,
          double tiles, uint32_t tile)
{
    cut c = {.tiles = tiles};
    double side = shape->params / shape->hidden; /* of all matrices of this part together */
    double up = shape->part == MOE_EXPERT_WHOLE ? side - shape->width : side;
    blocked sum = {0, 0};

    if (kernel->feed_bytes_per_s > 0)
        c.feed = (tile + (double)kernel->columns) * shape->activation_bits / 8 /
                 kernel->feed_bytes_per_s;
    if (shape->part != MOE_EXPERT_DOWN)
        add_product(&sum, device, kernel, &c, up, shape->hidden, 1);
    if (shape->part != MOE_EXPERT_UP) {
        bool odd = kernel->unaligned > 0 && whole(shape->width, MOE_ALIGNED_WIDTH) != shape->width;
        add_product(&sum, device, kernel, &c, shape->hidden, shape->width,
                    odd ? kernel->unaligned : 1);
    }
    sum.slower /= shape->params;
    return sum;
}

double
moe_cost_found(const moe_device *device, double bytes)
{
    if (device->l2_bytes <= 0)
        return 0;
    double found = 2 - 2 * bytes / (double)device->l2_bytes;
    return found > 1 ? 1 : moe_larger(0, found);
}

/* Bytes of weights that come from memory, or take as long as these. */
static double
weight_bytes(const moe_expert_shape *shape, uint32_t n)
{
    return (n - shape->found * (1 - 1 / MOE_CACHE_SPEED)) * shape->params * shape->weight_bits / 8;
}

static void
add_passes(moe_cost *cost, const moe_hardware *hw, const moe_device *device,
           const moe_expert_kernel *kernel, const moe_expert_shape *shape, double all)
{
    double rows = kernel->own_passes ? all : moe_larger(all, shape->rows);
    double elements = shape->params / shape->hidden + shape->hidden;
    double results = entering_of(shape, all) * shape->hidden;

    if (kernel->pass_efficiency <= 0 || shape->part != MOE_EXPERT_WHOLE)
        return;
    double bytes = rows * elements * shape->activation_bits / 8;
    double bits = moe_larger(shape->activation_bits, RESULT_BITS);
    if (shape->activation_bits < RESULT_BITS)
        bits += RESULT_BITS + shape->activation_bits;
    double written = results * bits / 8;
    double seconds = bytes / moe_streaming_rate(hw, device, kernel->pass_efficiency) +
                     written / moe_streaming_rate(hw, device, kernel->stream_efficiency);
    cost->pass_bytes = bytes + written;
    cost->pass_bytes_per_s = cost->pass_bytes / seconds;
}

static const moe_expert_kernel *
kernel_for(const moe_device *device, const moe_expert_shape *shape, uint32_t n)
{
    const moe_kernel_wanted wanted = {
        .dtype = shape->dtype,
        .weight_bits = shape->weight_bits,
        .activation_bits = shape->activation_bits,
        .experts = shape->experts > 0 ? shape->experts : n,
        .width = shape->width,
    };
    return moe_device_experts(device, &wanted);
}

moe_cost
moe_cost_experts(const moe_hardware *hw, const moe_device *device, const moe_expert_shape *shape,
                 const uint32_t *tokens, uint32_t n)
{
    const moe_expert_kernel *kernel = shape->kernel ? shape->kernel : kernel_for(device, shape, n);
    double all = sum_of(tokens, n);
    uint32_t tile = tile_for(kernel, shape, all, n);
    bool coarse = tile > kernel->tile;
    bool other = coarse && kernel->coarse_stream_efficiency > 0;
    int64_t element_ps =
        coarse && kernel->coarse_element_ps > 0 ? kernel->coarse_element_ps : kernel->element_ps;

    if (!n)
        return (moe_cost){.formula = moe_roofline};
    double tiles = tile > 1 ? tiles_of(tokens, n, tile) : all;
    double peak = moe_peak_flops(device, shape->activation_bits) * kernel->efficiency;
    double activations = 2 * all * (shape->hidden + shape->width);
    int kernels = shape->part == MOE_EXPERT_WHOLE ? EXPERT_KERNELS : 1;
    moe_cost cost = {
        .launch_ps = moe_times(device->launch_ps, kernels + shape->begun) + kernel->fixed_ps +
                     n * kernel->expert_ps + element_ps * (int64_t)(shape->hidden + shape->width),
        .bytes = weight_bytes(shape, n) + activations * shape->activation_bits / 8,
        .bytes_per_s = moe_streaming_rate(
            hw, device, other ? kernel->coarse_stream_efficiency : kernel->stream_efficiency),
        .flops = shape->flops * all,
        .flops_per_s = peak * all / (tiles * tile + n * kernel->half_rows),
        .exposed = kernel->exposed,
        .kernels = kernels,
        .formula = moe_roofline,
    };
    if (kernel->columns > 0) {
        blocked b = blocks_of(device, kernel, shape, tiles, tile);
        cost.flops_per_s = cost.flops / (cost.flops / cost.flops_per_s * b.slower + b.seconds);
    }
    moe_cost_decode(&cost, device, kernel->dtype, n * shape->params, shape->weight_bits,
                    shape->activation_bits);
    add_passes(&cost, hw, device, kernel, shape, all);
    return moe_cost_finish(cost);
}
