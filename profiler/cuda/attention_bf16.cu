/* Attention on tensor cores: the softmax is kept up as the keys go by, so that no row of scores is
 * ever stored.
 *
 * A block has WM * WN warps over 16 * WM queries. Warp (wm, wn) computes the scores of 16 queries
 * with its share of a step's BN keys, then, over all keys of the step, its share of the columns of
 * the result. With WN > 1 warps exchange each query's largest score and the weights through shared
 * memory. Keys and values of the next step are copied while this one is computed. */
#include "profiler/cuda/attention_tile.cuh"
#include "profiler/cuda/tensor.cuh"

/* DK, DV: most columns of keys and values. LATENT: values are the keys' first columns. */
template <int DK, int DV, int WM_, int WN_, int BN_, bool LATENT_> struct shape {
    static constexpr int WM = WM_, WN = WN_, BN = BN_, BM = 16 * WM;
    static constexpr bool LATENT = LATENT_;
    static constexpr int THREADS = 32 * WM * WN;
    static constexpr int KEYS = BN / WN / 8;  /* columns of 8 scores of a warp */
    static constexpr int WIDTH = DV / WN / 8; /* of its results */
    /* Rows in shared memory, of 16 bytes more: eight of them lie in different banks. */
    static constexpr int K_ROW = DK + 8, V_ROW = LATENT ? K_ROW : DV + 8, P_ROW = BN + 8;
    static constexpr int Q = BM * K_ROW, K = BN * K_ROW, V = LATENT ? 0 : BN * V_ROW;
    static constexpr int P = WN > 1 ? BM *P_ROW : 0;
    static constexpr uint32_t BYTES = 2 * (Q + 2 * (K + V) + P) + (WN > 1 ? 4 * WN * BM : 0);
    static_assert(KEYS % 2 == 0 && WIDTH % 2 == 0, "fragments come in pairs");
};

/* Shared memory; keys and values of two steps. */
template <class S> struct memory {
    uint16_t *q, *k, *v, *p;
    float *exchange; /* [WN][BM] */

    __device__ inline explicit memory(unsigned char *base)
        : q((uint16_t *)base), k(q + S::Q), v(S::LATENT ? k : k + 2 * S::K),
          p(k + 2 * (S::K + S::V)), exchange((float *)(p + S::P))
    {
    }
    __device__ inline uint16_t *keys(int stage) const { return k + stage * S::K; }
    __device__ inline uint16_t *values(int stage) const
    {
        return S::LATENT ? keys(stage) : v + stage * S::V;
    }
};

/* Rows first .. first + S::BN - 1 of a cache with rows of `stride`; those from `end` on, and
 * columns up to the next 16, are zero. */
template <class S>
static __device__ inline void
copy_rows(uint16_t *to, int to_row, const uint16_t *from, uint32_t stride, uint32_t first,
          uint32_t end)
{
    uint32_t there = stride / 8, chunks = (stride + 15) / 16 * 2;
    for (uint32_t i = threadIdx.x; i < S::BN * chunks; i += S::THREADS) {
        uint32_t row = i / chunks, chunk = i % chunks;
        bool copied = first + row < end && chunk < there;
        moe_copy16(to + row * to_row + chunk * 8,
                   copied ? from + (size_t)(first + row) * stride + chunk * 8 : from, copied);
    }
}

template <class S>
static __device__ inline void
copy_step(const moe_attend_args &a, const memory<S> &m, const uint16_t *keys,
          const uint16_t *values, uint32_t first, uint32_t end, int stage)
{
    copy_rows<S>(m.keys(stage), S::K_ROW, keys, a.key_stride, first, end);
    if constexpr (!S::LATENT)
        copy_rows<S>(m.values(stage), S::V_ROW, values, a.value_stride, first, end);
    moe_copy_commit();
}

