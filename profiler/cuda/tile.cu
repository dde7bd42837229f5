/* Products with many rows: tiles of up to 128 rows of x by 128 or 256 rows of weights, each block
 * one after another, its eight warps with the sums in registers. Two ways to multiply, by the
 * architecture that it is compiled for. */
#include "profiler/cuda/tile.cuh"

#include "profiler/cuda/wgmma.cuh"

/* ---- sums in fragments (sm_80): warps two by four, each 16 * MI rows of x by 8 * NI of weights
 * ---- */

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

template <moe_gemm_kind KIND, class T, int MI, int NI>
static __device__ __forceinline__ void
store_fragments(const moe_gemm &g, const moe_cuda_item &item, const moe_gemm_weights &w,
                uint32_t col, const float sums[MI][NI][4])
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
multiply_fragments(const moe_gemm &g, uint32_t items, uint32_t columns, uint32_t index,
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
    store_fragments<KIND, T, MI, NI>(g, item, moe_gemm_expert<KIND>(g, item.expert),
                                     at.col * T::OUT, sums);
}

/* ---- sums of asynchronous products (sm_90a): two groups of four warps ---- */

/* The sums of 64 rows of x from `from` on and of half `side` (128 rows) of the weights. */
template <moe_gemm_kind KIND>
static __device__ __forceinline__ void
store_half(const moe_gemm &g, const moe_cuda_item &item, const moe_gemm_weights &w, uint32_t col,
           uint32_t from, uint32_t side, const float (&sums)[64])
{
    const unsigned warp = threadIdx.x / MOE_WARP, lane = threadIdx.x % MOE_WARP;
#pragma unroll
    for (uint32_t h = 0; h < 2; h++) {
        const uint32_t r = from + warp % 4 * 16 + lane / 4 + h * 8;
        if (r >= item.n)
            continue;
#pragma unroll
        for (uint32_t j = 0; j < 16; j++) {
            if (KIND == MOE_INNER && j % 8 >= 4)
                continue; /* of up: goes with that of gate */
            const uint32_t piece =
                KIND == MOE_INNER ? (side * 2 + j / 8) * 4 + j % 4 : side * 16 + j;
            store_pair<KIND>(g, w, item.first + r, col + piece * 8 + lane % 4 * 2,
                             &sums[j * 4 + h * 2],
                             &sums[(KIND == MOE_INNER ? j + 4 : j) * 4 + h * 2]);
        }
    }
}

/* Tall: each group has 64 rows of x and all weights; else each has 64 rows of x and a half of the
 * weights. Products of a slice run while the next one is waited for and a later one is fed: a slot
 * is fed again two slices after its products began, when all threads know that they have ended. */
template <moe_gemm_kind KIND, class T, bool TALL, int STAGES>
static __device__ __forceinline__ void
multiply_async(const moe_gemm &g, uint32_t items, uint32_t columns, uint32_t index,
               __nv_bfloat16 *memory, uint32_t *slot, moe_tile_feed *feed)
{
    constexpr uint32_t HALVES = T::BN / 128, OWN = TALL ? HALVES : 1;
    const uint32_t group = threadIdx.x / 128;
    const bool busy = TALL || group < HALVES;
    const uint32_t from = TALL ? group * 64 : 0, side = TALL || !busy ? 0 : group;
    float sums[OWN][64];

    for (uint32_t k = 0; k < g.cols; k += BK) {
        moe_copy_wait<STAGES - 3>();
        moe_wgmma_publish();
        __syncthreads();
        const __nv_bfloat16 *x = memory + *slot * T::SLOT + from * BK;
        const __nv_bfloat16 *w = memory + *slot * T::SLOT + (BM + side * 128) * BK;
        if (busy) {
#pragma unroll
            for (uint32_t i = 0; i < OWN; i++)
                moe_wgmma_hold(sums[i]);
            moe_wgmma_begin();
#pragma unroll
            for (uint32_t s = 0; s < BK / 16; s++)
#pragma unroll
                for (uint32_t i = 0; i < OWN; i++)
                    moe_wgmma(sums[i], x + s * 16, w + i * 128 * BK + s * 16, k + s > 0);
            moe_wgmma_commit();
        }
        feed_slice<KIND, T, STAGES>(g, items, columns, memory, feed);
        moe_wgmma_wait<1>();
        *slot = *slot + 1 == STAGES ? 0 : *slot + 1;
    }
    moe_wgmma_wait<0>();
    if (!busy)
        return;
    const moe_tile_place at = tile_place(index, items, columns);
    const moe_cuda_item item = moe_gemm_item(g, at.item);
    const moe_gemm_weights w = moe_gemm_expert<KIND>(g, item.expert);
#pragma unroll
    for (uint32_t i = 0; i < OWN; i++) {
        moe_wgmma_hold(sums[i]);
        store_half<KIND>(g, item, w, at.col * T::OUT, from, side + i, sums[i]);
    }
}

