/* Entries by expert, counted, laid out and placed on the device.
 *
 * Rows are taken in chunks of 256. For each expert a chunk keeps one bit for each of its rows, in
 * shared memory: how many rows before a row chose the same expert is then a count of bits, so that
 * the order within an expert is that of the rows, whatever order threads run in. One chunk is done
 * by one block; more of them in three launches: count, lay out (one block), place. */
#include "profiler/cuda/kernels.h"

#include "profiler/cuda/device.cuh"
#include "profiler/cuda/dispatch.cuh"

constexpr uint32_t CHUNK = 256, WORDS = CHUNK / 32;

struct moe_chosen {
    const uint16_t *ids;
    uint32_t n, top_k, experts;
};

/* bits [WORDS, experts] of the rows from .. from + CHUNK. */
static __device__ void
mark(const moe_chosen &r, uint32_t from, uint32_t *bits)
{
    const uint32_t here = min(CHUNK, r.n - from);
    for (uint32_t i = threadIdx.x; i < WORDS * r.experts; i += blockDim.x)
        bits[i] = 0;
    __syncthreads();
    const uint16_t *ids = r.ids + static_cast<size_t>(from) * r.top_k;
    for (uint32_t i = threadIdx.x; i < here * r.top_k; i += blockDim.x) {
        const uint32_t row = i / r.top_k, expert = ids[i];
        if (expert < r.experts)
            atomicOr(&bits[row / 32 * r.experts + expert], 1u << row % 32);
    }
    __syncthreads();
}

/* Rows of the chunk that chose the expert. */
static __device__ uint32_t
marked(const uint32_t *bits, uint32_t experts, uint32_t expert)
{
    uint32_t count = 0;
#pragma unroll
    for (uint32_t w = 0; w < WORDS; w++)
        count += static_cast<uint32_t>(__popc(bits[w * experts + expert]));
    return count;
}

/* The chunk's entries into their places; base [experts]: where those of each expert start. */
static __device__ void
place(const moe_chosen &r, uint32_t from, const uint32_t *bits, const uint32_t *base,
      const moe_cuda_dispatch &d)
{
    const uint32_t here = min(CHUNK, r.n - from);
    const size_t first = static_cast<size_t>(from) * r.top_k;
    for (uint32_t i = threadIdx.x; i < here * r.top_k; i += blockDim.x) {
        const uint32_t row = i / r.top_k, expert = r.ids[first + i], word = row / 32;
        uint32_t at = UINT32_MAX;
        if (expert < r.experts) {
            at = base[expert] + static_cast<uint32_t>(__popc(bits[word * r.experts + expert] &
                                                             ((1u << row % 32) - 1)));
            for (uint32_t w = 0; w < word; w++)
                at += static_cast<uint32_t>(__popc(bits[w * r.experts + expert]));
            d.row[at] = from + row;
        }
        d.place[first + i] = at;
    }
}

/* Entries, experts that are streamed and tiles of the others, in one number to be summed. */
static __device__ unsigned long long
share_of(uint32_t count)
{
    const bool streamed = count > 0 && count <= MOE_STREAMED_ROWS;
    const uint32_t tiles = streamed ? 0 : (count + MOE_TILE_ROWS - 1) / MOE_TILE_ROWS;
    return count | static_cast<unsigned long long>(streamed) << 32 |
           static_cast<unsigned long long>(tiles) << 44;
}

/* Of the threads before this one; *all: of all. */
static __device__ unsigned long long
sum_before(unsigned long long x, unsigned long long *all)
{
    __shared__ unsigned long long parts[MOE_WARP];
    const unsigned warp = threadIdx.x / MOE_WARP, lane = threadIdx.x % MOE_WARP;
    unsigned long long sum = x;

#pragma unroll
    for (unsigned d = 1; d < MOE_WARP; d *= 2) {
        unsigned long long below = __shfl_up_sync(MOE_ALL_LANES, sum, d);
        sum += lane >= d ? below : 0;
    }
    if (lane == MOE_WARP - 1)
        parts[warp] = sum;
    __syncthreads();
    unsigned long long before = 0, total = 0;
    for (unsigned w = 0; w < blockDim.x / MOE_WARP; w++) {
        before += w < warp ? parts[w] : 0;
        total += parts[w];
    }
    *all = total;
    return before + sum - x;
}

/* Thread e < experts lays out the `count` entries of expert e: returns where they start. */
static __device__ uint32_t
lay_out(const moe_cuda_dispatch &d, uint32_t count)
{
    const uint32_t e = threadIdx.x;
    unsigned long long all;
    const unsigned long long own = share_of(e < d.experts ? count : 0);
    const unsigned long long before = sum_before(own, &all);
    const uint32_t first = static_cast<uint32_t>(before);

    if (e < d.experts) {
        const uint32_t streamed = static_cast<uint32_t>(before >> 32) & 0xFFF;
        const uint32_t tiled = static_cast<uint32_t>(before >> 44);
        d.offset[e] = first;
        if (own >> 32 & 1)
            d.streamed[streamed] = {e, first, count};
        for (uint32_t i = 0; i < own >> 44; i++)
            d.tiled[tiled + i] = {e, first + i * MOE_TILE_ROWS,
                                  min(MOE_TILE_ROWS, count - i * MOE_TILE_ROWS)};
    }
    if (e == 0) {
        d.offset[d.experts] = static_cast<uint32_t>(all);
        d.items[0] = static_cast<uint32_t>(all >> 32) & 0xFFF;
        d.items[1] = static_cast<uint32_t>(all >> 44);
    }
    return first;
}

