/* Around attention over latents (MLA) in its absorbed form: the cache holds each position's latent
 * and one rotated key part for all heads; a query is brought into the latent's space, and what a
 * head attends to is brought out of it. */
#include "profiler/cuda/attention_prepare.cuh"
#include "profiler/cuda/tensor.cuh"

/* ---- what joins the cache, and the rotated part of queries ---- */

template <class T>
static __global__ void
latent_prepare(const moe_latent_args p)
{
    const moe_cuda_attention &a = p.a;
    uint32_t row = blockIdx.x, lane = threadIdx.x % 32;
    uint32_t index = blockIdx.y * MOE_PREPARE_WARPS + threadIdx.x / 32;
    moe_turn turn = moe_turn_of(a, p.rows.cosine, p.rows.sine, row);
    if (index > a.heads)
        return;
    T *to;
    const float *x;
    if (index < a.heads) {
        uint32_t dim = a.nope_dim + a.rope_dim, width = p.in.q_row ? p.in.q_row : a.heads * dim;
        x = p.in.q + (size_t)row * width + index * dim + a.nope_dim;
        to = (T *)p.query + ((size_t)row * a.heads + index) * p.stride;
    } else {
        uint32_t width = p.in.kv_a_row ? p.in.kv_a_row : a.kv_lora + a.rope_dim;
        x = p.in.kv_a + (size_t)row * width;
        to =
            (T *)p.cache + ((size_t)p.rows.slot[row] * a.context + p.rows.position[row]) * p.stride;
        float factor = moe_warp_rms(x, a.kv_lora, a.eps);
        for (uint32_t e = lane; e < a.kv_lora; e += 32)
            moe_store(to + e, x[e] * factor * p.in.kv_a_norm[e]);
        x += a.kv_lora;
    }
    for (uint32_t e = lane; e < p.stride - a.kv_lora; e += 32)
        moe_store(to + a.kv_lora + e, e < a.rope_dim ? moe_turned(turn, x, e) : 0);
}

/* ---- products of each head ---- */

/* y[row, head, j] = sum over i of x[row, head, i] * w[head, i, j]; transposed: w[head, j, i]. */
struct product {
    const void *x;
    const __nv_bfloat16 *w;
    void *y;
    uint32_t n, inner, outputs;
    uint32_t x_row, x_head, y_row, y_head; /* elements from one to the next */
    uint32_t w_head, w_row;
};

#define ROWS 64 /* of a block */
#define OUTPUTS 64
#define DEPTH 32 /* of inner in a step */
#define THREADS 128

/* A tile [rows, columns] of a matrix of bf16 or float into shared memory; zero outside of it. */
template <int ROWS_, int COLUMNS, class T>
static __device__ inline void
load_tile(__nv_bfloat16 *to, const T *from, size_t stride, uint32_t rows, uint32_t columns)
{
    bool whole = sizeof(T) == 2 && columns >= COLUMNS && stride % 8 == 0 && (size_t)from % 16 == 0;
    for (uint32_t i = threadIdx.x; i < ROWS_ * COLUMNS / 8; i += THREADS) {
        uint32_t row = i / (COLUMNS / 8), column = i % (COLUMNS / 8) * 8;
        __nv_bfloat16 *at = to + row * (COLUMNS + 8) + column;
        const T *x = from + row * stride + column;
        if (whole && row < rows) {
            *(uint4 *)at = *(const uint4 *)x;
            continue;
        }
        for (uint32_t e = 0; e < 8; e++)
            moe_store(at + e, row < rows && column + e < columns ? moe_widen(x[e]) : 0);
    }
}

/* A warp computes 16 rows. */
template <class X, bool TRANSPOSED>
static __global__ void
__launch_bounds__(THREADS) latent_multiply_bf16(const product p)
{
    __shared__ __align__(16) __nv_bfloat16 x[ROWS * (DEPTH + 8)];
    __shared__ __align__(16)
        __nv_bfloat16 w[TRANSPOSED ? OUTPUTS * (DEPTH + 8) : DEPTH * (OUTPUTS + 8)];
    uint32_t row = blockIdx.y * ROWS, output = blockIdx.x * OUTPUTS, head = blockIdx.z;
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const X *from = (const X *)p.x + (size_t)row * p.x_row + head * p.x_head;
    const __nv_bfloat16 *weight = p.w + (size_t)head * p.w_head;
    float sum[OUTPUTS / 8][4] = {};

    for (uint32_t i = 0; i < p.inner; i += DEPTH) {
        load_tile<ROWS, DEPTH>(x, from + i, p.x_row, p.n - row, p.inner - i);
        if (TRANSPOSED)
            load_tile<OUTPUTS, DEPTH>(w, weight + (size_t)output * p.w_row + i, p.w_row,
                                      p.outputs - output, p.inner - i);
        else
            load_tile<DEPTH, OUTPUTS>(w, weight + (size_t)i * p.w_row + output, p.w_row,
                                      p.inner - i, p.outputs - output);
        __syncthreads();
        for (int k = 0; k < DEPTH && row + warp * 16 < p.n; k += 16) {
            uint32_t a[4], b[4];
            moe_ldmatrix4(a, x + (warp * 16 + lane % 16) * (DEPTH + 8) + k + lane / 16 * 8);
#pragma unroll
            for (int o = 0; o < OUTPUTS; o += 16) {
                if (TRANSPOSED)
                    moe_ldmatrix4(b, w + (o + lane % 8 + lane / 16 * 8) * (DEPTH + 8) + k +
                                         lane / 8 % 2 * 8);
                else
                    moe_ldmatrix4_transposed(b, w + (k + lane % 16) * (OUTPUTS + 8) + o +
                                                    lane / 16 * 8);
                moe_mma(sum[o / 8], a, b);
                moe_mma(sum[o / 8 + 1], a, b + 2);
            }
        }
        __syncthreads();
    }
    __nv_bfloat16 *y = (__nv_bfloat16 *)p.y + head * p.y_head;
#pragma unroll
    for (int i = 0; i < OUTPUTS / 8 * 4; i++) {
        uint32_t r = row + warp * 16 + lane / 4 + i / 2 % 2 * 8;
        uint32_t o = output + i / 4 * 8 + lane % 4 * 2 + i % 2;
        if (r < p.n && o < p.outputs)
            moe_store(y + (size_t)r * p.y_row + o, sum[i / 4][i % 4]);
    }
}

