/* The emulation itself: what it computes, and what it reports. */
#include "profiler/cuda/tensor.cuh"

#include <cstdio>
#include <cstdlib>
#include <cuda_fp16.h>
#include <vector>

static int failures;
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                 \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

/* ---- what works ---- */

static __global__ void
reverse(const int *in, int *out, int n)
{
    __shared__ int held[64];
    int i = static_cast<int>(threadIdx.x);
    held[i] = in[static_cast<int>(blockIdx.x) * n + i];
    __syncthreads();
    out[static_cast<int>(blockIdx.x) * n + i] = held[n - 1 - i];
}

static void
blocks_and_barriers()
{
    int in[192], out[192];
    for (int i = 0; i < 192; i++)
        in[i] = i;
    CHECK(moe_launch(reverse, 3, 64, 0, nullptr, static_cast<const int *>(in), out, 64) ==
          cudaSuccess);
    for (int i = 0; i < 192; i++)
        CHECK(out[i] == i / 64 * 64 + 63 - i % 64);
}

static __global__ void
lanes(float *sums, unsigned *votes, int *next, unsigned *matched)
{
    unsigned i = threadIdx.x;
    sums[i] = moe_warp_sum(static_cast<float>(i));
    votes[i] = __ballot_sync(MOE_ALL_LANES, i % 3 == 0);
    next[i] = __shfl_down_sync(MOE_ALL_LANES, static_cast<int>(i), 1, 8);
    matched[i] = __match_any_sync(MOE_ALL_LANES, i % 4);
    if (i % 2) /* half of the lanes alone */
        sums[i] += static_cast<float>(__reduce_add_sync(0xAAAAAAAAu, 1));
}

static void
warps()
{
    float sums[64];
    unsigned votes[64], matched[64];
    int next[64];
    CHECK(moe_launch(lanes, 1, 64, 0, nullptr, sums, votes, next, matched) == cudaSuccess);
    for (int i = 0; i < 64; i++) {
        float sum = i < 32 ? 496.0f : 1520.0f;
        CHECK(sums[i] == (i % 2 ? sum + 16 : sum));
        unsigned third = 0;
        for (int l = 0; l < 32; l++)
            third |= (i / 32 * 32 + l) % 3 == 0 ? 1u << l : 0;
        CHECK(votes[i] == third);
        CHECK(next[i] == (i % 8 == 7 ? i : i + 1));
        CHECK(matched[i] == 0x11111111u << i % 4);
    }
}

static __global__ void
product_of_tiles(const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *d)
{
    __shared__ __align__(16) __nv_bfloat16 tiles[16 * 16 + 8 * 16];
    unsigned lane = threadIdx.x;
    for (unsigned i = lane; i < 48; i += 32)
        moe_copy16(tiles + i * 8, i < 32 ? a + i * 8 : b + (i - 32) * 8);
    moe_copy_commit();
    moe_copy_wait<0>();
    __syncthreads();
    uint32_t fa[4], fb[4];
    float sums[4] = {0, 0, 0, 0};
    /* Matrices of a: rows 0-7 and 8-15 of columns 0-7, then of columns 8-15. */
    moe_ldmatrix4(fa, tiles + lane % 16 * 16 + lane / 16 * 8);
    moe_ldmatrix4(fb, tiles + 256 + lane % 8 * 16 + lane / 8 % 2 * 8);
    moe_mma(sums, fa, fb);
    for (unsigned i = 0; i < 4; i++)
        d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

static void
tensor_cores()
{
    alignas(16) __nv_bfloat16 a[256], b[128];
    float d[128];
    for (int i = 0; i < 256; i++)
        a[i] = __float2bfloat16(static_cast<float>(i % 7 - 3));
    for (int i = 0; i < 128; i++)
        b[i] = __float2bfloat16(static_cast<float>(i % 5 - 2));
    CHECK(moe_launch(product_of_tiles, 1, 32, 0, nullptr, static_cast<const __nv_bfloat16 *>(a),
                     static_cast<const __nv_bfloat16 *>(b), d) == cudaSuccess);
    for (int r = 0; r < 16; r++)
        for (int c = 0; c < 8; c++) {
            float sum = 0;
            for (int k = 0; k < 16; k++)
                sum += __bfloat162float(a[r * 16 + k]) * __bfloat162float(b[c * 16 + k]);
            CHECK(d[r * 8 + c] == sum);
        }
}

static void
small_numbers()
{
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        __half h;
        h.bits = static_cast<unsigned short>(bits);
        if ((bits & 0x7C00) != 0x7C00 || (bits & 0x3FF) == 0)
            CHECK(__float2half(__half2float(h)).bits == bits);
    }
    CHECK(__bfloat16_as_ushort(__float2bfloat16_rn(1.00390625f)) == 0x3F80); /* a tie, to even */
    CHECK(__bfloat16_as_ushort(__float2bfloat16_rn(1.01171875f)) == 0x3F82);
    CHECK(__half2float(__float2half(65520.0f)) > 1e9f);
    CHECK(__half2float(__float2half(0x1p-24f)) == 0x1p-24f);
}

