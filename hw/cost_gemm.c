/* Dense products.
 *
 * A kernel that tells its tiles is taken apart as a GPU works it off. The result is cut into tiles
 * of r x c, a tile is the work of one processor, and k may be cut into s parts, too:
 *     tile(r, c, s)  = ceil(k / s) * max(2 r c, side (min(r, m) + min(c, n))) / rate + tile_fixed
 *                      + what is written of it, processors times over, at result_speed
 *     rate           = peak * efficiency / processors
 *     waves          = spread * max(1, w) + (1 - spread) * ceil(w),  w = tiles / processors
 *     computing      = waves * tile
 *     memory         = (weights + activations + result) / (stream_efficiency * bandwidth)
 *     time           = launch + fixed + overlap(computing, memory) + split_fixed + partial sums
 * overlap(a, b) = (a^4 + b^4)^(1/4): one hides the other but where they are alike. Activations that
 * fit into a quarter of the cache were left there by the kernel before. `side`: a square tile with
 * so many rows is loaded as fast as it is multiplied; smaller ones wait for their operands.
 * Which tile: that with the least time, as cuBLAS and DeepGEMM choose it, or, as CUTLASS kernels
 * that are chosen by a table, by the rows alone. Activations that are quantised before (a pass of
 * its own): max(bytes / (pass_efficiency * bandwidth), m * pass_row) + pass_fixed + a launch. Calls
 * outside of graphs are joined with the time that the host needs for one.
 *
 * Several products of one shape in a launch (`groups`) have so many tiles, weights and activations
 * more.
 *
 * A device whose number of processors is not known has no waves, one that cannot say its tiles
 * none at all: rate(m) = peak * efficiency * m / (m + half_rows), and the larger of both times. */
#include "hw/cost_private.h"

#include <math.h>

enum {
    LEAST_ROWS = 16,      /* of a tile, of products with few rows */
    LEAST_COLUMNS = 64,   /* and of all */
    MOST_OUTPUTS = 32768, /* 32-bit sums that a processor holds at once */
    STEP = 64,            /* of k: loaded at once */
    LEAST_PART = 256,     /* of k */
};

typedef struct product {
    const moe_gemm_kernel *kernel;
    double m, n, k, groups;
    double processors, rate; /* of one of them, FLOP/s */
    double result_bytes;     /* of one element */
    double bandwidth;        /* of the memory, peak */
    double memory;           /* seconds */
    double tile_fixed;       /* seconds */
} product;

typedef struct tiling {
    double total, computing; /* seconds */
    bool split;
} tiling;

static double
whole(double x)
{
    const double exact = 4503599627370496.0; /* 2^52: beyond, all are whole */
    if (!(x < exact))
        return x;
    double down = (double)(int64_t)x;
    return down + (down < x);
}

static double
smaller(double a, double b)
{
    return a < b ? a : b;
}

/* The result in tiles of rows x columns, k in `parts`. */
static tiling
cut(const product *p, double rows, double columns, double parts)
{
    const moe_gemm_kernel *kernel = p->kernel;
    double loads = kernel->side * (smaller(rows, p->m) + smaller(columns, p->n));
    double steps = whole(p->k / parts / STEP) * STEP;
    double written =
        rows * columns * p->result_bytes * p->processors / (kernel->result_speed * p->bandwidth);
    double tile = steps * moe_larger(2 * rows * columns, loads) / p->rate + p->tile_fixed + written;
    double tiles = p->groups * whole(p->m / rows) * whole(p->n / columns);
    double w = tiles * parts / p->processors;
    double waves = kernel->spread * moe_larger(1, w) + (1 - kernel->spread) * whole(w);
    tiling t = {.computing = waves * tile, .split = parts > 1};

    t.total = moe_overlap(t.computing, p->memory);
    if (t.split)
        t.total += (double)kernel->split_ps / 1e12 +
                   8 * parts * p->groups * p->m * p->n / (MOE_CACHE_SPEED * p->bandwidth);
    return t;
}

/* The best of all tiles; k is cut only as long as there are idle processors. */
static tiling
best(const product *p)
{
    const moe_gemm_kernel *kernel = p->kernel;
    tiling found = {.total = INFINITY};

    for (int64_t r = LEAST_ROWS; r <= kernel->tile_rows; r *= 2)
        for (int64_t c = LEAST_COLUMNS; c <= kernel->tile_columns && r * c <= MOST_OUTPUTS;
             c *= 2) {
            double rows = (double)r, columns = (double)c;
            double tiles = p->groups * whole(p->m / rows) * whole(p->n / columns);
            for (int64_t s = 1; s <= kernel->split; s *= 2) {
                double parts = (double)s;
                if (s > 1 && (tiles * parts / 2 >= p->processors || p->k < parts * LEAST_PART))
                    break;
                tiling t = cut(p, rows, columns, parts);
                if (t.total < found.total)
                    found = t;
            }
        }
    return found;
}

