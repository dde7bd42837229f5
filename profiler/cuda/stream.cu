/* Products with few rows: time is that of reading the weights.
 *
 * Tensor cores take weights as their left operand, 16 rows of the matrix, and up to 8 rows of x as
 * their right one, in multiples of 8. A sum over columns may take them in any order, as long as
 * both operands take the same: so a lane loads 16 bytes of a row in one go, which stand for its
 * columns of two products, and no weight ever passes through shared memory. Of the eight warps of a
 * block as many share out the columns of the same 16 rows as find some; their runs lie next to each
 * other, so that a block reads whole pages, and their sums are added in order of warps. */
#include "profiler/cuda/gemm.cuh"

#include "profiler/cuda/tensor.cuh"

constexpr uint32_t WARPS = 8, THREADS = WARPS * MOE_WARP;
constexpr uint32_t TILE = 16; /* rows of a matrix */
constexpr uint32_t STEP = 32; /* columns that four lanes load at once */

/* INNER: a tile of gate and the same of up. Steps in flight: what registers hold. */
template <moe_gemm_kind KIND, int NT> struct shape {
    static constexpr uint32_t MATRICES = KIND == MOE_INNER ? 2 : 1;
    static constexpr uint32_t STEPS = (NT == 1 ? 8 : 4) / (NT <= 2 ? MATRICES : 1);
    static constexpr uint32_t RUN = STEPS * STEP;
};

/* For this lane: its first row of the tile of each matrix, and how many elements behind it its
 * second one, 8 rows on, starts. Past the end they are the last row again, whose results nobody
 * keeps. */
template <uint32_t MATRICES> struct moe_tile_rows {
    const __nv_bfloat16 *low[MATRICES];
    uint32_t high;
};

template <moe_gemm_kind KIND, uint32_t MATRICES>
static __device__ __forceinline__ moe_tile_rows<MATRICES>
tile_rows(const moe_gemm &g, const moe_gemm_weights &w, uint32_t row, unsigned lane)
{
    const uint32_t low = min(row + lane / 4, g.rows - 1),
                   high = min(row + lane / 4 + 8, g.rows - 1);
    const size_t at = static_cast<size_t>(low) * g.w_stride + lane % 4 * 8;
    moe_tile_rows<MATRICES> rows;
    rows.low[0] = w.first + at;
    if (KIND == MOE_INNER)
        rows.low[MATRICES - 1] = w.second + at;
    rows.high = (high - low) * g.w_stride;
    return rows;
}

static __device__ __forceinline__ uint4
load_or_zero(const __nv_bfloat16 *at, bool there)
{
    return there ? moe_load_stream(at) : make_uint4(0, 0, 0, 0);
}

/* sums[m][t] += the columns of one run: matrix m, rows 8 t .. of x. */
template <moe_gemm_kind KIND, int NT>
static __device__ __forceinline__ void
multiply_run(const moe_tile_rows<shape<KIND, NT>::MATRICES> &rows, const __nv_bfloat16 *const *x,
             uint32_t col, uint32_t cols, unsigned lane, float sums[][NT][4])
{
    using S = shape<KIND, NT>;
    uint4 low[S::MATRICES][S::STEPS], high[S::MATRICES][S::STEPS];
#pragma unroll
    for (uint32_t s = 0; s < S::STEPS; s++)
#pragma unroll
        for (uint32_t m = 0; m < S::MATRICES; m++) {
            const uint32_t c = col + s * STEP;
            const bool there = c + lane % 4 * 8 < cols;
            low[m][s] = load_or_zero(rows.low[m] + c, there);
            high[m][s] = load_or_zero(rows.low[m] + rows.high + c, there);
        }
#pragma unroll
    for (uint32_t s = 0; s < S::STEPS; s++) {
        const uint32_t c = col + s * STEP;
#pragma unroll
        for (int t = 0; t < NT; t++) {
            const bool there = x[t] && c + lane % 4 * 8 < cols;
            const uint4 in =
                there ? __ldg(reinterpret_cast<const uint4 *>(x[t] + c)) : make_uint4(0, 0, 0, 0);
            const uint32_t b0[2] = {in.x, in.y}, b1[2] = {in.z, in.w};
#pragma unroll
            for (uint32_t m = 0; m < S::MATRICES; m++) {
                const uint4 l = low[m][s], h = high[m][s];
                const uint32_t a0[4] = {l.x, h.x, l.y, h.y}, a1[4] = {l.z, h.z, l.w, h.w};
                moe_mma(sums[m][t], a0, b0);
                moe_mma(sums[m][t], a1, b1);
            }
        }
    }
}

/* The tiles from `row` on, WARPS / split of them, of one item. parts: [WARPS][MATRICES][NT * 8 rows
 * of x][TILE], shared. */
