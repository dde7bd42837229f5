/* Products of matrices, y = x W^T: what their kernels share.
 *
 * A product is cut into items: runs of rows of y, all of one expert. The list of items lies on the
 * device (moe_cuda_dispatch), or there is one expert and the host knows its rows. INNER: two
 * matrices, gate and up, whose products become one by the activation. OUTER: one matrix. */
#ifndef MOE_PROFILER_CUDA_GEMM_CUH
#define MOE_PROFILER_CUDA_GEMM_CUH

#include "profiler/cuda/dispatch.cuh"
#include "profiler/cuda/exact.cuh"
#include "profiler/cuda/kernels.h"

enum moe_gemm_kind { MOE_INNER, MOE_OUTER };

struct moe_gemm {
    const moe_cuda_item *items; /* NULL: rows 0 .. n of `one`, cut by `height` */
    const uint32_t *n_items;
    uint32_t n, height;
    const moe_cuda_mlp *table; /* [experts]; NULL: `one` */
    moe_cuda_mlp one;          /* OUTER: in `down` */
    const uint32_t *pick;      /* row of x for a row of y; NULL: the same */
    const void *x, *w;         /* w: OUTER, where it is no bf16 */
    void *y;
    uint32_t rows, cols; /* of each matrix */
    uint32_t x_stride, w_stride, y_stride;
    uint32_t split; /* warps that share out the columns of a tile (stream.cu) */
    bool y_bf16, add;
    moe_cuda_activation activation;
    float alpha, limit;
};

/* What an item's matrices are. */
struct moe_gemm_weights {
    const __nv_bfloat16 *first, *second; /* gate, up; or down */
    const float *first_bias, *second_bias;
};

static __device__ __forceinline__ uint32_t
moe_gemm_items(const moe_gemm &g)
{
    return g.items ? *g.n_items : (g.n + g.height - 1) / g.height;
}

static __device__ __forceinline__ moe_cuda_item
moe_gemm_item(const moe_gemm &g, uint32_t i)
{
    if (g.items)
        return g.items[i];
    return {0, i * g.height, min(g.height, g.n - i * g.height)};
}

template <moe_gemm_kind KIND>
static __device__ __forceinline__ moe_gemm_weights
moe_gemm_expert(const moe_gemm &g, uint32_t expert)
{
    const moe_cuda_mlp *m = g.table ? &g.table[expert] : &g.one;
    const moe_bf16 *first = KIND == MOE_INNER ? m->gate : m->down, *second = m->up;
    if (KIND == MOE_OUTER && g.table && !m->gate)
        first = nullptr;
    return {reinterpret_cast<const __nv_bfloat16 *>(first),
            reinterpret_cast<const __nv_bfloat16 *>(second),
            KIND == MOE_INNER ? m->gate_bias : m->down_bias, m->up_bias};
}

/* e^x: exact where activations are float. */
template <bool EXACT>
static __device__ __forceinline__ float
moe_gemm_expf(float x)
{
    return EXACT ? moe_exact_expf(x) : __expf(x);
}

template <bool EXACT>
static __device__ __forceinline__ float
moe_gemm_activate(const moe_gemm &g, float gate, float up)
{
    if (g.activation == MOE_CUDA_SILU)
        return gate / (1.0f + moe_gemm_expf<EXACT>(-gate)) * up;
    const float in = fminf(gate, g.limit), u = fmaxf(fminf(up, g.limit), -g.limit);
    return (u + 1.0f) * (in / (1.0f + moe_gemm_expf<EXACT>(-(g.alpha * in))));
}

/* The sums of one element of y become that element. */
template <moe_gemm_kind KIND, bool EXACT>
static __device__ __forceinline__ float
moe_gemm_finish(const moe_gemm &g, const moe_gemm_weights &w, uint32_t col, float first,
                float second)
{
    if (w.first_bias)
        first += w.first_bias[col];
    if (KIND == MOE_OUTER)
        return first;
    if (w.second_bias)
        second += w.second_bias[col];
    return moe_gemm_activate<EXACT>(g, first, second);
}

static __device__ __forceinline__ void
moe_gemm_store(const moe_gemm &g, size_t row, uint32_t col, float value)
{
    const size_t at = row * g.y_stride + col;
    if (g.y_bf16) {
        moe_store(static_cast<__nv_bfloat16 *>(g.y) + at, value);
        return;
    }
    float *y = static_cast<float *>(g.y) + at;
    *y = g.add ? *y + value : value;
}

/* Launchers of the three families; grids are as large as the device can run at once. */

/* Few rows (items of at most MOE_STREAMED_ROWS; without items up to 64 rows): weights stream
 * through the tensor cores, from memory right into registers. */
cudaError_t moe_gemm_stream(cudaStream_t stream, moe_gemm_kind kind, const moe_gemm &g,
                            uint32_t most_items);
/* Many rows (items of at most MOE_TILE_ROWS). */
cudaError_t moe_gemm_tile(cudaStream_t stream, moe_gemm_kind kind, const moe_gemm &g,
                          uint32_t most_items);
/* On CUDA cores, of any type and alignment. */
cudaError_t moe_gemm_plain(cudaStream_t stream, moe_gemm_kind kind, const moe_gemm &g,
                           moe_cuda_type x_type, moe_cuda_type w_type, uint32_t most_items);

static inline int
moe_device_has(cudaDeviceAttr attribute)
{
    int device = 0, value = 1;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, attribute, device);
    return value;
}

/* Multiprocessors of the device, times the blocks of the kernel that one of them runs. */
template <class F>
static inline uint32_t
moe_blocks_at_once(F *kernel, int threads, size_t shared)
{
    const int processors = moe_device_has(cudaDevAttrMultiProcessorCount);
    int blocks = 1;
    if (shared > 48 * 1024)
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared));
    cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, shared);
    return static_cast<uint32_t>(processors) * static_cast<uint32_t>(blocks < 1 ? 1 : blocks);
}

#endif
