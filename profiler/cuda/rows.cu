/* What is done to rows of the residual stream: a block for each row, each thread a few columns. */
#include "profiler/cuda/kernels.h"

#include "profiler/cuda/exact.cuh"

/* ---- so many columns at once: 4 where rows are whole multiples of it ---- */

template <int V> struct moe_columns {
    float v[V];
};

template <int V>
static __device__ __forceinline__ moe_columns<V>
load(const float *at)
{
    moe_columns<V> out;
    if constexpr (V == 4) {
        float4 x = *reinterpret_cast<const float4 *>(at);
        out = {{x.x, x.y, x.z, x.w}};
    } else {
        out.v[0] = *at;
    }
    return out;
}

template <int V>
static __device__ __forceinline__ moe_columns<V>
load(const __nv_bfloat16 *at)
{
    moe_columns<V> out;
    if constexpr (V == 4) {
        uint2 x = *reinterpret_cast<const uint2 *>(at);
        float2 low = moe_unpack(x.x), high = moe_unpack(x.y);
        out = {{low.x, low.y, high.x, high.y}};
    } else {
        out.v[0] = moe_widen(*at);
    }
    return out;
}

template <int V>
static __device__ __forceinline__ void
store(float *at, const moe_columns<V> &x)
{
    if constexpr (V == 4)
        *reinterpret_cast<float4 *>(at) = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
    else
        *at = x.v[0];
}

template <int V>
static __device__ __forceinline__ void
store(__nv_bfloat16 *at, const moe_columns<V> &x)
{
    if constexpr (V == 4)
        *reinterpret_cast<uint2 *>(at) =
            make_uint2(moe_pack(x.v[0], x.v[1]), moe_pack(x.v[2], x.v[3]));
    else
        moe_store(at, x.v[0]);
}

/* Depends on the width alone, so that a row's sums do not depend on the batch. */
static unsigned
threads_for(uint32_t hidden)
{
    unsigned threads = (hidden / 4 + MOE_WARP - 1) / MOE_WARP * MOE_WARP;
    return threads < MOE_WARP ? MOE_WARP : threads > 512 ? 512 : threads;
}

/* ---- rows as they are ---- */

/* picked: of n rows of x, one for each row of out. */
template <int V, class T, class P>
static __global__ void
copy_rows(const T *__restrict__ x, const P *__restrict__ pick, uint32_t hidden, float *out)
{
    const T *from = x + static_cast<size_t>(pick[blockIdx.x]) * hidden;
    float *to = out + static_cast<size_t>(blockIdx.x) * hidden;
    for (uint32_t c = threadIdx.x * V; c < hidden; c += blockDim.x * V)
        store<V>(to + c, load<V>(from + c));
}

extern "C" int
moe_cuda_embed(cudaStream_t stream, const moe_bf16 *table, uint32_t hidden, const uint32_t *token,
               uint32_t n, float *out)
{
    const __nv_bfloat16 *x = reinterpret_cast<const __nv_bfloat16 *>(table);
    auto kernel = hidden % 4 == 0 ? copy_rows<4, __nv_bfloat16, uint32_t>
                                  : copy_rows<1, __nv_bfloat16, uint32_t>;
    return moe_launch(kernel, n, threads_for(hidden), 0, stream, x, token, hidden, out);
}

extern "C" int
moe_cuda_gather(cudaStream_t stream, const float *x, const uint32_t *pick, uint32_t n,
                uint32_t hidden, float *out)
{
    auto kernel = hidden % 4 == 0 ? copy_rows<4, float, uint32_t> : copy_rows<1, float, uint32_t>;
    return moe_launch(kernel, n, threads_for(hidden), 0, stream, x, pick, hidden, out);
}

/* ---- normalised ---- */