template <moe_gemm_kind KIND, int NT>
static __device__ __forceinline__ void
multiply_tiles(const moe_gemm &g, const moe_cuda_item &item, const moe_gemm_weights &w,
               uint32_t row, float *parts)
{
    using S = shape<KIND, NT>;
    const unsigned warp = threadIdx.x / MOE_WARP, lane = threadIdx.x % MOE_WARP;
    const __nv_bfloat16 *input = static_cast<const __nv_bfloat16 *>(g.x), *x[NT];
    float sums[S::MATRICES][NT][4] = {};

    const moe_tile_rows<S::MATRICES> rows =
        tile_rows<KIND, S::MATRICES>(g, w, row + warp / g.split * TILE, lane);
#pragma unroll
    for (int t = 0; t < NT; t++) {
        const uint32_t i = static_cast<uint32_t>(t) * 8 + lane / 4, entry = item.first + i;
        x[t] = i < item.n
                   ? input + static_cast<size_t>(g.pick ? g.pick[entry] : entry) * g.x_stride +
                         lane % 4 * 8
                   : nullptr;
    }
#pragma unroll 1
    for (uint32_t col = warp % g.split * S::RUN; col < g.cols; col += g.split * S::RUN)
        multiply_run<KIND, NT>(rows, x, col, g.cols, lane, sums);

    constexpr uint32_t SIZE = NT * 8 * TILE;
    __syncthreads(); /* the parts of the tile before were read */
#pragma unroll
    for (uint32_t m = 0; m < S::MATRICES; m++)
#pragma unroll
        for (int t = 0; t < NT; t++)
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) {
                const uint32_t r = lane / 4 + i / 2 * 8;
                const uint32_t n = static_cast<uint32_t>(t) * 8 + lane % 4 * 2 + i % 2;
                parts[(warp * S::MATRICES + m) * SIZE + n * TILE + r] = sums[m][t][i];
            }
    __syncthreads();
    const uint32_t wide = WARPS / g.split * TILE;                          /* rows of all tiles */
    const moe_gemm_weights biased = moe_gemm_expert<KIND>(g, item.expert); /* w frees registers */
    for (uint32_t i = threadIdx.x; i < item.n * wide; i += THREADS) {
        const uint32_t n = i / wide, r = i % wide, out = row + r;
        const float *part = parts + r / TILE * g.split * S::MATRICES * SIZE + n * TILE + r % TILE;
        float first = 0, second = 0;
#pragma unroll 1
        for (uint32_t p = 0; p < g.split; p++) {
            first += part[p * S::MATRICES * SIZE];
            if (KIND == MOE_INNER)
                second += part[(p * S::MATRICES + 1) * SIZE];
        }
        if (out < g.rows)
            moe_gemm_store(g, item.first + n, out,
                           moe_gemm_finish<KIND, false>(g, biased, out, first, second));
    }
}

/* Items of at most 8 * NT rows. */
template <moe_gemm_kind KIND, int NT>
static __global__ void
__launch_bounds__(THREADS, NT <= 2 ? 2 : 1) stream_weights(const __grid_constant__ moe_gemm g)
{
    __shared__ float parts[WARPS * shape<KIND, NT>::MATRICES * NT * 8 * TILE];
    const uint32_t wide = WARPS / g.split * TILE;
    const uint32_t tiles = (g.rows + wide - 1) / wide, all = moe_gemm_items(g) * tiles;

    for (uint32_t i = blockIdx.x; i < all; i += gridDim.x) {
        const moe_cuda_item item = moe_gemm_item(g, i / tiles);
        const moe_gemm_weights w = moe_gemm_expert<KIND>(g, item.expert);
        if (!w.first)
            continue;
        if (NT == 2 && item.n <= 8)
            multiply_tiles<KIND, 1>(g, item, w, i % tiles * wide, parts);
        else
            multiply_tiles<KIND, NT>(g, item, w, i % tiles * wide, parts);
    }
}

/* Two runs or more for each warp, but rather one than processors without work. */
template <moe_gemm_kind KIND, int NT>
static cudaError_t
launch(cudaStream_t stream, const moe_gemm &given, uint32_t most_items)
{
    constexpr uint32_t RUN = shape < KIND, NT <= 2 ? 1 : NT > ::RUN; /* of items of up to 8 rows */
    static const uint32_t most = moe_blocks_at_once(stream_weights<KIND, NT>, THREADS, 0);
    moe_gemm g = given;
    uint64_t all;
    for (g.split = 1;; g.split *= 2) {
        const uint32_t wide = WARPS / g.split * TILE;
        all = static_cast<uint64_t>((g.rows + wide - 1) / wide) * most_items;
        if (g.split == WARPS || g.cols < 2 * RUN * g.split ||
            (g.cols < 4 * RUN * g.split && all >= most))
            break;
    }
    return moe_launch(stream_weights<KIND, NT>, static_cast<unsigned>(all < most ? all : most),
                      THREADS, 0, stream, g);
}

cudaError_t
moe_gemm_stream(cudaStream_t stream, moe_gemm_kind kind, const moe_gemm &g, uint32_t most_items)
{
    const uint32_t rows = g.items ? MOE_STREAMED_ROWS : g.n;
    const bool inner = kind == MOE_INNER;
    if (rows <= 16)
        return inner ? launch<MOE_INNER, 2>(stream, g, most_items)
                     : launch<MOE_OUTER, 2>(stream, g, most_items);
    if (rows <= 32)
        return inner ? launch<MOE_INNER, 4>(stream, g, most_items)
                     : launch<MOE_OUTER, 4>(stream, g, most_items);
    return inner ? cudaErrorInvalidValue : launch<MOE_OUTER, 8>(stream, g, most_items);
}