template <class S>
static __device__ inline void
copy_queries(const moe_attend_args &a, const moe_attend_tile &t, uint16_t *to)
{
    uint32_t there = a.key_stride / 8, chunks = (a.key_stride + 15) / 16 * 2;
    const uint16_t *query = (const uint16_t *)a.query;
    for (uint32_t i = threadIdx.x; i < S::BM * chunks; i += S::THREADS) {
        uint32_t m = i / chunks, chunk = i % chunks;
        bool copied = m < t.queries && chunk < there;
        size_t row =
            copied ? (size_t)moe_attend_row(a, t, m) * a.heads + moe_attend_head(a, t, m) : 0;
        moe_copy16(to + m * S::K_ROW + chunk * 8,
                   query + row * a.key_stride + (copied ? chunk * 8 : 0), copied);
    }
}

/* What a thread keeps of two queries of its warp, lane / 4 and that + 8. */
template <class S> struct state {
    float out[S::WIDTH][4];
    float most[2], total[2]; /* total: of the thread's own keys */
    uint32_t position[2];
};

/* s = scores of the warp's queries with its keys of the step. */
template <class S>
static __device__ inline void
score(const uint16_t *q, const uint16_t *k, uint32_t key_stride, float s[S::KEYS][4])
{
    uint32_t lane = threadIdx.x % 32;
    q += lane % 16 * S::K_ROW + lane / 16 * 8;
    k += (lane % 8 + lane / 16 * 8) * S::K_ROW + lane / 8 % 2 * 8;
#pragma unroll
    for (int t = 0; t < S::KEYS; t++)
        s[t][0] = s[t][1] = s[t][2] = s[t][3] = 0;
#pragma unroll 4
    for (uint32_t d = 0; d < key_stride; d += 16) {
        uint32_t x[4], y[4];
        moe_ldmatrix4(x, q + d);
#pragma unroll
        for (int t = 0; t < S::KEYS; t += 2) {
            moe_ldmatrix4(y, k + t * 8 * S::K_ROW + d);
            moe_mma(s[t], x, y);
            moe_mma(s[t + 1], x, y + 2);
        }
    }
}

/* Scales; scores of keys that a query does not see become -inf. `key`: of s[0][0]. */
template <class S>
static __device__ inline void
mask(const moe_attend_args &a, const state<S> &st, uint32_t key, bool all, float s[S::KEYS][4])
{
#pragma unroll
    for (int t = 0; t < S::KEYS; t++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            bool seen = all || moe_attend_sees(a, st.position[e / 2], key + t * 8 + e % 2);
            s[t][e] = seen ? s[t][e] * a.scale : -INFINITY;
        }
}