/* In float on CUDA cores: a block computes 16 rows, a thread 8 of them. */
template <bool TRANSPOSED>
static __global__ void
__launch_bounds__(THREADS) latent_multiply_f32(const product p)
{
    __shared__ float x[16][DEPTH], w[DEPTH][OUTPUTS + 1];
    uint32_t row = blockIdx.y * 16, output = blockIdx.x * OUTPUTS, head = blockIdx.z;
    uint32_t column = threadIdx.x % OUTPUTS, first = threadIdx.x / OUTPUTS;
    const float *from = (const float *)p.x + (size_t)row * p.x_row + head * p.x_head;
    const __nv_bfloat16 *weight = p.w + (size_t)head * p.w_head;
    float sum[8] = {};

    for (uint32_t i = 0; i < p.inner; i += DEPTH) {
        for (uint32_t e = threadIdx.x; e < 16 * DEPTH; e += THREADS) {
            uint32_t r = e / DEPTH, k = e % DEPTH;
            x[r][k] = row + r < p.n && i + k < p.inner ? from[(size_t)r * p.x_row + i + k] : 0;
        }
        for (uint32_t e = threadIdx.x; e < DEPTH * OUTPUTS; e += THREADS) {
            uint32_t k = TRANSPOSED ? e % DEPTH : e / OUTPUTS;
            uint32_t o = TRANSPOSED ? e / DEPTH : e % OUTPUTS;
            bool there = i + k < p.inner && output + o < p.outputs;
            size_t at = TRANSPOSED ? (size_t)(output + o) * p.w_row + i + k
                                   : (size_t)(i + k) * p.w_row + output + o;
            w[k][o] = there ? moe_widen(weight[at]) : 0;
        }
        __syncthreads();
        for (int k = 0; k < DEPTH; k++)
#pragma unroll
            for (int r = 0; r < 8; r++)
                sum[r] += x[first + 2 * r][k] * w[k][column];
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < 8; r++)
        if (row + first + 2 * r < p.n && output + column < p.outputs)
            ((float *)
                 p.y)[(size_t)(row + first + 2 * r) * p.y_row + head * p.y_head + output + column] =
                sum[r];
}

/* x: float, or bf16 if `rounded`. */
template <bool TRANSPOSED>
static int
multiply(struct CUstream_st *stream, const moe_cuda_attention *a, const product *p, bool rounded)
{
    uint32_t rows = a->bf16 ? ROWS : 16;
    dim3 grid((p->outputs + OUTPUTS - 1) / OUTPUTS, (p->n + rows - 1) / rows, a->heads);
    if (!a->bf16)
        return moe_launch(latent_multiply_f32<TRANSPOSED>, grid, THREADS, 0, stream, *p);
    if (rounded)
        return moe_launch(latent_multiply_bf16<__nv_bfloat16, TRANSPOSED>, grid, THREADS, 0, stream,
                          *p);
    return moe_launch(latent_multiply_bf16<float, TRANSPOSED>, grid, THREADS, 0, stream, *p);
}

int
moe_latent_prepare(struct CUstream_st *stream, const moe_latent_args *args)
{
    const moe_cuda_attention *a = &args->a;
    uint32_t dim = a->nope_dim + a->rope_dim, n = args->rows.plan.n;
    dim3 grid(n, (a->heads + MOE_PREPARE_WARPS) / MOE_PREPARE_WARPS);
    int error =
        a->bf16 ? moe_launch(latent_prepare<__nv_bfloat16>, grid, 32 * MOE_PREPARE_WARPS, 0, stream,
                             *args)
                : moe_launch(latent_prepare<float>, grid, 32 * MOE_PREPARE_WARPS, 0, stream, *args);
    product p = {
        args->in.q,
        (const __nv_bfloat16 *)args->in.kv_b,
        args->query,
        n,
        a->nope_dim,
        a->kv_lora,
        args->in.q_row ? args->in.q_row : a->heads * dim,
        dim,
        a->heads * args->stride,
        args->stride,
        (a->nope_dim + a->value_dim) * a->kv_lora,
        a->kv_lora,
    };
    return error ? error : multiply<false>(stream, a, &p, false);
}

int
moe_latent_expand(struct CUstream_st *stream, const moe_latent_args *args, const void *seen,
                  uint32_t seen_stride, void *attended)
{
    const moe_cuda_attention *a = &args->a;
    product p = {
        seen,
        (const __nv_bfloat16 *)args->in.kv_b + a->nope_dim * a->kv_lora,
        attended,
        args->rows.plan.n,
        a->kv_lora,
        a->value_dim,
        a->heads * seen_stride,
        seen_stride,
        a->heads * a->value_dim,
        a->value_dim,
        (a->nope_dim + a->value_dim) * a->kv_lora,
        a->kv_lora,
    };
    return multiply<true>(stream, a, &p, true);
}
