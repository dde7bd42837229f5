/* What the kernels of attention share: what they are told, and which part of it a block computes.
 *
 * A tile is a number of queries of one sequence and one key head, which see the same run of the
 * cache: the heads of that key head's group, of rows that follow each other. Query m of a run is
 * head m % group of row m / group, so that a decode row of a large group fills a tile by itself.
 * The keys of a tile may be split over several blocks, whose results are joined afterwards. */
#ifndef MOE_PROFILER_CUDA_ATTENTION_TILE_CUH
#define MOE_PROFILER_CUDA_ATTENTION_TILE_CUH

#include "profiler/cuda/attention.h"
#include "profiler/cuda/device.cuh"

struct moe_attend_args {
    const void *query;         /* [n, heads, key_stride] */
    const void *keys, *values; /* of slot 0 and head 0; latent: values == keys */
    void *out;                 /* [n, heads, out_stride], columns of value_dim */
    float *partial;            /* [splits, singles, heads, value_dim] of splits > 1 */
    float2 *totals;            /* [splits, singles, heads]: x the largest score, y the sum of
                                  2^(score - x), by which `partial` is not divided yet */
    const float *sinks;        /* [heads] or NULL */
    const uint32_t *slot, *position;
    const uint32_t *list; /* of the plan */
    uint64_t slot_stride; /* elements of the cache from slot to slot */
    uint32_t heads, group;
    uint32_t key_stride, value_stride, value_dim, out_stride;
    uint32_t context, window;
    uint32_t singles, splits; /* splits 0: runs instead of singles, and not split */
    uint32_t element;         /* bytes of one of query, keys, values and out */
    float scale;              /* with log2(e) in it */
};

struct moe_attend_tile {
    uint32_t row;            /* first row of the run */
    uint32_t first, queries; /* of the run */
    uint32_t begin, end;     /* keys */
    uint32_t slot, position; /* of the run's first row */
};

#define MOE_LOG2_E 1.4426950408889634f

/* The run of tile `index` and the tile's first query in it, of tiles of `size` queries. */
static __device__ inline void
moe_attend_find(const moe_attend_args &a, uint32_t size, uint32_t index, moe_attend_tile *t,
                uint32_t *rows)
{
    if (a.splits) {
        uint32_t tiles = (a.group + size - 1) / size;
        t->row = a.list[index / tiles];
        t->first = index % tiles * size;
        *rows = 1;
        return;
    }
    const uint32_t *run = a.list + a.singles;
    for (;; run += 2) {
        uint32_t tiles = (run[1] * a.group + size - 1) / size;
        if (index < tiles)
            break;
        index -= tiles;
    }
    t->row = run[0];
    t->first = index * size;
    *rows = run[1];
}

/* The block's tile, and its part of the keys in whole steps of `step`. */
static __device__ inline moe_attend_tile
moe_attend_locate(const moe_attend_args &a, uint32_t size, uint32_t step)
{
    moe_attend_tile t;
    uint32_t rows, splits = a.splits ? a.splits : 1;
    /* The last tiles of a run see the most: they go first. */
    moe_attend_find(a, size, gridDim.x - 1 - blockIdx.x, &t, &rows);
    t.queries = min(size, rows * a.group - t.first);
    t.slot = a.slot[t.row];
    t.position = a.position[t.row];

    uint32_t lowest = t.position + t.first / a.group;
    uint32_t last = t.position + (t.first + t.queries - 1) / a.group;
    uint32_t begin = a.window && lowest + 1 > a.window ? lowest + 1 - a.window : 0;
    begin -= begin % step;
    uint32_t steps = (last + 1 - begin + step - 1) / step;
    uint32_t part = (steps + splits - 1) / splits * step;
    t.begin = begin + blockIdx.z * part;
    t.end = min(t.begin + part, last + 1);
    return t;
}

/* Batch row and head of query m of the tile. */
static __device__ inline uint32_t
moe_attend_row(const moe_attend_args &a, const moe_attend_tile &t, uint32_t m)
{
    return t.row + (t.first + m) / a.group;
}

static __device__ inline uint32_t
moe_attend_head(const moe_attend_args &a, const moe_attend_tile &t, uint32_t m)
{
    return blockIdx.y * a.group + (t.first + m) % a.group;
}

/* Does query m of the tile, at position p, see the key at position `key`? */
static __device__ inline bool
moe_attend_sees(const moe_attend_args &a, uint32_t p, uint32_t key)
{
    return key <= p && (!a.window || key + a.window > p);
}

/* The cache that the tile sees, from position 0. */
static __device__ inline const void *
moe_attend_keys(const moe_attend_args &a, const moe_attend_tile &t)
{
    size_t at = t.slot * a.slot_stride + (size_t)blockIdx.y * a.context * a.key_stride;
    return (const char *)a.keys + at * a.element;
}

static __device__ inline const void *
moe_attend_values(const moe_attend_args &a, const moe_attend_tile &t)
{
    size_t at = t.slot * a.slot_stride + (size_t)blockIdx.y * a.context * a.value_stride;
    return (const char *)a.values + at * a.element;
}

/* Where the result of a query goes: to the output, divided by the sum of its weights, or to the
 * results of its split. */
struct moe_attend_result {
    void *to;
    float2 *totals; /* of the split; NULL: not split */
    float most, total, factor;
    uint32_t columns;

    /* Query m of a tile of `size`; total = the sum of 2^(score - most). */
    __device__ inline moe_attend_result(const moe_attend_args &a, const moe_attend_tile &t,
                                        uint32_t m, uint32_t size, float most_, float total_)
        : totals(NULL), most(most_), total(total_), factor(1), columns(a.value_dim)
    {
        uint32_t head = moe_attend_head(a, t, m);
        if (a.splits > 1) {
            uint32_t single = (gridDim.x - 1 - blockIdx.x) / ((a.group + size - 1) / size);
            size_t place = ((size_t)blockIdx.z * a.singles + single) * a.heads + head;
            to = a.partial + place * a.value_dim;
            totals = a.totals + place;
            return;
        }
        size_t row = (size_t)moe_attend_row(a, t, m) * a.heads + head;
        to = (char *)a.out + row * a.out_stride * a.element;
        float sink = a.sinks ? a.sinks[head] * MOE_LOG2_E : -INFINITY, base = fmaxf(most, sink);
        factor = exp2f(most - base);
        factor /= total * factor + exp2f(sink - base);
    }

    template <class T> __device__ inline void put(uint32_t column, float value) const
    {
        if (column >= columns)
            return;
        if (totals && column == 0)
            *totals = make_float2(most, total);
        if (totals)
            ((float *)to)[column] = value;
        else
            moe_store((T *)to + column, value * factor);
    }
};

/* ---- launchers: cudaError_t ---- */

/* Tiles of `size` queries for one key head. */
uint32_t moe_attend_tiles(const moe_attend_args *a, const moe_cuda_plan *plan, uint32_t size);
int moe_attend_bf16(struct CUstream_st *stream, const moe_attend_args *a, const moe_cuda_plan *plan,
                    uint32_t kv_heads);
int moe_attend_f32(struct CUstream_st *stream, const moe_attend_args *a, const moe_cuda_plan *plan,
                   uint32_t kv_heads);

#endif
