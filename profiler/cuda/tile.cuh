/* Inside tile.cu: how tiles are cut, fed and stored.
 *
 * Columns come in slices of 64 through a ring of slots in shared memory, filled by asynchronous
 * copies that run a few slices ahead, over the end of a tile into the next one, so that no tile
 * waits for its first slices. Rows of a slice are 128 bytes, whose 16-byte parts are exchanged by
 * row (part ^ row % 8), so that neither copies nor loads of fragments meet in a bank. Tiles go
 * round in groups of 16 items, all matrix rows of a group before the next, so that what blocks read
 * at the same time stays in L2; each time round a block is one item further on, for the items of an
 * expert may be one full and one half full, and no block shall have all the full ones. */
#ifndef MOE_PROFILER_CUDA_TILE_CUH
#define MOE_PROFILER_CUDA_TILE_CUH

#include "profiler/cuda/gemm.cuh"

#include "profiler/cuda/tensor.cuh"

constexpr uint32_t THREADS = 256, GROUP = 16;
constexpr uint32_t BM = MOE_TILE_ROWS, BK = 64, PARTS = BK / 8;
constexpr uint32_t PER_PASS = THREADS / PARTS; /* rows that the block copies at once */

/* Tiles of up to 128 rows of x by BN rows of weights. */
template <moe_gemm_kind KIND, uint32_t WEIGHTS, int STAGES> struct tile {
    static constexpr uint32_t BN = WEIGHTS;
    static constexpr uint32_t OUT = KIND == MOE_INNER ? BN / 2 : BN; /* columns of y */
    static constexpr uint32_t SLOT = (BM + BN) * BK;                 /* elements */
    static constexpr size_t BYTES = sizeof(__nv_bfloat16) * SLOT * STAGES;
};

struct moe_tile_place {
    uint32_t item, col;
};

static __device__ __forceinline__ moe_tile_place
tile_place(uint32_t i, uint32_t items, uint32_t columns)
{
    const uint32_t group = i / (GROUP * columns), rest = i % (GROUP * columns);
    const uint32_t wide = min(GROUP, items - group * GROUP);
    const uint32_t col = rest / wide, round = col * wide / gridDim.x;
    return {group * GROUP + (rest + round) % wide, col};
}

/* What is copied next: slice `slice` of tile `index`, by this thread. */
struct moe_tile_feed {
    uint32_t index, slice, slot;
    uint32_t row[BM / PER_PASS]; /* of x; UINT32_MAX: none */
    uint32_t passes;             /* over x */
    uint32_t col;                /* first column of y */
    const __nv_bfloat16 *first, *second;
};

/* The first tile from `index` on whose weights are there. */
template <class T>
static __device__ __forceinline__ void
feed_tile(const moe_gemm &g, moe_gemm_weights (*expert)(const moe_gemm &, uint32_t), uint32_t items,
          uint32_t columns, uint32_t index, moe_tile_feed *f)
{
    const uint32_t all = items * columns;
    for (; index < all; index += gridDim.x) {
        const moe_tile_place at = tile_place(index, items, columns);
        const moe_cuda_item item = moe_gemm_item(g, at.item);
        const moe_gemm_weights w = expert(g, item.expert);
        if (!w.first)
            continue;
        f->first = w.first;
        f->second = w.second;
        f->col = at.col * T::OUT;
        f->passes = (item.n + PER_PASS - 1) / PER_PASS;
#pragma unroll
        for (uint32_t i = 0; i < BM / PER_PASS; i++) {
            const uint32_t r = threadIdx.x / PARTS + i * PER_PASS, entry = item.first + r;
            f->row[i] = r < item.n ? g.pick ? g.pick[entry] : entry : UINT32_MAX;
        }
        break;
    }
    f->index = index;
    f->slice = 0;
}

/* Copies a slice into the next slot, and goes on to the one behind it. */
template <moe_gemm_kind KIND, class T, int STAGES>
static __device__ __forceinline__ void
feed_slice(const moe_gemm &g, uint32_t items, uint32_t columns, __nv_bfloat16 *memory,
           moe_tile_feed *f)
{
    const uint32_t row = threadIdx.x / PARTS, part = threadIdx.x % PARTS;
    const uint32_t k = f->slice * BK + part * 8;
    __nv_bfloat16 *x = memory + f->slot * T::SLOT + row * BK + (part ^ row % 8) * 8;
    __nv_bfloat16 *w = x + BM * BK;

    if (f->index < items * columns) {
        const bool there = k < g.cols;
        const __nv_bfloat16 *from = static_cast<const __nv_bfloat16 *>(g.x);
#pragma unroll
        for (uint32_t i = 0; i < BM / PER_PASS; i++)
            if (i < f->passes) {
                const bool row_there = there && f->row[i] != UINT32_MAX;
                const size_t at = row_there ? static_cast<size_t>(f->row[i]) * g.x_stride + k : 0;
                moe_copy16(x + i * PER_PASS * BK, from + at, row_there);
            }
#pragma unroll
        for (uint32_t i = 0; i < T::BN / PER_PASS; i++) {
            /* INNER: a warp's rows are 32 of gate, then the same 32 of up. */
            const bool second = KIND == MOE_INNER && i % 2;
            const uint32_t r = f->col + row + (KIND == MOE_INNER ? i / 2 : i) * PER_PASS;
            const bool row_there = there && r < g.rows;
            const size_t at = row_there ? static_cast<size_t>(r) * g.w_stride + k : 0;
            moe_copy16(w + i * PER_PASS * BK, (second ? f->second : f->first) + at, row_there);
        }
        if (++f->slice * BK >= g.cols)
            feed_tile<T>(g, moe_gemm_expert<KIND>, items, columns, f->index + gridDim.x, f);
    }
    moe_copy_commit();
    f->slot = f->slot + 1 == STAGES ? 0 : f->slot + 1;
}

/* One pair of columns of y. */
template <moe_gemm_kind KIND>
static __device__ __forceinline__ void
store_pair(const moe_gemm &g, const moe_gemm_weights &w, size_t row, uint32_t col,
           const float *first, const float *second)
{
    const size_t at = row * g.y_stride + col;
    if (col >= g.rows)
        return;
    const float low = moe_gemm_finish<KIND, false>(g, w, col, first[0], second[0]);
    if (col + 1 == g.rows) {
        moe_gemm_store(g, row, col, low);
        return;
    }
    const float high = moe_gemm_finish<KIND, false>(g, w, col + 1, first[1], second[1]);
    if (g.y_bf16 && at % 2 == 0) {
        reinterpret_cast<uint32_t *>(g.y)[at / 2] = moe_pack(low, high);
        return;
    }
    moe_gemm_store(g, row, col, low);
    moe_gemm_store(g, row, col + 1, high);
}

#endif
