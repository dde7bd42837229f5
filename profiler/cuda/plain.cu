/* Products on CUDA cores, of any type and alignment: the path of float activations, and routers.
 *
 * Sums run over the columns in a fixed order that does not depend on the other rows. Few rows: a
 * block for each row of the matrix, whose threads share out the columns. Many: tiles of 64 x 64. In
 * between, where those would leave most of the device idle: tiles of 8 x 8, whose threads share out
 * the columns. */
#include "profiler/cuda/gemm.cuh"

constexpr uint32_t FEW = 8, THREADS = 256;
constexpr uint32_t TILE = 64, DEPTH = 16, OWN = 4; /* of each thread: OWN x OWN */
constexpr uint32_t LOADS = TILE * DEPTH / THREADS; /* of each thread for a slice */
constexpr uint32_t SMALL = 8;
/* So many tiles of 64 x 64 take no longer than what those of 8 x 8 read again and again. Not asked
 * of the device, so that all give the same bits. */
constexpr uint64_t BUSY = 48;

template <moe_gemm_kind KIND, class W> struct moe_plain_weights {
    const W *first, *second;
};

/* bf16 matrices of an expert, or the one that the caller gave. */
template <moe_gemm_kind KIND, class W>
static __device__ __forceinline__ moe_plain_weights<KIND, W>
plain_weights(const moe_gemm &g, const moe_gemm_weights &w)
{
    if (g.w)
        return {static_cast<const W *>(g.w), nullptr};
    return {reinterpret_cast<const W *>(w.first), reinterpret_cast<const W *>(w.second)};
}

static __device__ __forceinline__ uint32_t
input_row(const moe_gemm &g, uint32_t entry)
{
    return g.pick ? g.pick[entry] : entry;
}

/* ---- few rows ---- */

/* y [from .. from + 8) of column blockIdx.x, of one expert. */
template <moe_gemm_kind KIND, class X, class W>
static __global__ void
__launch_bounds__(THREADS) multiply_few(const __grid_constant__ moe_gemm g)
{
    __shared__ float parts[2 * FEW][THREADS / MOE_WARP];
    const uint32_t from = blockIdx.y * FEW, n = min(FEW, g.n - from), col = blockIdx.x;
    const unsigned warp = threadIdx.x / MOE_WARP, lane = threadIdx.x % MOE_WARP;
    const moe_gemm_weights own = moe_gemm_expert<KIND>(g, 0);
    const moe_plain_weights<KIND, W> w = plain_weights<KIND, W>(g, own);
    const W *first = w.first + static_cast<size_t>(col) * g.w_stride;
    const W *second =
        KIND == MOE_INNER ? w.second + static_cast<size_t>(col) * g.w_stride : nullptr;
    float a[FEW] = {}, b[FEW] = {};
    const X *x[FEW];

#pragma unroll
    for (uint32_t i = 0; i < FEW; i++)
        x[i] = static_cast<const X *>(g.x) +
               static_cast<size_t>(input_row(g, from + (i < n ? i : 0))) * g.x_stride;
#pragma unroll 2
    for (uint32_t k = threadIdx.x; k < g.cols; k += THREADS) {
        const float f = moe_widen(first[k]), s = KIND == MOE_INNER ? moe_widen(second[k]) : 0.0f;
#pragma unroll
        for (uint32_t i = 0; i < FEW; i++)
            if (i < n) {
                const float in = moe_widen(x[i][k]);
                a[i] = fmaf(in, f, a[i]);
                if (KIND == MOE_INNER)
                    b[i] = fmaf(in, s, b[i]);
            }
    }
#pragma unroll
    for (uint32_t i = 0; i < FEW; i++) {
        a[i] = moe_warp_sum(a[i]);
        if (KIND == MOE_INNER)
            b[i] = moe_warp_sum(b[i]);
        if (lane == 0) {
            parts[i][warp] = a[i];
            parts[FEW + i][warp] = b[i];
        }
    }
    __syncthreads();
    if (threadIdx.x >= n)
        return;
    float sum = 0, other = 0;
#pragma unroll
    for (uint32_t p = 0; p < THREADS / MOE_WARP; p++) {
        sum += parts[threadIdx.x][p];
        other += parts[FEW + threadIdx.x][p];
    }
    moe_gemm_store(g, from + threadIdx.x, col,
                   moe_gemm_finish<KIND, true>(g, own, col, sum, other));
}

