/* Heads on their way to attention: norm, clip and rotation of queries and keys; keys and values
 * join the cache. */
#include "profiler/cuda/attention_prepare.cuh"

#define MOST_DIM 256

static __global__ void
attention_angles(uint32_t n, const uint32_t *position, const double *inverse, uint32_t pairs,
                 float magnitude, float *cosine, float *sine)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n * pairs)
        return;
    double angle = position[i / pairs] * inverse[i % pairs];
    cosine[i] = (float)cos(angle) * magnitude;
    sine[i] = (float)sin(angle) * magnitude;
}

int
moe_cuda_angles(struct CUstream_st *stream, uint32_t n, const uint32_t *position,
                const double *inverse, uint32_t pairs, float magnitude, float *cosine, float *sine)
{
    if (!n || !pairs)
        return cudaSuccess;
    return moe_launch(attention_angles, (n * pairs + 127) / 128, 128, 0, stream, n, position,
                      inverse, pairs, magnitude, cosine, sine);
}

/* One head of a projection. */
struct head {
    const float *row;    /* all heads of it */
    const float *x;      /* [head_dim] */
    const float *weight; /* of its norm; NULL: none */
    uint32_t heads;      /* of the projection */
    bool turned;
};

/* Head `index` of queries, keys and values one behind another, and where it goes. */
template <class T>
static __device__ inline head
head_at(const moe_prepare_args &p, uint32_t row, uint32_t index, T **to)
{
    const moe_cuda_attention &a = p.a;
    uint32_t dim = a.head_dim, kv = a.kv_heads, at = index % a.heads;
    const float *base = p.in.q, *weight = p.in.q_norm;
    uint32_t heads = a.heads, width = p.in.q_row;
    *to = (T *)p.query + ((size_t)row * a.heads + at) * p.stride;
    if (index >= a.heads) {
        bool value = index >= a.heads + kv;
        at = (index - a.heads) % kv;
        base = value ? p.in.v : p.in.k;
        width = value ? p.in.v_row : p.in.k_row;
        weight = value ? NULL : p.in.k_norm;
        heads = kv;
        *to = (T *)(value ? p.values : p.keys) + p.rows.slot[row] * p.slot_stride +
              ((size_t)at * a.context + p.rows.position[row]) * p.stride;
    }
    const float *x = base + (size_t)row * (width ? width : heads * dim);
    bool full = a.norm == MOE_CUDA_HEAD_NORM_FULL;
    return {x, x + at * dim, weight && full ? weight + at * dim : weight, heads,
            index < a.heads + kv};
}

/* 1 / sqrt(mean of squares + eps) of what all heads of a projection are, for a block whose heads
 * are all of it. */
static __device__ inline float
block_rms(const float *x, uint32_t n, float eps)
{
    __shared__ float parts[MOE_PREPARE_WARPS];
    float sum = 0;
#pragma unroll 8
    for (uint32_t i = threadIdx.x; i < n; i += 32 * MOE_PREPARE_WARPS)
        sum += x[i] * x[i];
    return 1 / sqrtf(moe_block_sum(sum, parts) / (float)n + eps);
}

/* What a head is multiplied with to be normalised. */
static __device__ inline float
head_factor(const moe_cuda_attention &a, const head &h)
{
    if (a.norm != MOE_CUDA_HEAD_NORM_FULL)
        return moe_warp_rms(h.x, a.head_dim, a.eps);
    bool whole = a.heads % MOE_PREPARE_WARPS == 0 && a.kv_heads % MOE_PREPARE_WARPS == 0;
    return whole ? block_rms(h.row, h.heads * a.head_dim, a.eps)
                 : moe_warp_rms(h.row, h.heads * a.head_dim, a.eps);
}

template <class T>
static __global__ void
heads_prepare(const moe_prepare_args p)
{
    __shared__ float shared[MOE_PREPARE_WARPS][MOST_DIM];
    const moe_cuda_attention &a = p.a;
    uint32_t row = blockIdx.x, lane = threadIdx.x % 32, dim = a.head_dim;
    uint32_t index = blockIdx.y * MOE_PREPARE_WARPS + threadIdx.x / 32;
    if (index >= a.heads + 2 * a.kv_heads)
        return;
    float *x = shared[threadIdx.x / 32];
    T *to;
    head h = head_at(p, row, index, &to);
    bool normed = a.norm != MOE_CUDA_HEAD_NORM_NONE && h.weight;
    float factor = normed ? head_factor(a, h) : 1;
    for (uint32_t e = lane; e < dim; e += 32) {
        float value = normed ? h.x[e] * factor * h.weight[e] : h.x[e];
        x[e] = a.clip > 0 ? value < -a.clip ? -a.clip : value > a.clip ? a.clip : value : value;
    }
    __syncwarp();
    moe_turn turn = moe_turn_of(a, p.rows.cosine, p.rows.sine, row);
    for (uint32_t e = lane; e < p.stride; e += 32)
        moe_store(to + e, e >= dim ? 0 : h.turned ? moe_turned(turn, x, e) : x[e]);
}

int
moe_heads_prepare(struct CUstream_st *stream, const moe_prepare_args *args)
{
    uint32_t heads = args->a.heads + 2 * args->a.kv_heads;
    dim3 grid(args->rows.plan.n, (heads + MOE_PREPARE_WARPS - 1) / MOE_PREPARE_WARPS);
    if (args->a.bf16)
        return moe_launch(heads_prepare<__nv_bfloat16>, grid, 32 * MOE_PREPARE_WARPS, 0, stream,
                          *args);
    return moe_launch(heads_prepare<float>, grid, 32 * MOE_PREPARE_WARPS, 0, stream, *args);
}