/* Scores become weights 2^(score - most); what was summed before is brought to the new most. */
template <class S>
static __device__ inline void
weigh(state<S> &st, float s[S::KEYS][4], float *exchange, uint32_t wm, uint32_t wn)
{
    uint32_t lane = threadIdx.x % 32, row = wm * 16 + lane / 4;
    float most[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int t = 0; t < S::KEYS; t++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            most[e / 2] = fmaxf(most[e / 2], s[t][e]);
#pragma unroll
    for (int h = 0; h < 2; h++) {
        most[h] = fmaxf(most[h], __shfl_xor_sync(~0u, most[h], 1));
        most[h] = fmaxf(most[h], __shfl_xor_sync(~0u, most[h], 2));
        if (S::WN > 1 && lane % 4 == 0)
            exchange[wn * S::BM + row + h * 8] = most[h];
    }
    if (S::WN > 1)
        __syncthreads();
#pragma unroll
    for (int h = 0; h < 2; h++) {
#pragma unroll
        for (int w = 0; S::WN > 1 && w < S::WN; w++)
            most[h] = fmaxf(most[h], exchange[w * S::BM + row + h * 8]);
        most[h] = fmaxf(most[h], st.most[h]);
        float base = most[h] == -INFINITY ? 0 : most[h], change = exp2f(st.most[h] - base);
        st.most[h] = most[h];
        st.total[h] *= change;
#pragma unroll
        for (int t = 0; t < S::KEYS; t++)
#pragma unroll
            for (int e = 2 * h; e < 2 * h + 2; e++) {
                s[t][e] = exp2f(s[t][e] - base);
                st.total[h] += s[t][e];
            }
#pragma unroll
        for (int c = 0; c < S::WIDTH; c++) {
            st.out[c][2 * h] *= change;
            st.out[c][2 * h + 1] *= change;
        }
    }
}

/* out += weights of 16 keys, x, times their values. */
template <class S>
static __device__ inline void
add_values(state<S> &st, const uint32_t x[4], const uint16_t *v, uint32_t columns)
{
#pragma unroll
    for (int c = 0; c < S::WIDTH; c += 2)
        if ((uint32_t)c * 8 < columns) {
            uint32_t y[4];
            moe_ldmatrix4_transposed(y, v + c * 8);
            moe_mma(st.out[c], x, y);
            moe_mma(st.out[c + 1], x, y + 2);
        }
}

template <class S>
static __device__ inline void
add_step(state<S> &st, float s[S::KEYS][4], const memory<S> &m, const uint16_t *v,
         uint32_t value_dim, uint32_t wm, uint32_t wn)
{
    uint32_t lane = threadIdx.x % 32, column = wn * S::WIDTH * 8;
    uint32_t columns = column < value_dim ? value_dim - column : 0;
    v += lane % 16 * S::V_ROW + column + lane / 16 * 8;
    if constexpr (S::WN == 1) {
#pragma unroll
        for (int t = 0; t < S::KEYS; t += 2) {
            uint32_t x[4] = {moe_pack(s[t][0], s[t][1]), moe_pack(s[t][2], s[t][3]),
                             moe_pack(s[t + 1][0], s[t + 1][1]),
                             moe_pack(s[t + 1][2], s[t + 1][3])};
            add_values<S>(st, x, v + t * 8 * S::V_ROW, columns);
        }
    } else {
        uint16_t *p = m.p + (wm * 16 + lane / 4) * S::P_ROW + wn * S::KEYS * 8 + lane % 4 * 2;
#pragma unroll
        for (int t = 0; t < S::KEYS; t++) {
            *(uint32_t *)(p + t * 8) = moe_pack(s[t][0], s[t][1]);
            *(uint32_t *)(p + t * 8 + 8 * S::P_ROW) = moe_pack(s[t][2], s[t][3]);
        }
        __syncthreads();
        const uint16_t *from = m.p + (wm * 16 + lane % 16) * S::P_ROW + lane / 16 * 8;
#pragma unroll
        for (int key = 0; key < S::BN; key += 16) {
            uint32_t x[4];
            moe_ldmatrix4(x, from + key);
            add_values<S>(st, x, v + key * S::V_ROW, columns);
        }
    }
}

/* The sums of weights of all keys. */
template <class S>
static __device__ inline void
finish_totals(state<S> &st, float *exchange, uint32_t wm, uint32_t wn)
{
    uint32_t lane = threadIdx.x % 32, row = wm * 16 + lane / 4;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        st.total[h] += __shfl_xor_sync(~0u, st.total[h], 1);
        st.total[h] += __shfl_xor_sync(~0u, st.total[h], 2);
        if (S::WN > 1 && lane % 4 == 0)
            exchange[wn * S::BM + row + h * 8] = st.total[h];
    }
    if (S::WN == 1)
        return;
    __syncthreads();
#pragma unroll
    for (int h = 0; h < 2; h++) {
        st.total[h] = 0;
        for (int w = 0; w < S::WN; w++)
            st.total[h] += exchange[w * S::BM + row + h * 8];
    }
}

template <class S>
static __device__ inline void
store(const moe_attend_args &a, const moe_attend_tile &t, state<S> &st, uint32_t wm, uint32_t wn)
{
    uint32_t lane = threadIdx.x % 32, column = wn * S::WIDTH * 8 + lane % 4 * 2;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        uint32_t m = wm * 16 + lane / 4 + h * 8;
        if (m >= t.queries)
            continue;
        moe_attend_result result(a, t, m, S::BM, st.most[h], st.total[h]);
#pragma unroll
        for (int c = 0; c < S::WIDTH; c++)
#pragma unroll
            for (int e = 0; e < 2; e++)
                result.put<__nv_bfloat16>(column + c * 8 + e, st.out[c][2 * h + e]);
    }
}

