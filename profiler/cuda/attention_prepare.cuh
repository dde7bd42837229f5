/* Norm and rotation of heads, a warp for each. */
#ifndef MOE_PROFILER_CUDA_ATTENTION_PREPARE_CUH
#define MOE_PROFILER_CUDA_ATTENTION_PREPARE_CUH

#include "profiler/cuda/attention_tile.cuh"

#define MOE_PREPARE_WARPS 8

struct moe_turn {
    const float *cosine, *sine; /* of the row */
    uint32_t pairs;
    bool interleaved;
};

static __device__ inline moe_turn
moe_turn_of(const moe_cuda_attention &a, const float *cosine, const float *sine, uint32_t row)
{
    uint32_t pairs = a.rotated / 2;
    return {cosine + (size_t)row * pairs, sine + (size_t)row * pairs, pairs, a.interleaved};
}

/* Element e of x after the rotation. */
static __device__ inline float
moe_turned(const moe_turn &turn, const float *x, uint32_t e)
{
    if (e >= 2 * turn.pairs)
        return x[e];
    uint32_t pair = turn.interleaved ? e / 2 : e % turn.pairs;
    const float *first = x + (turn.interleaved ? e / 2 * 2 : pair);
    const float *second = first + (turn.interleaved ? 1 : turn.pairs);
    if (x + e == first)
        return *first * turn.cosine[pair] - *second * turn.sine[pair];
    return *second * turn.cosine[pair] + *first * turn.sine[pair];
}

/* 1 / sqrt(mean of squares + eps), by a warp. */
static __device__ inline float
moe_warp_rms(const float *x, uint32_t n, float eps)
{
    float sum = 0;
#pragma unroll 4
    for (uint32_t i = threadIdx.x % 32; i < n; i += 32)
        sum += x[i] * x[i];
    return 1 / sqrtf(moe_warp_sum(sum) / (float)n + eps);
}

/* MLA: from the projections to queries (but for the part that is absorbed) and cache; then what
 * comes before and after attend. */
struct moe_latent_args {
    moe_cuda_attention a;
    moe_cuda_rows rows;
    moe_cuda_attention_in in;
    void *query, *cache; /* [n, heads, stride], [slots, context, stride] */
    uint32_t stride;
};
int moe_latent_prepare(struct CUstream_st *stream, const moe_latent_args *args);
/* attended [n, heads, value_dim] of seen [n, heads, seen_stride]. */
int moe_latent_expand(struct CUstream_st *stream, const moe_latent_args *args, const void *seen,
                      uint32_t seen_stride, void *attended);

/* MHA, GQA, MQA. */
struct moe_prepare_args {
    moe_cuda_attention a;
    moe_cuda_rows rows;
    moe_cuda_attention_in in;
    void *query, *keys, *values; /* [n, heads, stride]; [slots, kv_heads, context, stride] */
    uint32_t stride;
    uint64_t slot_stride;
};
int moe_heads_prepare(struct CUstream_st *stream, const moe_prepare_args *args);

#endif