/* ---- the runtime ---- */

static __global__ void
add_one(int *x)
{
    atomicAdd(x, 1);
}

static void
graphs()
{
    cudaStream_t stream, other;
    cudaEvent_t event;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    int *x, host = 5;
    CHECK(!cudaStreamCreate(&stream) && !cudaStreamCreate(&other) && !cudaMalloc(&x, sizeof *x));
    CHECK(!cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    CHECK(!cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CHECK(!cudaMemcpyAsync(x, &host, sizeof host, cudaMemcpyHostToDevice, stream));
    CHECK(!moe_launch(add_one, 3, 1, 0, stream, x));
    CHECK(!cudaEventRecord(event, stream) && !cudaStreamWaitEvent(other, event));
    CHECK(!moe_launch(add_one, 2, 1, 0, other, x));
    CHECK(cudaDeviceSynchronize() == cudaErrorStreamCaptureUnsupported);
    CHECK(!cudaStreamEndCapture(stream, &graph) && !cudaGraphInstantiate(&exec, graph, 0));
    for (int i = 0; i < 2; i++) {
        int got = 0;
        host = 10 * i;
        CHECK(!cudaGraphLaunch(exec, stream));
        CHECK(!cudaMemcpy(&got, x, sizeof got, cudaMemcpyDeviceToHost));
        CHECK(got == 10 * i + 5);
    }
    CHECK(cudaMemcpy(&host, &host, sizeof host, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaEventDestroy(event);
    cudaStreamDestroy(stream);
    cudaStreamDestroy(other);
    CHECK(!cudaFree(x) && cudaFree(x) == cudaErrorInvalidValue);
    cudaGetLastError();
}

/* What nobody waited for has not been done; pinned memory is read late, pageable memory at once. */
static void
streams()
{
    cudaStream_t stream, copies;
    cudaEvent_t there, start;
    int *x, *pinned, got = -1;
    float ms;
    CHECK(!cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(!cudaStreamCreateWithFlags(&copies, cudaStreamNonBlocking));
    CHECK(!cudaEventCreate(&there) && !cudaEventCreate(&start));
    CHECK(!cudaMalloc(&x, sizeof *x) && !cudaMallocHost(&pinned, sizeof *pinned));
    CHECK(!cudaMemset(x, 0, sizeof *x));

    *pinned = 7;
    CHECK(!cudaEventRecord(start, copies));
    CHECK(!cudaMemcpyAsync(x, pinned, sizeof *x, cudaMemcpyHostToDevice, copies));
    CHECK(!cudaEventRecord(there, copies));
    CHECK(cudaEventElapsedTime(&ms, start, there) == cudaErrorNotReady);
    CHECK(!moe_launch(add_one, 1, 1, 0, stream, x));
    CHECK(!cudaStreamSynchronize(stream)); /* without waiting: adds to what was there */
    CHECK(!cudaMemcpy(&got, x, sizeof got, cudaMemcpyDeviceToHost) && got == 1);
    *pinned = 8; /* too early */
    CHECK(!cudaStreamWaitEvent(stream, there));
    CHECK(!moe_launch(add_one, 2, 1, 0, stream, x));
    CHECK(!cudaStreamSynchronize(stream));
    CHECK(!cudaMemcpy(&got, x, sizeof got, cudaMemcpyDeviceToHost) && got == 10);
    CHECK(!cudaEventElapsedTime(&ms, start, there) && ms >= 0);

    int pageable = 20;
    CHECK(!cudaMemcpyAsync(x, &pageable, sizeof *x, cudaMemcpyHostToDevice, copies));
    pageable = 0;
    CHECK(!cudaMemcpyAsync(pinned, x, sizeof *x, cudaMemcpyDeviceToHost, copies));
    CHECK(*pinned == 8 && cudaStreamQuery(copies) == cudaErrorNotReady);
    CHECK(!cudaStreamQuery(copies) && *pinned == 20);
    cudaEventDestroy(there);
    cudaEventDestroy(start);
    cudaStreamDestroy(stream);
    cudaStreamDestroy(copies);
    cudaFreeHost(pinned);
    cudaFree(x);
}

/* A barrier is missing: one order of the threads hides it (the last to come goes on first). */
static __global__ void
no_barrier(int *out)
{
    __shared__ int held;
    if (threadIdx.x == 0)
        held = 0;
    __syncthreads();
    if (threadIdx.x == 0)
        held = 1;
    out[threadIdx.x] = held;
}

static void
order()
{
    int out[64];
    const char *given = getenv("MOE_EMULATED_ORDER");
    CHECK(!moe_launch(no_barrier, 1, 64, 0, nullptr, static_cast<int *>(out)));
    CHECK(out[63] == (given && strcmp(given, "backward") == 0 ? 1 : 0));
}

/* ---- faults ---- */

static __global__ void
missing_at_barrier()
{
    if (threadIdx.x != 3)
        __syncthreads();
}

static __global__ void
two_barriers()
{
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}

static __global__ void
missing_lane(int *out)
{
    if (threadIdx.x != 7)
        out[threadIdx.x] = __shfl_sync(MOE_ALL_LANES, 1, 0);
}

static __global__ void
other_mask(int *out)
{
    out[threadIdx.x] = __shfl_sync(threadIdx.x == 9 ? 0x7FFFFFFFu : MOE_ALL_LANES, 1, 0);
}

static __global__ void
outside_of_mask(int *out)
{
    if (threadIdx.x < 16)
        out[threadIdx.x] = __shfl_sync(0xFFFFu, 1, 20);
}

static __global__ void
behind_shared()
{
    MOE_DYNAMIC_SHARED(char, held);
#ifdef __SANITIZE_ADDRESS__
    __trap(); /* the sanitizer would end the program */
#endif
    held[64] = 0;
}

static __global__ void
never_waited(const __nv_bfloat16 *from)
{
    __shared__ __align__(16) char to[16];
    moe_copy16(to, from);
    moe_copy_commit();
}

static __global__ void
read_too_early(const __nv_bfloat16 *from, float *out)
{
    __shared__ __align__(16) __nv_bfloat16 to[8];
    moe_copy16(to, from);
    moe_copy_commit();
    out[0] = __bfloat162float(to[0]);
    moe_copy_wait<0>();
    out[1] = __bfloat162float(to[0]);
}

template <class... P, class... A>
static void
must_fail(void (*kernel)(P...), unsigned threads, const char *text, A... arguments)
{
    unsigned before = moe_emulated_faults();
    moe_emulated_quiet(true);
    CHECK(moe_launch(kernel, 2, threads, 64, nullptr, arguments...) == cudaErrorLaunchFailure);
    moe_emulated_quiet(false);
    CHECK(moe_emulated_faults() == before + 1);
    if (text && !strstr(moe_emulated_message(), text)) {
        printf("'%s' says nothing of '%s'\n", moe_emulated_message(), text);
        failures++;
    }
    CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
    cudaDeviceReset();
    blocks_and_barriers();
}

static void
faults()
{
    int out[64];
    float read[2];
    alignas(16) __nv_bfloat16 from[8];
    const __nv_bfloat16 *source = from;
    for (int i = 0; i < 8; i++)
        from[i] = __float2bfloat16(2.0f);
    must_fail(missing_at_barrier, 64, "63 of 64 threads wait at the barrier");
    must_fail(two_barriers, 64, "others at that of");
    must_fail(missing_lane, 32, "waits for lanes 00000080", out);
    must_fail(other_mask, 32, "comes with mask 7fffffff", out);
    must_fail(outside_of_mask, 32, "reads lane 20", out);
    must_fail(behind_shared, 1, nullptr);
    must_fail(never_waited, 1, "nobody waited for", source);
    CHECK(!moe_launch(read_too_early, 1, 1, 0, nullptr, source, read));
    CHECK(read[0] != read[0] && read[1] == 2.0f);
    CHECK(moe_launch(two_barriers, 1, 2048, 0, nullptr) == cudaErrorInvalidConfiguration);
    CHECK(moe_launch(behind_shared, 1, 32, 300 << 10, nullptr) == cudaErrorInvalidValue);
    cudaGetLastError();
}

int
main()
{
    blocks_and_barriers();
    warps();
    tensor_cores();
    small_numbers();
    graphs();
    streams();
    order();
    faults();
    printf("%d failures\n", failures);
    return failures != 0;
}
