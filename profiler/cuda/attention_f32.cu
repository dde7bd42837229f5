/* Attention in float on CUDA cores, to be compared with the CPU's: the tiles and the order of the
 * tensor cores' version, plain products. */
#include "profiler/cuda/attention_tile.cuh"

#define QUERIES 16
#define STEP 32 /* keys */
#define THREADS 256

struct memory {
    float *q, *k, *v;             /* [QUERIES, key], [STEP, key], [STEP, value] */
    float *weight;                /* [QUERIES, STEP] */
    float *most, *total, *change; /* [QUERIES] */
    uint32_t k_row, v_row;        /* odd: a warp's lanes read different banks */
};

static __host__ __device__ inline uint32_t
odd(uint32_t n)
{
    return n | 1;
}

static __device__ inline memory
memory_at(float *base, const moe_attend_args &a)
{
    memory m;
    m.k_row = odd(a.key_stride);
    m.v_row = a.values == a.keys ? m.k_row : a.value_stride;
    m.q = base;
    m.k = m.q + QUERIES * m.k_row;
    m.v = a.values == a.keys ? m.k : m.k + STEP * m.k_row;
    m.weight = m.v + STEP * m.v_row;
    m.most = m.weight + QUERIES * STEP;
    m.total = m.most + QUERIES;
    m.change = m.total + QUERIES;
    return m;
}

static uint32_t
memory_bytes(const moe_attend_args *a)
{
    uint32_t values = a->values == a->keys ? 0 : STEP * a->value_stride;
    return 4 * ((QUERIES + STEP) * odd(a->key_stride) + values + QUERIES * (STEP + 3));
}

/* Rows first .. first + STEP - 1 of a cache; those from `end` on are zero. */
static __device__ inline void
copy_rows(float *to, uint32_t to_row, const float *from, uint32_t stride, uint32_t first,
          uint32_t end)
{
    for (uint32_t i = threadIdx.x; i < STEP * stride; i += THREADS) {
        uint32_t row = i / stride, column = i % stride;
        to[row * to_row + column] =
            first + row < end ? from[(size_t)(first + row) * stride + column] : 0;
    }
}

static __device__ inline void
copy_queries(const moe_attend_args &a, const moe_attend_tile &t, const memory &m)
{
    const float *query = (const float *)a.query;
    for (uint32_t i = threadIdx.x; i < QUERIES * a.key_stride; i += THREADS) {
        uint32_t row = i / a.key_stride, column = i % a.key_stride;
        float value = 0;
        if (row < t.queries)
            value =
                query[((size_t)moe_attend_row(a, t, row) * a.heads + moe_attend_head(a, t, row)) *
                          a.key_stride +
                      column];
        m.q[row * m.k_row + column] = value;
    }
}

/* A warp takes queries warp, warp + 8; lane l the step's key l. */
static __device__ inline void
weigh(const moe_attend_args &a, const moe_attend_tile &t, const memory &m, uint32_t first)
{
    uint32_t lane = threadIdx.x % 32;
    for (uint32_t query = threadIdx.x / 32; query < QUERIES; query += THREADS / 32) {
        uint32_t position = t.position + (t.first + query) / a.group;
        bool seen =
            query < t.queries && first + lane < t.end && moe_attend_sees(a, position, first + lane);
        float score = 0;
        for (uint32_t d = 0; d < a.key_stride; d++)
            score += m.q[query * m.k_row + d] * m.k[lane * m.k_row + d];
        score = seen ? score * a.scale : -INFINITY;

        float most = fmaxf(m.most[query], moe_warp_max(score));
        float base = most == -INFINITY ? 0 : most, weight = exp2f(score - base);
        float sum = moe_warp_sum(weight);
        m.weight[query * STEP + lane] = weight;
        __syncwarp();
        if (lane == 0) {
            float change = exp2f(m.most[query] - base);
            m.change[query] = change;
            m.most[query] = most;
            m.total[query] = m.total[query] * change + sum;
        }
    }
}

/* WIDTH: most columns of values. A thread holds elements thread + i * THREADS of the results
 * [QUERIES, WIDTH]. */
template <uint32_t WIDTH> struct held {
    static constexpr uint32_t N = QUERIES * WIDTH / THREADS;
    float out[N];

    static __device__ inline uint32_t query(uint32_t i)
    {
        return (threadIdx.x + i * THREADS) / WIDTH;
    }

    static __device__ inline uint32_t column(uint32_t i)
    {
        return (threadIdx.x + i * THREADS) % WIDTH;
    }
};

template <uint32_t WIDTH>
static __device__ inline void
add_values(const moe_attend_args &a, const memory &m, held<WIDTH> &h)
{
#pragma unroll
    for (uint32_t i = 0; i < h.N; i++) {
        if (h.column(i) >= a.value_dim)
            continue;
        const float *weight = m.weight + h.query(i) * STEP, *v = m.v + h.column(i);
        float sum = 0;
#pragma unroll 8
        for (uint32_t j = 0; j < STEP; j++)
            sum += weight[j] * v[j * m.v_row];
        h.out[i] = h.out[i] * m.change[h.query(i)] + sum;
    }
}

template <uint32_t WIDTH>
static __global__ void
__launch_bounds__(THREADS) attend_plain(const moe_attend_args a)
{
    MOE_DYNAMIC_SHARED(float, base);
    memory m = memory_at(base, a);
    moe_attend_tile t = moe_attend_locate(a, QUERIES, STEP);
    const float *keys = (const float *)moe_attend_keys(a, t);
    const float *values = (const float *)moe_attend_values(a, t);
    held<WIDTH> h = {};

    for (uint32_t i = threadIdx.x; i < QUERIES; i += THREADS) {
        m.most[i] = -INFINITY;
        m.total[i] = 0;
    }
    copy_queries(a, t, m);
    for (uint32_t first = t.begin; first < t.end; first += STEP) {
        __syncthreads();
        copy_rows(m.k, m.k_row, keys, a.key_stride, first, t.end);
        if (a.values != a.keys)
            copy_rows(m.v, m.v_row, values, a.value_stride, first, t.end);
        __syncthreads();
        weigh(a, t, m, first);
        __syncthreads();
        add_values(a, m, h);
    }
    __syncthreads();
#pragma unroll
    for (uint32_t i = 0; i < h.N; i++) {
        uint32_t query = h.query(i);
        if (query < t.queries)
            moe_attend_result(a, t, query, QUERIES, m.most[query], m.total[query])
                .put<float>(h.column(i), h.out[i]);
    }
}

template <uint32_t WIDTH>
static int
launch(struct CUstream_st *stream, const moe_attend_args *a, const moe_cuda_plan *plan,
       uint32_t kv_heads)
{
    dim3 grid(moe_attend_tiles(a, plan, QUERIES), kv_heads, a->splits ? a->splits : 1);
    return moe_launch(attend_plain<WIDTH>, grid, THREADS, memory_bytes(a), stream, *a);
}

int
moe_attend_f32(struct CUstream_st *stream, const moe_attend_args *a, const moe_cuda_plan *plan,
               uint32_t kv_heads)
{
    if (a->value_dim <= 64)
        return launch<64>(stream, a, plan, kv_heads);
    if (a->value_dim <= 128)
        return launch<128>(stream, a, plan, kv_heads);
    if (a->value_dim <= 256)
        return launch<256>(stream, a, plan, kv_heads);
    return launch<512>(stream, a, plan, kv_heads);
}
