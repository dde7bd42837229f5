/* The dense rate of the device as cuBLAS reaches it: what expert kernels are measured against. The
 * library is loaded here and wanted nowhere else, so its few declarations are written out. */
#include "tests/bench/gpu/bench.cuh"

#include <algorithm>

#include <dlfcn.h>

namespace
{

enum { TRANSPOSED = 1, NORMAL = 0, TYPE_BF16 = 14, COMPUTE_F32 = 68, ALGORITHM_DEFAULT = -1 };

struct library {
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*set_stream)(void *handle, cudaStream_t stream);
    int (*gemm)(void *handle, int transa, int transb, int m, int n, int k, const void *alpha,
                const void *a, int a_type, int lda, const void *b, int b_type, int ldb,
                const void *beta, void *c, int c_type, int ldc, int compute, int algorithm);
};

template <class F>
bool
find(void *handle, const char *name, F *function)
{
    *function = reinterpret_cast<F>(dlsym(handle, name));
    return *function != nullptr;
}

bool
load(library *l)
{
    void *handle = nullptr;
    for (const char *name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"})
        if (!handle)
            handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    return handle && find(handle, "cublasCreate_v2", &l->create) &&
           find(handle, "cublasDestroy_v2", &l->destroy) &&
           find(handle, "cublasSetStream_v2", &l->set_stream) &&
           find(handle, "cublasGemmEx", &l->gemm);
}

/* y [m, n] = x [m, k] w [n, k]^T, row-major: cuBLAS sees the transposes. */
void
measure(const bench &b, const library &l, void *handle, int m, int n, int k)
{
    device_memory x(uint64_t(m) * k * 2), w(uint64_t(n) * k * 2), y(uint64_t(m) * n * 2);
    fill(b, x.at, uint64_t(m) * k, MOE_CUDA_BF16, 1);
    fill(b, w.at, uint64_t(n) * k, MOE_CUDA_BF16, 2);
    const float one = 1, zero = 0;
    row r;
    r.time_us = median_us(b, [&](uint32_t) {
        must(l.gemm(handle, TRANSPOSED, NORMAL, n, m, k, &one, w.at, TYPE_BF16, k, x.at, TYPE_BF16,
                    k, &zero, y.at, TYPE_BF16, n, COMPUTE_F32, ALGORITHM_DEFAULT)
                 ? cudaErrorUnknown
                 : 0,
             "cublasGemmEx");
    });
    r.kind = "gemm";
    r.dtype = "bf16";
    r.source = "cublasGemmEx";
    r.weight_bits = r.activation_bits = 16;
    r.m = m;
    r.n = n;
    r.k = k;
    write_row(b, r);
}

} // namespace

void
bench_cublas(const bench &b)
{
    library l;
    void *handle = nullptr;
    if (!load(&l) || l.create(&handle)) {
        fprintf(stderr, "cublas: not here, or without a device; left out\n");
        return;
    }
    must(l.set_stream(handle, b.stream), "cublasSetStream");
    const int sizes[][2] = {{4096, 4096}, {14336, 4096}, {8192, 8192}, {2048, 2048}};
    for (const auto &size : sizes)
        for (int m : {16, 256, 1024, 4096, 8192, 16384})
            measure(b, l, handle, m, size[0], size[1]);
    l.destroy(handle);
}