/* All at once, for a single chunk. */
static __global__ void __launch_bounds__(1024)
    fill_chunk(const moe_cuda_dispatch d, const moe_chosen r)
{
    MOE_DYNAMIC_SHARED(uint32_t, bits);
    uint32_t *base = bits + WORDS * r.experts;

    mark(r, 0, bits);
    const uint32_t e = threadIdx.x;
    const uint32_t first = lay_out(d, e < r.experts ? marked(bits, r.experts, e) : 0);
    if (e < r.experts)
        base[e] = first;
    __syncthreads();
    place(r, 0, bits, base, d);
}

/* counts [chunks, experts]. */
static __global__ void
count_chunk(const moe_chosen r, uint32_t *counts)
{
    MOE_DYNAMIC_SHARED(uint32_t, bits);
    mark(r, blockIdx.x * CHUNK, bits);
    for (uint32_t e = threadIdx.x; e < r.experts; e += blockDim.x)
        counts[static_cast<size_t>(blockIdx.x) * r.experts + e] = marked(bits, r.experts, e);
}

/* counts become where the entries of a chunk start. */
static __global__ void __launch_bounds__(1024)
    lay_out_chunks(const moe_cuda_dispatch d, uint32_t chunks)
{
    const uint32_t e = threadIdx.x;
    uint32_t count = 0;
    if (e < d.experts)
#pragma unroll 16
        for (uint32_t c = 0; c < chunks; c++)
            count += d.counts[static_cast<size_t>(c) * d.experts + e];
    uint32_t at = lay_out(d, count);
    if (e < d.experts)
#pragma unroll 16
        for (uint32_t c = 0; c < chunks; c++) {
            uint32_t *here = &d.counts[static_cast<size_t>(c) * d.experts + e], own = *here;
            *here = at;
            at += own;
        }
}

static __global__ void
place_chunk(const moe_cuda_dispatch d, const moe_chosen r)
{
    MOE_DYNAMIC_SHARED(uint32_t, bits);
    mark(r, blockIdx.x * CHUNK, bits);
    place(r, blockIdx.x * CHUNK, bits, d.counts + static_cast<size_t>(blockIdx.x) * r.experts, d);
}

/* ---- host ---- */

struct parts {
    uint8_t *block;
    size_t used;
};

template <class T>
static void
take(parts *p, T **out, size_t n)
{
    *out = p->block ? reinterpret_cast<T *>(p->block + p->used) : nullptr;
    p->used += (n * sizeof(T) + 255) / 256 * 256;
}

static moe_cuda_dispatch
carve(parts *p, uint32_t max_rows, uint32_t experts, uint32_t top_k)
{
    moe_cuda_dispatch d = {};
    const size_t entries = static_cast<size_t>(max_rows) * top_k;
    d.max_rows = max_rows;
    d.experts = experts;
    d.top_k = top_k;
    take(p, &d.offset, experts + 1);
    take(p, &d.row, entries);
    take(p, &d.place, entries);
    take(p, &d.items, 2);
    take(p, &d.streamed, experts);
    take(p, &d.tiled, entries / MOE_TILE_ROWS + experts);
    take(p, &d.counts, (max_rows + CHUNK - 1) / CHUNK * static_cast<size_t>(experts));
    return d;
}

extern "C" size_t
moe_cuda_dispatch_bytes(uint32_t max_rows, uint32_t experts, uint32_t top_k)
{
    parts p = {nullptr, 0};
    carve(&p, max_rows, experts, top_k);
    return p.used;
}

extern "C" moe_cuda_dispatch
moe_cuda_dispatch_at(void *block, uint32_t max_rows, uint32_t experts, uint32_t top_k)
{
    parts p = {static_cast<uint8_t *>(block), 0};
    return carve(&p, max_rows, experts, top_k);
}

extern "C" int
moe_cuda_dispatch_fill(cudaStream_t stream, const moe_cuda_dispatch *d, const uint16_t *ids,
                       uint32_t n)
{
    if (n > d->max_rows || n > MOE_CUDA_MAX_ROWS || d->experts > MOE_CUDA_MAX_EXPERTS ||
        d->top_k > MOE_CUDA_MAX_TOP_K)
        return cudaErrorInvalidValue;
    const moe_chosen r = {ids, n, d->top_k, d->experts};
    const uint32_t chunks = (n + CHUNK - 1) / CHUNK;
    const uint32_t threads = (d->experts + MOE_WARP - 1) / MOE_WARP * MOE_WARP;
    const uint32_t at_least_256 = threads < 256 ? 256 : threads;
    const size_t shared = sizeof(uint32_t) * WORDS * d->experts;

    if (chunks <= 1)
        return moe_launch(fill_chunk, 1, at_least_256, shared + sizeof(uint32_t) * d->experts,
                          stream, *d, r);
    cudaError_t error = moe_launch(count_chunk, chunks, 256, shared, stream, r, d->counts);
    if (!error)
        error = moe_launch(lay_out_chunks, 1, threads, 0, stream, *d, chunks);
    if (!error)
        error = moe_launch(place_chunk, chunks, 256, shared, stream, *d, r);
    return error;
}
