/* Experts by cuBLAS's grouped GEMM: what the project's own kernels are measured against. The
 * counts of a layer must be known on the host, so each layer waits for its routing. The library is
 * loaded when it is asked for; nothing of the project is linked with it. */
#include "profiler/cuda/device.cuh"
#include "profiler/cuda/state.h"

#include <cstring>
#include <dlfcn.h>

/* As in cublas_api.h. */
enum { AS_IS = 0, TRANSPOSED = 1, BF16 = 14, SUMS_F32 = 68 };
typedef int blas_create(void **handle);
typedef int blas_destroy(void *handle);
typedef int blas_set_stream(void *handle, cudaStream_t stream);
typedef int blas_grouped(void *handle, const int *trans_a, const int *trans_b, const int *m,
                         const int *n, const int *k, const void *alpha, const void *const *a,
                         int a_type, const int *lda, const void *const *b, int b_type,
                         const int *ldb, const void *beta, void *const *c, int c_type,
                         const int *ldc, int groups, const int *group_size, int compute);

enum { SHAPES = 8, POINTERS = 9 }; /* arrays of [experts] */

struct moe_cuda_grouped {
    void *library, *handle;
    blas_destroy *destroy;
    blas_grouped *multiply;
    moe_bf16 *sorted, *gate, *up; /* [entries, hidden], [entries, width] each */
    void **pointers;              /* [POINTERS, experts], the device's */
    void **host_pointers;         /* pinned */
    uint32_t *offset;             /* [experts + 1], pinned */
    const moe_cuda_mlp **experts; /* [experts] */
    moe_cuda_mlp *table;
    int *shapes; /* [SHAPES, experts] */
    float *one, *zero;
};

/* ---- kernels ---- */

static __global__ void
gather(const moe_bf16 *x, const uint32_t *row, const uint32_t *entries, uint32_t hidden,
       moe_bf16 *out)
{
    for (uint32_t e = blockIdx.x; e < *entries; e += gridDim.x)
        for (uint32_t i = threadIdx.x; i < hidden; i += blockDim.x)
            out[(size_t)e * hidden + i] = x[(size_t)row[e] * hidden + i];
}

static __global__ void
activate(const __nv_bfloat16 *gate, const __nv_bfloat16 *up, const uint32_t *entries,
         uint32_t width, __nv_bfloat16 *out)
{
    size_t n = (size_t)*entries * width, step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        float g = moe_widen(gate[i]);
        moe_store(&out[i], g / (1 + __expf(-g)) * moe_widen(up[i]));
    }
}

/* ---- life ---- */

template <class F>
static bool
find(void *library, const char *name, F **function)
{
    *function = (F *)dlsym(library, name);
    return *function != nullptr;
}

static int
load(moe_cuda_grouped *g, moe_cuda_failure *failure)
{
    static const char *const names[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so"};
    blas_create *create;
    for (size_t i = 0; i < 3 && !g->library; i++)
        g->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!g->library)
        return moe_cuda_fail(failure, MOE_CUDA_REFUSED, "cuBLAS cannot be loaded: %s", dlerror());
    if (!find(g->library, "cublasCreate_v2", &create) ||
        !find(g->library, "cublasDestroy_v2", &g->destroy) ||
        !find(g->library, "cublasGemmGroupedBatchedEx", &g->multiply))
        return moe_cuda_fail(failure, MOE_CUDA_REFUSED,
                             "this cuBLAS has no grouped GEMM (it came with CUDA 12.5)");
    int status = create(&g->handle);
    if (status)
        return moe_cuda_fail(failure, MOE_CUDA_FAILED, "cublasCreate: status %d", status);
    return MOE_CUDA_OK;
}

static int
allocate(moe_cuda_state *s, moe_cuda_grouped *g, moe_cuda_failure *failure)
{
    size_t entries = (size_t)s->config.max_rows * s->top_k, e = s->experts;
    MOE_TRY(cudaMalloc((void **)&g->sorted, entries * s->hidden * sizeof *g->sorted));
    MOE_TRY(cudaMalloc((void **)&g->gate, entries * s->widest * sizeof *g->gate));
    MOE_TRY(cudaMalloc((void **)&g->up, entries * s->widest * sizeof *g->up));
    MOE_TRY(cudaMalloc((void **)&g->pointers, POINTERS * e * sizeof(void *)));
    MOE_TRY(cudaMallocHost((void **)&g->host_pointers, POINTERS * e * sizeof(void *)));
    MOE_TRY(cudaMallocHost((void **)&g->offset, (e + 1) * sizeof(uint32_t)));
    g->shapes = new int[SHAPES * e];
    g->one = new float[e];
    g->zero = new float[e]();
    for (uint32_t i = 0; i < e; i++)
        g->one[i] = 1;
    return MOE_CUDA_OK;
}

void
moe_cuda_grouped_close(moe_cuda_state *s)
{
    moe_cuda_grouped *g = s->grouped;
    if (!g)
        return;
    if (g->handle)
        g->destroy(g->handle);
    cudaFree(g->sorted);
    cudaFree(g->gate);
    cudaFree(g->up);
    cudaFree(g->pointers);
    cudaFreeHost(g->host_pointers);
    cudaFreeHost(g->offset);
    delete[] g->shapes;
    delete[] g->one;
    delete[] g->zero;
    delete g;
    s->grouped = nullptr;
}

