/* Attention by kernels that are known by their blocks; the derivation is in hw/cost_attention.h. */
#include "hw/cost_attention_private.h"
#include "hw/cost_private.h"

#include "sim/base/units.h"

#include <math.h>

/* Threads that a processor keeps, and at most of one token's block when its key is written. */
#define PROCESSOR_THREADS 2048.0
#define WRITER_THREADS 512.0
/* FlashAttention gives a processor up to a tenth more keys than its share before it cuts them. */
#define SHARE_MARGIN 1.1
/* Of the shared cache, that what is read again and again can fill. */
#define CACHE_SHARE 0.7
#define RESULT_BYTES 4.0
#define ACTIVATION_BYTES 2.0 /* queries and outputs, whatever the cache holds */

static const char formula[] =
    "launch + blocks + overlap(bytes / bandwidth, flops / rate) + tail + passes";

/* How the work is dealt out: blocks of query rows, and the blocks of keys that each visits. */
typedef struct blocks {
    bool decode, grouped;
    double tile;          /* keys of a block */
    double n;             /* blocks of rows */
    double waves;         /* of them on a processor, one after another */
    double keys, longest; /* key blocks of an average one, of the one with the most */
    double pieces;        /* that the keys of each are cut into, for processors to share */
} blocks;

/* Query heads that share a KV head are rows of one block, always in a decode. */
static double
packed(const moe_attention_kernel *kernel, const moe_attention_work *work, bool decode)
{
    double group = work->query_heads / work->kv_heads;
    return decode || kernel->pack ? group : 1;
}

static double
pieces(const moe_attention_kernel *kernel, const moe_attention_work *work, const blocks *b,
       double processors)
{
    double most = (double)kernel->max_pieces;
    bool cut = kernel->split == MOE_SPLIT_ALL ||
               (kernel->split == MOE_SPLIT_DECODES && b->decode) ||
               (kernel->split == MOE_SPLIT_GROUPS && b->decode && b->grouped);
    double share = ceil(SHARE_MARGIN * b->n * b->longest / processors);

    if (kernel->split_most > 0 && work->queries > (double)kernel->split_most)
        return 1;
    if (kernel->split == MOE_SPLIT_ALWAYS)
        return b->decode ? most : 1;
    return cut ? moe_smaller(ceil(b->longest / moe_larger(share, 1)), most) : 1;
}

static double
common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return (double)a;
}

/* A prompt's block of rows sees half of its own positions more than its rows do on average; where
 * it does not end with a block of keys, half of one is read for nothing, less half of what both
 * sizes have in common. A window cuts the other end, too. */
static double
edge_of(double positions, double tile)
{
    return (positions + tile - common_divisor((int64_t)positions, (int64_t)tile)) / 2;
}

static blocks
deal(const moe_attention_kernel *kernel, const moe_attention_work *work, double processors)
{
    bool narrow = work->windowed && kernel->window_keys > 0;
    double tile = (double)(narrow ? kernel->window_keys : kernel->tile_keys);
    double per_sequence = work->queries / work->sequences;
    blocks b = {
        .decode = work->rows <= 1,
        .grouped = work->query_heads > work->kv_heads,
        .tile = tile,
    };
    double pack = packed(kernel, work, b.decode);
    double positions = moe_smaller((double)kernel->tile_rows / pack, per_sequence);
    double edge = b.decode ? 0 : edge_of(positions, tile);
    double ends = work->windowed ? 2 : 1, unaligned = work->windowed && b.decode ? 1 : 0;

    b.n = work->sequences * (work->query_heads / pack) *
          ceil(per_sequence * pack / (double)kernel->tile_rows);
    b.keys = moe_larger((work->keys + ends * edge) / tile + unaligned, 1);
    if (b.decode)
        b.keys = ceil(b.keys);
    b.longest =
        ceil(moe_larger((work->longest + (ends - 1) * 2 * edge) / tile + unaligned, b.keys));
    b.pieces = pieces(kernel, work, &b, processors);
    b.waves = b.n * (kernel->split == MOE_SPLIT_ALWAYS ? b.pieces : 1) / processors;
    b.waves += (ceil(b.waves) - b.waves) * (b.keys / b.longest);
    return b;
}

/* Seconds that a processor takes for a block of rows with a block of keys: the products' rate of
 * its share of the device, and the exponentials, which the products do not hide. */
static double
step(const moe_device *device, const moe_attention_kernel *kernel, const moe_attention_work *work,
     const blocks *b)
{
    double peak = moe_peak_flops(device, moe_kernel_activation_bits(kernel->dtype));
    double value = kernel->pad ? moe_larger(work->key_dim, work->value_dim) : work->value_dim;
    double rate = kernel->efficiency * peak / (double)device->sms;
    int64_t rows = b->decode && !work->windowed && kernel->decode_rows ? kernel->decode_rows
                                                                       : kernel->tile_rows;

    return (double)rows * b->tile *
           (2 * (work->key_dim + value) / rate + (double)kernel->score_ps * 1e-12);
}

/* Seconds that the memory takes: keys and values once, queries and outputs. What the last call left
 * in the shared cache is read faster; the eighth power makes a soft edge. */