template <int V>
static __global__ void
normalise(const float *__restrict__ x, const uint32_t *__restrict__ pick, uint32_t hidden,
          const float *__restrict__ weight, float eps, float *out, __nv_bfloat16 *out_bf16)
{
    __shared__ float parts[MOE_WARP];
    const size_t at = static_cast<size_t>(blockIdx.x) * hidden;
    const float *row = x + static_cast<size_t>(pick ? pick[blockIdx.x] : blockIdx.x) * hidden;
    float sum = 0;

    for (uint32_t c = threadIdx.x * V; c < hidden; c += blockDim.x * V) {
        moe_columns<V> in = load<V>(row + c);
#pragma unroll
        for (int i = 0; i < V; i++)
            sum += in.v[i] * in.v[i];
    }
    sum = moe_block_sum(sum, parts);
    const float scale = 1.0f / sqrtf(sum / static_cast<float>(hidden) + eps);
    for (uint32_t c = threadIdx.x * V; c < hidden; c += blockDim.x * V) {
        moe_columns<V> in = load<V>(row + c), w = load<V>(weight + c);
#pragma unroll
        for (int i = 0; i < V; i++)
            in.v[i] = in.v[i] * scale * w.v[i];
        if (out)
            store<V>(out + at + c, in);
        if (out_bf16)
            store<V>(out_bf16 + at + c, in);
    }
}

extern "C" int
moe_cuda_norm(cudaStream_t stream, const float *x, const uint32_t *pick, uint32_t n,
              uint32_t hidden, const float *weight, float eps, float *out, moe_bf16 *out_bf16)
{
    return moe_launch(hidden % 4 == 0 ? normalise<4> : normalise<1>, n, threads_for(hidden), 0,
                      stream, x, pick, hidden, weight, eps, out,
                      reinterpret_cast<__nv_bfloat16 *>(out_bf16));
}

/* ---- combined ---- */

template <int V, class T>
static __global__ void
combine(const moe_cuda_combine c)
{
    const T *outputs = static_cast<const T *>(c.outputs),
            *shared = static_cast<const T *>(c.shared);
    const uint32_t row = blockIdx.x, hidden = c.hidden;
    const uint32_t *place = c.place + static_cast<size_t>(row) * c.top_k;
    const float *weights = c.weights + static_cast<size_t>(row) * c.top_k;
    const size_t at = static_cast<size_t>(row) * hidden;
    const float share =
        shared && c.shared_gate ? 1.0f / (1.0f + moe_exact_expf(-c.shared_gate[row])) : 1.0f;

    for (uint32_t col = threadIdx.x * V; col < hidden; col += blockDim.x * V) {
        moe_columns<V> sum = {};
#pragma unroll 4
        for (uint32_t j = 0; j < c.top_k; j++) {
            const uint32_t entry = place[j];
            if (entry == UINT32_MAX)
                continue;
            const float weight = weights[j];
            moe_columns<V> x = load<V>(outputs + static_cast<size_t>(entry) * hidden + col);
#pragma unroll
            for (int i = 0; i < V; i++)
                sum.v[i] += weight * x.v[i];
        }
        if (shared) {
            moe_columns<V> x = load<V>(shared + at + col);
#pragma unroll
            for (int i = 0; i < V; i++)
                sum.v[i] += share * x.v[i];
        }
        moe_columns<V> to = load<V>(c.residual + at + col);
#pragma unroll
        for (int i = 0; i < V; i++)
            to.v[i] += sum.v[i];
        store<V>(c.residual + at + col, to);
    }
}

extern "C" int
moe_cuda_combine_add(cudaStream_t stream, const moe_cuda_combine *c)
{
    const bool wide = c->hidden % 4 == 0, bf16 = c->type == MOE_CUDA_BF16;
    auto kernel = bf16   ? wide ? combine<4, __nv_bfloat16> : combine<1, __nv_bfloat16>
                    : wide ? combine<4, float>
                         : combine<1, float>;
    return moe_launch(kernel, c->n, threads_for(c->hidden), 0, stream, *c);
}
