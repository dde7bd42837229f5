/* From logits to experts and their weights, as profiler/router.c does it and with its bits: a warp
 * for each row. What is summed in order there is summed in order here, by all lanes alike. */
#include "profiler/cuda/kernels.h"

#include "profiler/cuda/exact.cuh"

constexpr unsigned ROWS = 4; /* of a block */

/* The working space of a row, in shared memory. */
struct space {
    float *score, *choice, *worth, *weights; /* [experts] twice, [groups], [top_k] */
    uint32_t *ids;                           /* [top_k] */
};

static __host__ __device__ inline uint32_t
space_words(const moe_cuda_router &r)
{
    return 2 * r.experts + r.groups + 2 * r.top_k;
}

/* In the order of numbers; below all of them what is no number. -0 is 0. */
static __device__ __forceinline__ uint32_t
ordered(float x)
{
    const uint32_t bits = __float_as_uint(x + 0.0f);
    if (x != x)
        return 0;
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static __device__ void
score_row(const moe_cuda_router &r, const float *logits, const space &s, unsigned lane)
{
    float largest = -INFINITY, sum = 0;
    for (uint32_t i = lane; i < r.experts; i += MOE_WARP) {
        s.score[i] = logits[i];
        largest = fmaxf(largest, logits[i]);
    }
    if (r.score == MOE_CUDA_SCORE_SIGMOID)
        for (uint32_t i = lane; i < r.experts; i += MOE_WARP)
            s.score[i] = 1.0f / (1.0f + moe_exact_expf(-s.score[i]));
    if (r.score != MOE_CUDA_SCORE_SOFTMAX)
        return;
    largest = moe_warp_max(largest);
    for (uint32_t i = lane; i < r.experts; i += MOE_WARP)
        s.score[i] = moe_exact_expf(s.score[i] - largest);
    __syncwarp();
#pragma unroll 8
    for (uint32_t i = 0; i < r.experts; i++)
        sum += s.score[i];
    __syncwarp();
    for (uint32_t i = lane; i < r.experts; i += MOE_WARP)
        s.score[i] = s.score[i] / sum;
}

/* Experts outside the best groups cannot be chosen. */
static __device__ void
keep_groups(const moe_cuda_router &r, const space &s, unsigned lane)
{
    const uint32_t size = r.experts / r.groups;
    for (uint32_t g = lane; g < r.groups; g += MOE_WARP) {
        float best = -INFINITY, second = -INFINITY;
        for (uint32_t i = g * size; i < (g + 1) * size; i++) {
            const float x = s.choice[i];
            second = x > best ? best : fmaxf(second, x);
            best = fmaxf(best, x);
        }
        s.worth[g] = r.group_top_two && size > 1 ? best + second : best;
    }
    __syncwarp();
    for (uint32_t g = lane; g < r.groups; g += MOE_WARP) {
        const uint32_t own = ordered(s.worth[g]);
        uint32_t better = 0;
        for (uint32_t h = 0; h < r.groups; h++) {
            const uint32_t other = ordered(s.worth[h]);
            better += other > own || (other == own && h < g);
        }
        for (uint32_t i = g * size; better >= r.top_groups && i < (g + 1) * size; i++)
            s.choice[i] = -INFINITY;
    }
    __syncwarp();
}

/* The best expert of a lane's own (lane, lane + 32, ..) that is not taken yet; `index` is past all
 * when there is none. */
static __device__ __forceinline__ void
best_of_own(const float *choice, uint32_t experts, unsigned lane, uint32_t taken, uint32_t *key,
            uint32_t *index)
{
    *key = 0;
    *index = UINT32_MAX;
    for (uint32_t i = lane, bit = 1; i < experts; i += MOE_WARP, bit <<= 1) {
        const uint32_t k = ordered(choice[i]);
        if (!(taken & bit) && (*index == UINT32_MAX || k > *key)) {
            *key = k;
            *index = i;
        }
    }
}

/* ids: the top_k of choice, best first, ties to the lower. */
static __device__ void
choose(const moe_cuda_router &r, const space &s, unsigned lane)
{
    uint32_t key, index, taken = 0;
    best_of_own(s.choice, r.experts, lane, taken, &key, &index);
    for (uint32_t j = 0; j < r.top_k; j++) {
        const uint32_t best = __reduce_max_sync(MOE_ALL_LANES, index == UINT32_MAX ? 0 : key);
        const uint32_t won = __reduce_min_sync(MOE_ALL_LANES, key == best ? index : UINT32_MAX);
        if (lane == 0)
            s.ids[j] = won;
        if (index == won) {
            taken |= 1u << won / MOE_WARP;
            best_of_own(s.choice, r.experts, lane, taken, &key, &index);
        }
    }
    __syncwarp();
}

/* Weights of the chosen: softmax over them where the rule says so. */
static __device__ void
weigh(const moe_cuda_router &r, const space &s, unsigned lane)
{
    float largest = -INFINITY, sum = 0;
    for (uint32_t j = lane; j < r.top_k; j += MOE_WARP)
        s.weights[j] = s.score[s.ids[j]];
    __syncwarp();
    if (r.score != MOE_CUDA_SCORE_TOPK_SOFTMAX)
        return;
    for (uint32_t j = 0; j < r.top_k; j++)
        largest = fmaxf(largest, s.weights[j]);
    __syncwarp();
    for (uint32_t j = lane; j < r.top_k; j += MOE_WARP)
        s.weights[j] = moe_exact_expf(s.weights[j] - largest);
    __syncwarp();
    for (uint32_t j = 0; j < r.top_k; j++)
        sum += s.weights[j];
    __syncwarp();
    for (uint32_t j = lane; j < r.top_k; j += MOE_WARP)
        s.weights[j] = s.weights[j] / sum;
    __syncwarp();
}

/* By falling weight into the results, normalised and scaled. sorted: [top_k]. */
static __device__ void
finish(const moe_cuda_router &r, const space &s, float *sorted, uint16_t *ids, float *weights,
       unsigned lane)
{
    float sum = 0;
    for (uint32_t j = lane; j < r.top_k; j += MOE_WARP) {
        const uint32_t own = ordered(s.weights[j]), id = s.ids[j];
        uint32_t before = 0;
        for (uint32_t i = 0; i < r.top_k; i++) {
            const uint32_t other = ordered(s.weights[i]);
            before += other > own || (other == own && s.ids[i] < id);
        }
        sorted[before] = s.weights[j];
        ids[before] = static_cast<uint16_t>(id);
    }
    __syncwarp();
    if (r.normalise) {
        for (uint32_t j = 0; j < r.top_k; j++)
            sum += sorted[j];
        sum += 1e-20f;
    }
    for (uint32_t j = lane; j < r.top_k; j += MOE_WARP)
        weights[j] = (r.normalise ? sorted[j] / sum : sorted[j]) * r.scale;
}

static __global__ void
route(const moe_cuda_router r, const float *__restrict__ logits,
      const float *__restrict__ correction, uint32_t n, uint16_t *ids, float *weights)
{
    MOE_DYNAMIC_SHARED(float, memory);
    const unsigned warp = threadIdx.x / MOE_WARP, lane = threadIdx.x % MOE_WARP;
    const uint32_t row = blockIdx.x * ROWS + warp;
    space s;

    if (row >= n)
        return;
    s.score = memory + static_cast<size_t>(warp) * space_words(r);
    s.choice = s.score + r.experts;
    s.worth = s.choice + r.experts;
    s.weights = s.worth + r.groups;
    s.ids = reinterpret_cast<uint32_t *>(s.weights + r.top_k);

    score_row(r, logits + static_cast<size_t>(row) * r.experts, s, lane);
    for (uint32_t i = lane; i < r.experts; i += MOE_WARP)
        s.choice[i] = s.score[i] + (correction ? correction[i] : 0.0f);
    __syncwarp();
    if (r.groups > 1)
        keep_groups(r, s, lane);
    choose(r, s, lane);
    weigh(r, s, lane);
    finish(r, s, s.choice, ids + static_cast<size_t>(row) * r.top_k,
           weights + static_cast<size_t>(row) * r.top_k, lane);
}

extern "C" int
moe_cuda_route(cudaStream_t stream, const moe_cuda_router *router, const float *logits,
               const float *correction, uint32_t n, uint16_t *ids, float *weights)
{
    if (router->experts > MOE_CUDA_MAX_EXPERTS || router->top_k > MOE_CUDA_MAX_TOP_K ||
        router->top_k > router->experts || router->groups > 64)
        return cudaErrorInvalidValue;
    const size_t shared = ROWS * sizeof(float) * space_words(*router);
    return moe_launch(route, (n + ROWS - 1) / ROWS, ROWS * MOE_WARP, shared, stream, *router,
                      logits, correction, n, ids, weights);
}