int
moe_cuda_grouped_open(moe_cuda_state *s, moe_cuda_failure *failure)
{
    blas_set_stream *set_stream;
    for (uint32_t l = 0; l < s->n_layers; l++)
        if (!s->bf16 || s->config.served || s->activation != MOE_CUDA_SILU ||
            (s->layers[l].moe >= 0 && s->layers[l].image.biases))
            return moe_cuda_fail(failure, MOE_CUDA_REFUSED,
                                 "cuBLAS's grouped GEMM is for bf16 activations and resident "
                                 "experts without biases");
    s->grouped = new moe_cuda_grouped();
    MOE_PASS(load(s->grouped, failure));
    if (!find(s->grouped->library, "cublasSetStream_v2", &set_stream))
        return moe_cuda_fail(failure, MOE_CUDA_REFUSED, "this cuBLAS has no cublasSetStream");
    int status = set_stream(s->grouped->handle, s->stream);
    if (status)
        return moe_cuda_fail(failure, MOE_CUDA_FAILED, "cublasSetStream: status %d", status);
    return allocate(s, s->grouped, failure);
}

/* ---- a layer ---- */

/* Pointers of three products (gate, up, down) for each expert that has entries: weights, inputs,
 * outputs. Returns how many there are. */
static int
gather_pointers(const moe_cuda_state *s, const moe_cuda_layer_state *l, int *counts)
{
    const moe_cuda_grouped *g = s->grouped;
    const size_t e = s->experts, hidden = s->hidden, width = l->width;
    int n = 0;
    for (uint32_t i = 0; i < e; i++) {
        size_t first = g->offset[i];
        if (g->offset[i + 1] == first)
            continue;
        const moe_cuda_mlp mlp = moe_cuda_image_at(&l->image, l->experts + i * l->image.bytes);
        const void *all[POINTERS] = {mlp.gate,
                                     g->sorted + first * hidden,
                                     g->gate + first * width,
                                     mlp.up,
                                     g->sorted + first * hidden,
                                     g->up + first * width,
                                     mlp.down,
                                     (moe_bf16 *)s->inner + first * width,
                                     (moe_bf16 *)s->outputs + first * hidden};
        for (int p = 0; p < POINTERS; p++)
            g->host_pointers[p * e + n] = (void *)all[p];
        counts[n++] = (int)(g->offset[i + 1] - first);
    }
    return n;
}

/* out [entries, rows] = in [entries, cols] W^T, of pointers `at`, at + 1 and at + 2. */
static int
multiply(const moe_cuda_state *s, int at, int groups, const int *counts, uint32_t rows,
         uint32_t cols, moe_cuda_failure *failure)
{
    moe_cuda_grouped *g = s->grouped;
    const size_t e = s->experts;
    int *a[SHAPES];
    for (int i = 0; i < SHAPES; i++)
        a[i] = g->shapes + i * e;
    for (int i = 0; i < groups; i++) {
        const int values[SHAPES] = {TRANSPOSED, AS_IS,     (int)rows, (int)cols,
                                    (int)cols,  (int)cols, (int)rows, 1};
        for (int j = 0; j < SHAPES; j++)
            a[j][i] = values[j];
    }
    void **p = g->pointers + at * e;
    int status =
        g->multiply(g->handle, a[0], a[1], a[2], counts, a[3], g->one, p, BF16, a[4], p + e, BF16,
                    a[5], g->zero, p + 2 * e, BF16, a[6], groups, a[7], SUMS_F32);
    if (status)
        return moe_cuda_fail(failure, MOE_CUDA_FAILED, "cublasGemmGroupedBatchedEx: status %d",
                             status);
    return MOE_CUDA_OK;
}

int
moe_cuda_grouped_run(moe_cuda_state *s, uint32_t layer, moe_cuda_failure *failure)
{
    moe_cuda_grouped *g = s->grouped;
    const moe_cuda_layer_state *l = &s->layers[layer];
    const uint32_t *entries = s->dispatch.offset + s->experts;
    uint32_t most = s->n * s->top_k;
    int counts[MOE_CUDA_MAX_EXPERTS];
    MOE_TRY(cudaMemcpyAsync(g->offset, s->dispatch.offset, (s->experts + 1) * sizeof *g->offset,
                            cudaMemcpyDeviceToHost, s->stream));
    MOE_TRY(moe_launch(gather, most, 128, 0, s->stream, (const moe_bf16 *)s->x16, s->dispatch.row,
                       entries, s->hidden, g->sorted));
    MOE_TRY(cudaStreamSynchronize(s->stream));
    int groups = gather_pointers(s, l, counts);
    MOE_TRY(cudaMemcpyAsync(g->pointers, g->host_pointers,
                            POINTERS * (size_t)s->experts * sizeof(void *), cudaMemcpyHostToDevice,
                            s->stream));
    MOE_PASS(multiply(s, 0, groups, counts, l->width, s->hidden, failure));
    MOE_PASS(multiply(s, 3, groups, counts, l->width, s->hidden, failure));
    MOE_TRY(moe_launch(activate, (most * l->width + 1023) / 1024, 256, 0, s->stream,
                       (const __nv_bfloat16 *)g->gate, (const __nv_bfloat16 *)g->up, entries,
                       l->width, (__nv_bfloat16 *)s->inner));
    return multiply(s, 6, groups, counts, s->hidden, l->width, failure);
}