/* ---- few outputs ---- */

/* sums[lane * 2 + {0, 1}] of all lanes together, in sums[0] and sums[1]: lanes D apart exchange
 * halves of what they have. */
template <uint32_t D>
static __device__ __forceinline__ void
fold_sums(float (&sums)[SMALL * SMALL])
{
    const bool upper = threadIdx.x & D;
#pragma unroll
    for (uint32_t i = 0; i < 2 * D; i++) {
        const float give = upper ? sums[i] : sums[i + 2 * D];
        const float keep = upper ? sums[i + 2 * D] : sums[i];
        sums[i] = keep + __shfl_xor_sync(MOE_ALL_LANES, give, static_cast<int>(D));
    }
    if constexpr (D > 1)
        fold_sums<D / 2>(sums);
}

/* Rows blockIdx.y * 8 .. of y, columns blockIdx.x * 8 .., of floats in pairs. Each thread has all
 * 64 sums over its share of the columns. */
static __global__ void
__launch_bounds__(THREADS, 2) multiply_small(const __grid_constant__ moe_gemm g)
{
    __shared__ float parts[THREADS / MOE_WARP][SMALL * SMALL];
    const uint32_t from = blockIdx.y * SMALL, col = blockIdx.x * SMALL;
    const uint32_t n = min(SMALL, g.n - from), outs = min(SMALL, g.rows - col);
    const unsigned warp = threadIdx.x / MOE_WARP, lane = threadIdx.x % MOE_WARP;
    const float *x = static_cast<const float *>(g.x) + static_cast<size_t>(from) * g.x_stride;
    const float *w = static_cast<const float *>(g.w) + static_cast<size_t>(col) * g.w_stride;
    float sums[SMALL * SMALL] = {};

#pragma unroll 1
    for (uint32_t k = threadIdx.x * 2; k < g.cols; k += THREADS * 2) {
        float2 a[SMALL], b[SMALL];
#pragma unroll
        for (uint32_t i = 0; i < SMALL; i++) { /* beyond the last: that once more */
            a[i] = __ldg(reinterpret_cast<const float2 *>(
                x + static_cast<size_t>(min(i, n - 1)) * g.x_stride + k));
            b[i] = __ldg(reinterpret_cast<const float2 *>(
                w + static_cast<size_t>(min(i, outs - 1)) * g.w_stride + k));
        }
#pragma unroll
        for (uint32_t i = 0; i < SMALL; i++)
#pragma unroll
            for (uint32_t j = 0; j < SMALL; j++) {
                float *sum = &sums[i * SMALL + j];
                *sum = fmaf(a[i].x, b[j].x, *sum);
                *sum = fmaf(a[i].y, b[j].y, *sum);
            }
    }
    fold_sums<MOE_WARP / 2>(sums);
    parts[warp][lane * 2] = sums[0];
    parts[warp][lane * 2 + 1] = sums[1];
    __syncthreads();
    const uint32_t i = threadIdx.x / SMALL, j = threadIdx.x % SMALL;
    if (i >= n || j >= outs)
        return;
    float sum = 0;
#pragma unroll
    for (uint32_t p = 0; p < THREADS / MOE_WARP; p++)
        sum += parts[p][threadIdx.x];
    const moe_gemm_weights own = moe_gemm_expert<MOE_OUTER>(g, 0);
    moe_gemm_store(g, from + i, col + j, moe_gemm_finish<MOE_OUTER, true>(g, own, col + j, sum, 0));
}