/* The smallest tile with all rows, half as wide while that is all there are. */
static tiling
by_rows(const product *p)
{
    const moe_gemm_kernel *kernel = p->kernel;
    int64_t rows = LEAST_COLUMNS, columns = kernel->tile_columns;

    while (rows < kernel->tile_rows && (double)rows < p->m)
        rows *= 2;
    if (p->m <= (double)rows && columns > LEAST_COLUMNS)
        columns /= 2;
    return cut(p, (double)rows, (double)columns, 1);
}

static void
add_pass(moe_cost *cost, const moe_device *device, const product *p, double activation_bits)
{
    const moe_gemm_kernel *kernel = p->kernel;
    if (kernel->pass_efficiency <= 0)
        return;
    double bytes = p->groups * p->m * p->k * (16 + activation_bits) / 8;
    double time = moe_larger(bytes / (kernel->pass_efficiency * p->bandwidth),
                             p->groups * p->m * (double)kernel->pass_row_ps / 1e12);
    cost->pass_bytes = bytes;
    cost->pass_bytes_per_s = bytes / time;
    cost->launch_ps += device->launch_ps + kernel->pass_ps;
    cost->kernels++;
}

/* What a kernel makes of the amounts in *cost. */
static void
tile(moe_cost *cost, const moe_hardware *hw, const moe_device *device, product *p,
     double activation_bits)
{
    const moe_gemm_kernel *kernel = p->kernel;
    double input = p->groups * p->m * p->k * activation_bits / 8;
    p->processors = device->sms > 0 ? (double)device->sms : 1;
    p->tile_fixed = device->sms > 0 ? (double)kernel->tile_ps / 1e12 : 0;
    p->rate = moe_peak_flops(device, activation_bits) * kernel->efficiency / p->processors;
    p->result_bytes = moe_larger(activation_bits, 16) / 8;
    p->bandwidth = hw->places[device->place].read_bytes_per_s;
    cost->bytes += moe_larger(0, input - (double)device->l2_bytes / 4) +
                   p->groups * p->m * p->n * p->result_bytes;
    p->memory = cost->bytes / cost->bytes_per_s;
    tiling t = kernel->choice == MOE_TILE_BEST ? best(p) : by_rows(p);
    cost->flops_per_s = cost->flops / t.computing;
    cost->joined = true;
    cost->launch_ps += moe_picoseconds(t.total - moe_overlap(t.computing, p->memory));
    add_pass(cost, device, p, activation_bits);
    if (!device->in_graph)
        cost->host_ps = kernel->host_ps;
}

static const moe_gemm_kernel *
kernel_for(const moe_device *device, const moe_gemm_shape *shape)
{
    const moe_kernel_wanted wanted = {
        .dtype = shape->dtype,
        .weight_bits = shape->weight_bits,
        .activation_bits = shape->activation_bits,
        .m = shape->m,
        .n = shape->n,
        .k = shape->k,
    };
    return moe_device_gemm(device, &wanted);
}

moe_cost
moe_cost_product(const moe_hardware *hw, const moe_device *device, const moe_gemm_shape *shape)
{
    double m = shape->m, n = shape->n, k = shape->k;
    double groups = shape->groups > 0 ? shape->groups : 1;
    const moe_gemm_kernel *kernel = shape->kernel ? shape->kernel : kernel_for(device, shape);
    moe_cost cost = {
        .launch_ps = device->launch_ps + kernel->fixed_ps,
        .bytes = groups * n * k * shape->weight_bits / 8,
        .bytes_per_s = moe_streaming_rate(hw, device, kernel->stream_efficiency),
        .flops = 2 * groups * m * n * k,
        .kernels = 1,
        .formula = moe_roofline,
    };

    if (m <= 0)
        return (moe_cost){.formula = moe_roofline};
    if (kernel->tile_rows > 0) {
        product p = {.kernel = kernel, .m = m, .n = n, .k = k, .groups = groups};
        tile(&cost, hw, device, &p, shape->activation_bits);
    } else {
        cost.bytes += groups * m * (k + n) * shape->activation_bits / 8;
        cost.flops_per_s = moe_peak_flops(device, shape->activation_bits) * kernel->efficiency * m /
                           (m + kernel->half_rows);
    }
    moe_cost_decode(&cost, device, kernel->dtype, groups * n * k, shape->weight_bits,
                    shape->activation_bits);
    return moe_cost_finish(cost);
}

moe_cost
moe_cost_gemm(const moe_hardware *hw, const moe_device *device, double m, double n, double k,
              double weight_bits, double activation_bits, int kernels)
{
    moe_gemm_shape shape = {m, n, k, weight_bits, activation_bits, NULL, 1, NULL};
    moe_cost cost = moe_cost_product(hw, device, &shape);

    if (m <= 0)
        return cost;
    int64_t launches = (kernels - 1) * device->launch_ps;
    cost.total_ps += launches;
    cost.launch_ps += launches;
    cost.kernels += kernels - 1;
    return cost;
}
