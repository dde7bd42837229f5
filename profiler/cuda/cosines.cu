/* How alike what the routers of successive layers meet is. */
#include "profiler/cuda/device.cuh"
#include "profiler/cuda/state.h"

#define THREADS 128

static __global__ void
cosines(const float *x, uint32_t hidden, float *ring, size_t ring_stride, uint32_t call,
        uint32_t ahead, float *out, size_t out_stride)
{
    __shared__ float parts[MOE_WARP];
    const uint32_t row = blockIdx.x;
    const float *here = x + (size_t)row * hidden;
    float *kept = ring + (call % (ahead + 1)) * ring_stride + (size_t)row * hidden;
    float own = 0;
    for (uint32_t i = threadIdx.x; i < hidden; i += THREADS) {
        kept[i] = here[i];
        own += here[i] * here[i];
    }
    own = moe_block_sum(own, parts);
    for (uint32_t d = 1; d <= ahead && d <= call; d++) {
        const float *past = ring + ((call - d) % (ahead + 1)) * ring_stride + (size_t)row * hidden;
        float dot = 0, square = 0;
        for (uint32_t i = threadIdx.x; i < hidden; i += THREADS) {
            dot += here[i] * past[i];
            square += past[i] * past[i];
        }
        __syncthreads();
        dot = moe_block_sum(dot, parts);
        __syncthreads();
        square = moe_block_sum(square, parts);
        if (threadIdx.x == 0)
            out[(d - 1) * out_stride + row] =
                own > 0 && square > 0 ? dot / (sqrtf(own) * sqrtf(square)) : 0;
    }
}

int
moe_cuda_cosines(cudaStream_t stream, const float *x, uint32_t n, uint32_t hidden, float *ring,
                 size_t ring_stride, uint32_t call, uint32_t ahead, float *out, size_t out_stride)
{
    return moe_launch(cosines, n, THREADS, 0, stream, x, hidden, ring, ring_stride, call, ahead,
                      out, out_stride);
}