template <class S>
static __global__ void
__launch_bounds__(S::THREADS) attend_tensor(const moe_attend_args a)
{
    MOE_DYNAMIC_SHARED(unsigned char, base);
    memory<S> m(base);
    moe_attend_tile t = moe_attend_locate(a, S::BM, S::BN);
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, wm = warp % S::WM, wn = warp / S::WM;
    const uint16_t *keys = (const uint16_t *)moe_attend_keys(a, t);
    const uint16_t *values = (const uint16_t *)moe_attend_values(a, t);
    uint32_t lowest = t.position + t.first / a.group;
    uint32_t highest = t.position + (t.first + t.queries - 1) / a.group;

    state<S> st = {};
    for (int h = 0; h < 2; h++) {
        uint32_t query = min(wm * 16 + lane / 4 + h * 8, t.queries - 1);
        st.most[h] = -INFINITY;
        st.position[h] = t.position + (t.first + query) / a.group;
    }
    if (t.begin < t.end) {
        copy_queries<S>(a, t, m.q);
        copy_step<S>(a, m, keys, values, t.begin, t.end, 0);
    }
    int stage = 0;
    for (uint32_t first = t.begin; first < t.end; first += S::BN, stage ^= 1) {
        if (first + S::BN < t.end) {
            copy_step<S>(a, m, keys, values, first + S::BN, t.end, stage ^ 1);
            moe_copy_wait<1>();
        } else {
            moe_copy_wait<0>();
        }
        __syncthreads();
        float s[S::KEYS][4];
        uint32_t own = wn * S::KEYS * 8;
        score<S>(m.q + wm * 16 * S::K_ROW, m.keys(stage) + own * S::K_ROW, a.key_stride, s);
        bool all = first + S::BN <= lowest + 1 && (!a.window || first + a.window > highest);
        mask<S>(a, st, first + own + lane % 4 * 2, all, s);
        weigh<S>(st, s, m.exchange, wm, wn);
        add_step<S>(st, s, m, m.values(stage), a.value_dim, wm, wn);
        __syncthreads();
    }
    finish_totals<S>(st, m.exchange, wm, wn);
    store<S>(a, t, st, wm, wn);
}

template <class S>
static int
launch(struct CUstream_st *stream, const moe_attend_args *a, const moe_cuda_plan *plan,
       uint32_t kv_heads)
{
    dim3 grid(moe_attend_tiles(a, plan, S::BM), kv_heads, a->splits ? a->splits : 1);
    return moe_launch(attend_tensor<S>, grid, S::THREADS, S::BYTES, stream, *a);
}

/* Wide tiles for runs, and for single rows whose group fills them. */
template <class WIDE, class NARROW>
static int
choose(struct CUstream_st *stream, const moe_attend_args *a, const moe_cuda_plan *plan,
       uint32_t kv_heads)
{
    if (a->splits && a->group <= 32)
        return launch<NARROW>(stream, a, plan, kv_heads);
    return launch<WIDE>(stream, a, plan, kv_heads);
}

int
moe_attend_bf16(struct CUstream_st *stream, const moe_attend_args *a, const moe_cuda_plan *plan,
                uint32_t kv_heads)
{
    if (a->values == a->keys)
        return choose<shape<576, 512, 4, 2, 32, true>, shape<576, 512, 1, 2, 32, true>>(
            stream, a, plan, kv_heads);
    if (a->key_stride <= 64)
        return choose<shape<64, 64, 4, 1, 64, false>, shape<64, 64, 1, 4, 64, false>>(
            stream, a, plan, kv_heads);
    if (a->key_stride <= 128)
        return choose<shape<128, 128, 4, 1, 64, false>, shape<128, 128, 1, 4, 64, false>>(
            stream, a, plan, kv_heads);
    return choose<shape<256, 256, 4, 2, 32, false>, shape<256, 256, 1, 4, 64, false>>(
        stream, a, plan, kv_heads);
}