static bool
paired(const void *at, uint32_t cols, uint32_t stride)
{
    return reinterpret_cast<uintptr_t>(at) % 8 == 0 && cols % 2 == 0 && stride % 2 == 0;
}

/* Matrices of floats: routers. */
static bool
few_outputs(const moe_gemm &g)
{
    return !g.items && !g.pick && g.n > FEW && paired(g.x, g.cols, g.x_stride) &&
           paired(g.w, g.cols, g.w_stride) &&
           static_cast<uint64_t>((g.n + TILE - 1) / TILE) * ((g.rows + TILE - 1) / TILE) < BUSY;
}

/* ---- many rows ---- */

/* What this thread brings of a slice of DEPTH columns from k on; rows: NULL where none is. */
template <class T>
static __device__ __forceinline__ void
fetch_slice(const T *const *rows, uint32_t k, uint32_t cols, float *to)
{
    const uint32_t at = k + threadIdx.x % DEPTH;
#pragma unroll
    for (uint32_t i = 0; i < LOADS; i++)
        to[i] = rows[i] && at < cols ? moe_widen(rows[i][at]) : 0.0f;
}

/* That goes into shared memory, columns outermost. */
static __device__ __forceinline__ void
store_slice(const float *from, float (*to)[TILE + 4])
{
#pragma unroll
    for (uint32_t i = 0; i < LOADS; i++)
        to[threadIdx.x % DEPTH][threadIdx.x / DEPTH + i * (THREADS / DEPTH)] = from[i];
}

/* 64 rows of an item from `from` on, 64 columns of y from `col` on. */
template <moe_gemm_kind KIND, class X, class W>
static __device__ __forceinline__ void
multiply_tile(const moe_gemm &g, const moe_cuda_item &item, uint32_t from, uint32_t col)
{
    constexpr uint32_t MATRICES = KIND == MOE_INNER ? 2 : 1;
    __shared__ float xs[DEPTH][TILE + 4], ws[MATRICES][DEPTH][TILE + 4];
    const moe_gemm_weights own = moe_gemm_expert<KIND>(g, item.expert);
    const moe_plain_weights<KIND, W> w = plain_weights<KIND, W>(g, own);
    const uint32_t n = min(TILE, item.n - from), outs = min(TILE, g.rows - col);
    const uint32_t row0 = threadIdx.x / (TILE / OWN) * OWN, col0 = threadIdx.x % (TILE / OWN) * OWN;
    float sums[MATRICES][OWN][OWN] = {};
    float fetched[1 + MATRICES][LOADS]; /* of the slice after the one in shared memory */
    const X *x_row[LOADS];
    const W *w_row[MATRICES][LOADS];

#pragma unroll
    for (uint32_t i = 0; i < LOADS; i++) {
        const uint32_t r = threadIdx.x / DEPTH + i * (THREADS / DEPTH);
        x_row[i] = r < n ? static_cast<const X *>(g.x) +
                               static_cast<size_t>(input_row(g, item.first + from + r)) * g.x_stride
                         : nullptr;
#pragma unroll
        for (uint32_t m = 0; m < MATRICES; m++)
            w_row[m][i] = r < outs
                              ? (m ? w.second : w.first) + static_cast<size_t>(col + r) * g.w_stride
                              : nullptr;
    }
    const auto fetch = [&](uint32_t k) {
        fetch_slice(x_row, k, g.cols, fetched[MATRICES]);
#pragma unroll
        for (uint32_t m = 0; m < MATRICES; m++)
            fetch_slice(w_row[m], k, g.cols, fetched[m]);
    };
    fetch(0);
    for (uint32_t k = 0; k < g.cols; k += DEPTH) {
        __syncthreads(); /* the slice before was read */
        store_slice(fetched[MATRICES], xs);
#pragma unroll
        for (uint32_t m = 0; m < MATRICES; m++)
            store_slice(fetched[m], ws[m]);
        __syncthreads();
        fetch(k + DEPTH);
#pragma unroll
        for (uint32_t d = 0; d < DEPTH; d++) {
            const float4 a4 = *reinterpret_cast<const float4 *>(&xs[d][row0]);
            const float a[OWN] = {a4.x, a4.y, a4.z, a4.w};
#pragma unroll
            for (uint32_t m = 0; m < MATRICES; m++) {
                const float4 b4 = *reinterpret_cast<const float4 *>(&ws[m][d][col0]);
                const float b[OWN] = {b4.x, b4.y, b4.z, b4.w};
#pragma unroll
                for (uint32_t i = 0; i < OWN; i++)
#pragma unroll
                    for (uint32_t j = 0; j < OWN; j++)
                        sums[m][i][j] = fmaf(a[i], b[j], sums[m][i][j]);
            }
        }
    }
#pragma unroll
    for (uint32_t i = 0; i < OWN; i++)
#pragma unroll
        for (uint32_t j = 0; j < OWN; j++) {
            const uint32_t r = row0 + i, c = col0 + j;
            if (r < n && c < outs)
                moe_gemm_store(g, item.first + from + r, col + c,
                               moe_gemm_finish<KIND, true>(g, own, col + c, sums[0][i][j],
                                                           sums[MATRICES - 1][i][j]));
        }
}