template <moe_gemm_kind KIND, uint32_t BN, int STAGES>
static __global__ void
__launch_bounds__(THREADS) multiply_tiles(const __grid_constant__ moe_gemm g)
{
    using T = tile<KIND, BN, STAGES>;
    MOE_DYNAMIC_SHARED(__nv_bfloat16, memory);
    const uint32_t items = moe_gemm_items(g), columns = (g.rows + T::OUT - 1) / T::OUT;
    const int ahead = moe_has_wgmma() ? STAGES - 2 : STAGES - 1;
    uint32_t slot = 0;
    moe_tile_feed feed = {};

    feed_tile<T>(g, moe_gemm_expert<KIND>, items, columns, blockIdx.x, &feed);
    for (int s = 0; s < ahead; s++)
        feed_slice<KIND, T, STAGES>(g, items, columns, memory, &feed);
    for (uint32_t i = blockIdx.x; i < items * columns; i += gridDim.x) {
        const moe_cuda_item item = moe_gemm_item(g, tile_place(i, items, columns).item);
        const bool tall = item.n > BM / 2;
        if (!moe_gemm_expert<KIND>(g, item.expert).first)
            continue;
        if (moe_has_wgmma()) {
            if (tall)
                multiply_async<KIND, T, true, STAGES>(g, items, columns, i, memory, &slot, &feed);
            else
                multiply_async<KIND, T, false, STAGES>(g, items, columns, i, memory, &slot, &feed);
        } else if (tall) {
            multiply_fragments<KIND, T, 4, BN / 32, STAGES>(g, items, columns, i, memory, &slot,
                                                            &feed);
        } else {
            multiply_fragments<KIND, T, 2, BN / 32, STAGES>(g, items, columns, i, memory, &slot,
                                                            &feed);
        }
    }
}

template <moe_gemm_kind KIND, uint32_t BN, int STAGES>
static cudaError_t
launch(cudaStream_t stream, const moe_gemm &g, uint32_t most_items)
{
    using T = tile<KIND, BN, STAGES>;
    const uint64_t all = static_cast<uint64_t>((g.rows + T::OUT - 1) / T::OUT) * most_items;
    static const uint32_t most =
        moe_blocks_at_once(multiply_tiles<KIND, BN, STAGES>, THREADS, T::BYTES);
    return moe_launch(multiply_tiles<KIND, BN, STAGES>,
                      static_cast<unsigned>(all < most ? all : most), THREADS, T::BYTES, stream, g);
}

/* Four slots where the device has the shared memory, else three. */
template <moe_gemm_kind KIND, uint32_t BN>
static cudaError_t
launch_deep(cudaStream_t stream, const moe_gemm &g, uint32_t most_items)
{
    static const int most = moe_device_has(cudaDevAttrMaxSharedMemoryPerBlockOptin);
    if (static_cast<size_t>(most) >= tile<KIND, BN, 4>::BYTES)
        return launch<KIND, BN, 4>(stream, g, most_items);
    return launch<KIND, BN, 3>(stream, g, most_items);
}

/* How long tiles of such a height and width take, in units of a hundredth of a microsecond for each
 * slice: a slice takes as long as an H100 was seen to take for one, and tiles that do not fit onto
 * the device at once take turns. */
static uint64_t
tile_time(const moe_gemm &g, uint32_t height, uint32_t wide, uint64_t slice)
{
    static const uint64_t processors =
        static_cast<uint64_t>(moe_device_has(cudaDevAttrMultiProcessorCount));
    const uint64_t tiles =
        static_cast<uint64_t>((g.n + height - 1) / height) * ((g.rows + wide - 1) / wide);
    return (tiles + processors - 1) / processors * slice;
}

cudaError_t
moe_gemm_tile(cudaStream_t stream, moe_gemm_kind kind, const moe_gemm &given, uint32_t most_items)
{
    moe_gemm g = given;
    if (kind == MOE_INNER)
        return launch_deep<MOE_INNER, 256>(stream, g, most_items);
    if (g.items)
        return launch_deep<MOE_OUTER, 256>(stream, g, most_items);
    const uint64_t large = tile_time(g, BM, 256, 125), narrow = tile_time(g, BM, 128, 75),
                   low = tile_time(g, BM / 2, 128, 66);
    if (large <= narrow && large <= low)
        return launch_deep<MOE_OUTER, 256>(stream, g, most_items);
    if (low < narrow)
        g.height = BM / 2;
    return launch_deep<MOE_OUTER, 128>(stream, g, (g.n + g.height - 1) / g.height);
}