static double
memory(const moe_device *device, const moe_attention_kernel *kernel, const moe_attention_work *work,
       double bandwidth, double activations)
{
    double hit = 0;

    if (work->warm && device->l2_bytes > 0 && kernel->cache_bytes_per_s > 0) {
        double x = work->kv_bytes / (CACHE_SHARE * (double)device->l2_bytes);
        x = x * x * x * x;
        hit = 1 / (1 + x * x);
    }
    double cached = kernel->cache_bytes_per_s * (double)device->sms;
    return (work->kv_bytes * (1 - hit) + activations) / bandwidth +
           moe_ratio(work->kv_bytes * hit, cached);
}

/* Bytes of kernels around: queries cast to the cache's type, values padded to the keys' width,
 * outputs cut to theirs. */
static double
around(const moe_attention_kernel *kernel, const moe_attention_work *work)
{
    double heads = work->queries * work->query_heads, bytes = 0;

    if (kernel->cast)
        bytes += heads * work->key_dim * (ACTIVATION_BYTES + work->kv_bits / 8);
    if (kernel->pad && work->value_dim < work->key_dim)
        bytes += heads * (work->key_dim + 3 * work->value_dim) * ACTIVATION_BYTES;
    return bytes;
}

/* New keys and values are written by a block of threads for each token, as many as the processors
 * hold at a time. */
static void
passes(moe_cost *cost, const moe_hardware *hw, const moe_device *device,
       const moe_attention_kernel *kernel, const moe_attention_work *work)
{
    double bandwidth = moe_streaming_rate(hw, device, kernel->pass_efficiency);
    double written = work->new_bytes * (1 + 8 * ACTIVATION_BYTES / work->kv_bits);
    double others = around(kernel, work), tokens = work->new_tokens;
    double elements = tokens > 0 ? work->new_bytes * 8 / work->kv_bits / tokens : 0;
    double together = tokens * moe_smaller(elements / 2, WRITER_THREADS) /
                      (PROCESSOR_THREADS * (double)device->sms);
    double latency = (double)kernel->write_ps * 1e-12 * together;

    if (kernel->pass_efficiency <= 0)
        return;
    double time = written / bandwidth;
    time = sqrt(time * time + latency * latency) + others / bandwidth;
    cost->pass_bytes = written + others;
    cost->pass_bytes_per_s = time > 0 ? cost->pass_bytes / time : 0;
}

/* Seconds to put the pieces together: pieces that are made whatever there is to do are as many
 * results of 32 bits, written and read. */
static double
combine(const moe_attention_kernel *kernel, const moe_attention_work *work, const blocks *b,
        double bandwidth)
{
    double results = 0;

    if (b->pieces <= 1)
        return 0;
    if (kernel->split == MOE_SPLIT_ALWAYS)
        results = b->pieces * work->queries * work->query_heads * work->value_dim;
    return (double)kernel->combine_ps * 1e-12 + 2 * results * RESULT_BYTES / bandwidth;
}

/* Beside the launches. */
static int64_t
fixed(const moe_attention_kernel *kernel, const moe_attention_work *work, const blocks *b)
{
    bool regroup = b->decode && b->grouped && work->sequences > 1 && work->kv_heads > 1;

    return kernel->fixed_ps + (b->decode ? 0 : kernel->prompt_ps) +
           (regroup ? kernel->regroup_ps : 0);
}

moe_cost
moe_cost_attention_tiles(const moe_hardware *hw, const moe_device *device,
                         const moe_attention_kernel *kernel, const moe_attention_work *work)
{
    double processors = (double)device->sms;
    double bandwidth = moe_streaming_rate(hw, device, kernel->stream_efficiency);
    double activations =
        work->queries * work->query_heads * (work->key_dim + work->value_dim) * ACTIVATION_BYTES;
    blocks b = deal(kernel, work, processors);
    bool always = kernel->split == MOE_SPLIT_ALWAYS && b.pieces > 1;
    double begin = (double)(always ? kernel->piece_ps : kernel->block_ps) * 1e-12;
    double each = step(device, kernel, work, &b);
    double computed = b.n / processors * b.keys * each;
    double moved = memory(device, kernel, work, bandwidth, activations);
    double unit = kernel->unit_bytes_per_s > 0 ? kernel->unit_bytes_per_s : bandwidth / processors;
    double alone = moe_larger(each, b.tile * work->key_bytes / unit);
    double dealt = b.waves * begin + moe_overlap(computed, moved);
    double chain = begin + moe_larger(b.longest / b.pieces, 1) * alone;
    double time = moe_overlap(dealt, chain) + combine(kernel, work, &b, bandwidth);
    int kernels = work->new_bytes > 0 ? MOE_ATTENTION_KERNELS : 1;
    moe_cost cost = {
        .launch_ps = kernels * device->launch_ps + fixed(kernel, work, &b),
        .blocks_ps = moe_picoseconds(b.waves * begin),
        .tail_ps = moe_picoseconds(time - b.waves * begin - moe_overlap(computed, moved)),
        .bytes = work->kv_bytes + activations,
        .bytes_per_s = (work->kv_bytes + activations) / moved,
        .flops = work->flops,
        .flops_per_s = work->flops / computed,
        .kernels = kernels,
        .host_ps = device->in_graph ? 0 : kernel->host_ps,
        .joined = true,
        .formula = formula,
    };

    passes(&cost, hw, device, kernel, work);
    return moe_cost_finish(cost);
}
