/* Products with many rows: tiles of up to 128 rows of x by 128 or 256 rows of weights.
 *
 * Columns come in slices of 64 through a ring of slots in shared memory, filled by asynchronous
 * copies that run a few slices ahead, over the end of a tile into the next one, so that no tile
 * waits for its first slices. Rows of a slice are 128 bytes, whose 16-byte parts are exchanged by
 * row (part ^ row % 8), so that neither copies nor loads of fragments meet in a bank. Eight warps,
 * two by four, hold their sums in registers. Tiles go round in groups of 16 items, all matrix rows
 * of a group before the next, so that what blocks read at the same time stays in L2. */
#include "profiler/cuda/gemm.cuh"

#include "profiler/cuda/tensor.cuh"

constexpr uint32_t THREADS = 256, GROUP = 16;
constexpr uint32_t BM = MOE_TILE_ROWS, BK = 64, PARTS = BK / 8;
constexpr uint32_t PER_PASS = THREADS / PARTS; /* rows that the block copies at once */

/* NI: pieces of 8 matrix rows for each warp. */
template <moe_gemm_kind KIND, int NI, int STAGES> struct tile {
    static constexpr uint32_t BN = 4 * NI * 8;
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
    return {group * GROUP + rest % wide, rest / wide};
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

/* Fragments of 16 columns of a slot. */
template <int MI, int NI>
static __device__ __forceinline__ void
load_fragments(const __nv_bfloat16 *slot, uint32_t step, uint32_t a[MI][4], uint32_t b[NI][2])
{
    const unsigned warp = threadIdx.x / MOE_WARP, lane = threadIdx.x % MOE_WARP;
    const uint32_t row_a = warp % 2 * MI * 16 + lane % 16, part_a = step * 2 + lane / 16;
    const uint32_t row_b = warp / 2 * NI * 8 + lane % 8 + lane / 16 * 8;
    const uint32_t part_b = step * 2 + lane / 8 % 2;
    const __nv_bfloat16 *from_a = slot + row_a * BK + (part_a ^ row_a % 8) * 8;
    const __nv_bfloat16 *from_b = slot + (BM + row_b) * BK + (part_b ^ row_b % 8) * 8;

#pragma unroll
    for (int i = 0; i < MI; i++)
        moe_ldmatrix4(a[i], from_a + i * 16 * static_cast<int>(BK));
#pragma unroll
    for (int i = 0; i < NI; i += 2)
        moe_ldmatrix4(b[i], from_b + i * 8 * static_cast<int>(BK));
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

template <moe_gemm_kind KIND, class T, int MI, int NI>
static __device__ __forceinline__ void
store_tile(const moe_gemm &g, const moe_cuda_item &item, const moe_gemm_weights &w, uint32_t col,
           const float sums[MI][NI][4])
{
    const unsigned warp = threadIdx.x / MOE_WARP, lane = threadIdx.x % MOE_WARP;
    constexpr int PIECES = KIND == MOE_INNER ? NI / 2 : NI;
    const uint32_t first_col = col + warp / 2 * PIECES * 8 + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t r = (warp % 2 * MI + static_cast<uint32_t>(i)) * 16 + lane / 4 + h * 8;
            if (r >= item.n)
                continue;
#pragma unroll
            for (int j = 0; j < PIECES; j++)
                store_pair<KIND>(g, w, item.first + r, first_col + static_cast<uint32_t>(j) * 8,
                                 &sums[i][j][h * 2],
                                 &sums[i][KIND == MOE_INNER ? j + PIECES : j][h * 2]);
        }
}

/* A tile of 32 * MI rows of x: its slices as they come, while others are fed. */
template <moe_gemm_kind KIND, class T, int MI, int NI, int STAGES>
static __device__ __forceinline__ void
multiply_tile(const moe_gemm &g, uint32_t items, uint32_t columns, uint32_t index,
              __nv_bfloat16 *memory, uint32_t *slot, moe_tile_feed *feed)
{
    float sums[MI][NI][4] = {};
    uint32_t a[2][MI][4], b[2][NI][2];
    constexpr uint32_t STEPS = BK / 16;

    for (uint32_t k = 0; k < g.cols; k += BK) {
        moe_copy_wait<STAGES - 2>();
        __syncthreads();
        const __nv_bfloat16 *here = memory + *slot * T::SLOT;
        load_fragments<MI, NI>(here, 0, a[0], b[0]);
        feed_slice<KIND, T, STAGES>(g, items, columns, memory, feed);
#pragma unroll
        for (uint32_t s = 0; s < STEPS; s++) {
            if (s + 1 < STEPS)
                load_fragments<MI, NI>(here, s + 1, a[(s + 1) % 2], b[(s + 1) % 2]);
#pragma unroll
            for (int i = 0; i < MI; i++)
#pragma unroll
                for (int j = 0; j < NI; j++)
                    moe_mma(sums[i][j], a[s % 2][i], b[s % 2][j]);
        }
        *slot = *slot + 1 == STAGES ? 0 : *slot + 1;
    }
    const moe_tile_place at = tile_place(index, items, columns);
    const moe_cuda_item item = moe_gemm_item(g, at.item);
    store_tile<KIND, T, MI, NI>(g, item, moe_gemm_expert<KIND>(g, item.expert), at.col * T::OUT,
                                sums);
}

template <moe_gemm_kind KIND, int NI, int STAGES>
static __global__ void
__launch_bounds__(THREADS) multiply_tiles(const __grid_constant__ moe_gemm g)
{
    using T = tile<KIND, NI, STAGES>;
    MOE_DYNAMIC_SHARED(__nv_bfloat16, memory);
    const uint32_t items = moe_gemm_items(g), columns = (g.rows + T::OUT - 1) / T::OUT;
    uint32_t slot = 0;
    moe_tile_feed feed = {};

    feed_tile<T>(g, moe_gemm_expert<KIND>, items, columns, blockIdx.x, &feed);
    for (int s = 0; s < STAGES - 1; s++)
        feed_slice<KIND, T, STAGES>(g, items, columns, memory, &feed);
    for (uint32_t i = blockIdx.x; i < items * columns; i += gridDim.x) {
        const moe_cuda_item item = moe_gemm_item(g, tile_place(i, items, columns).item);
        if (!moe_gemm_expert<KIND>(g, item.expert).first)
            continue;
        if (item.n <= BM / 2)
            multiply_tile<KIND, T, 2, NI, STAGES>(g, items, columns, i, memory, &slot, &feed);
        else
            multiply_tile<KIND, T, 4, NI, STAGES>(g, items, columns, i, memory, &slot, &feed);
    }
}

template <moe_gemm_kind KIND, int NI, int STAGES>
static cudaError_t
launch(cudaStream_t stream, const moe_gemm &g, uint32_t most_items)
{
    using T = tile<KIND, NI, STAGES>;
    const uint64_t all = static_cast<uint64_t>((g.rows + T::OUT - 1) / T::OUT) * most_items;
    static const uint32_t most =
        moe_blocks_at_once(multiply_tiles<KIND, NI, STAGES>, THREADS, T::BYTES);
    return moe_launch(multiply_tiles<KIND, NI, STAGES>,
                      static_cast<unsigned>(all < most ? all : most), THREADS, T::BYTES, stream, g);
}

/* Four slots where the device has the shared memory, else three. */
template <moe_gemm_kind KIND, int NI>
static cudaError_t
launch_deep(cudaStream_t stream, const moe_gemm &g, uint32_t most_items)
{
    int device = 0, most = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (static_cast<size_t>(most) >= tile<KIND, NI, 4>::BYTES)
        return launch<KIND, NI, 4>(stream, g, most_items);
    return launch<KIND, NI, 3>(stream, g, most_items);
}

cudaError_t
moe_gemm_tile(cudaStream_t stream, moe_gemm_kind kind, const moe_gemm &g, uint32_t most_items)
{
    if (kind == MOE_INNER)
        return launch_deep<MOE_INNER, 8>(stream, g, most_items);
    return launch_deep<MOE_OUTER, 8>(stream, g, most_items);
}