template <moe_gemm_kind KIND, class X, class W>
static __global__ void
__launch_bounds__(THREADS, 2) multiply_many(const __grid_constant__ moe_gemm g)
{
    const uint32_t columns = (g.rows + TILE - 1) / TILE, all = moe_gemm_items(g) * columns;
    for (uint32_t i = blockIdx.x; i < all; i += gridDim.x) {
        const moe_cuda_item item = moe_gemm_item(g, i / columns);
        if (!g.w && !moe_gemm_expert<KIND>(g, item.expert).first)
            continue;
        for (uint32_t from = 0; from < item.n; from += TILE)
            multiply_tile<KIND, X, W>(g, item, from, i % columns * TILE);
    }
}

template <moe_gemm_kind KIND, class X, class W>
static cudaError_t
launch(cudaStream_t stream, const moe_gemm &g, uint32_t most_items)
{
    if (!g.items && g.n <= 4 * FEW)
        return moe_launch(multiply_few<KIND, X, W>, dim3(g.rows, (g.n + FEW - 1) / FEW), THREADS, 0,
                          stream, g);
    const uint64_t all = static_cast<uint64_t>((g.rows + TILE - 1) / TILE) * most_items;
    static const uint32_t most = moe_blocks_at_once(multiply_many<KIND, X, W>, THREADS, 0);
    return moe_launch(multiply_many<KIND, X, W>, static_cast<unsigned>(all < most ? all : most),
                      THREADS, 0, stream, g);
}

cudaError_t
moe_gemm_plain(cudaStream_t stream, moe_gemm_kind kind, const moe_gemm &g, moe_cuda_type x_type,
               moe_cuda_type w_type, uint32_t most_items)
{
    using bf16 = __nv_bfloat16;
    const bool x16 = x_type == MOE_CUDA_BF16, w16 = w_type == MOE_CUDA_BF16;
    if (kind == MOE_INNER)
        return x16 ? launch<MOE_INNER, bf16, bf16>(stream, g, most_items)
                   : launch<MOE_INNER, float, bf16>(stream, g, most_items);
    if (!x16 && !w16 && few_outputs(g))
        return moe_launch(multiply_small,
                          dim3((g.rows + SMALL - 1) / SMALL, (g.n + SMALL - 1) / SMALL), THREADS, 0,
                          stream, g);
    if (x16)
        return w16 ? launch<MOE_OUTER, bf16, bf16>(stream, g, most_items) : cudaErrorInvalidValue;
    return w16 ? launch<MOE_OUTER, float, bf16>(stream, g, most_items)
               : launch<MOE_OUTER, float, float>(stream, g, most_items);
}
