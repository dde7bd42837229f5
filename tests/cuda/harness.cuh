/* What tests of kernels share. They run emulated and on a device; without one they skip (77). */
#ifndef MOE_TESTS_CUDA_HARNESS_CUH
#define MOE_TESTS_CUDA_HARNESS_CUH

#include "profiler/cuda/device.cuh"
#include "profiler/cuda/kernels.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

static int failures, checks;

/* printf form; at most 20 are shown. */
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        checks++;                                                                                  \
        if (!(condition) && failures++ < 20) {                                                     \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);                                 \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
        }                                                                                          \
    } while (0)

static inline void
must(int error, const char *what)
{
    if (error == 0)
        return;
    printf("%s: %s\n", what, cudaGetErrorString(static_cast<cudaError_t>(error)));
    exit(1);
}
#define MUST(call) must((call), #call)

/* An array on the device. */
template <class T> struct array {
    T *at = nullptr;
    size_t n = 0;

    explicit array(size_t count) : n(count)
    {
        if (n)
            MUST(cudaMalloc(&at, n * sizeof(T)));
        clear();
    }
    explicit array(const std::vector<T> &host) : array(host.size()) { put(host); }
    array(const array &) = delete;
    array &operator=(const array &) = delete;
    ~array() { cudaFree(at); }

    /* All bits set: NaN, the largest index. */
    void clear()
    {
        if (n)
            MUST(cudaMemset(at, 0xFF, n * sizeof(T)));
    }
    void put(const std::vector<T> &host)
    {
        if (n)
            MUST(cudaMemcpy(at, host.data(), n * sizeof(T), cudaMemcpyHostToDevice));
    }
    std::vector<T> get() const
    {
        std::vector<T> host(n);
        MUST(cudaDeviceSynchronize());
        if (n)
            MUST(cudaMemcpy(host.data(), at, n * sizeof(T), cudaMemcpyDeviceToHost));
        return host;
    }
};

/* ---- numbers ---- */

static inline uint32_t
random_bits()
{
    static uint64_t state = 88172645463325252ull;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<uint32_t>(state >> 32);
}

static inline float
random_float() /* -1 .. 1 */
{
    return static_cast<float>(static_cast<int32_t>(random_bits())) * 0x1p-31f;
}

static inline moe_bf16
to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return static_cast<moe_bf16>((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

static inline float
from_bf16(moe_bf16 x)
{
    uint32_t u = static_cast<uint32_t>(x) << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline std::vector<float>
random_floats(size_t n, float scale = 1)
{
    std::vector<float> out(n);
    for (float &x : out)
        x = random_float() * scale;
    return out;
}

static inline std::vector<moe_bf16>
random_bf16(size_t n, float scale = 1)
{
    std::vector<moe_bf16> out(n);
    for (moe_bf16 &x : out)
        x = to_bf16(random_float() * scale);
    return out;
}

/* Activations of either type, with what they are worth. */
struct activations {
    std::vector<float> value;
    array<float> f32;
    array<moe_bf16> bf16;
    moe_cuda_type type;

    static std::vector<moe_bf16> rounded(const std::vector<float> &x)
    {
        std::vector<moe_bf16> out;
        for (float f : x)
            out.push_back(to_bf16(f));
        return out;
    }
    activations(size_t n, moe_cuda_type t)
        : value(random_floats(n)), f32(value), bf16(rounded(value)), type(t)
    {
        for (size_t i = 0; type == MOE_CUDA_BF16 && i < n; i++)
            value[i] = from_bf16(to_bf16(value[i]));
    }
    void *at() { return type == MOE_CUDA_BF16 ? (void *)bf16.at : (void *)f32.at; }
    void clear()
    {
        f32.clear();
        bf16.clear();
    }
    std::vector<float> get() const
    {
        std::vector<float> out;
        if (type == MOE_CUDA_F32)
            return f32.get();
        for (moe_bf16 x : bf16.get())
            out.push_back(from_bf16(x));
        return out;
    }
};

/* |got - expected| <= within, and neither is NaN. */
static inline bool
near(double got, double expected, double within)
{
    return fabs(got - expected) <= within;
}

/* ---- the program ---- */

static int
run_tests(void (*const *tests)(), size_t n)
{
    int devices = 0;
    cudaError_t error = cudaGetDeviceCount(&devices);
    if (error != cudaSuccess || devices == 0) {
        printf("skipped: no CUDA device: %s\n", cudaGetErrorString(error));
        return 77;
    }
    for (size_t i = 0; i < n; i++)
        tests[i]();
    MUST(cudaDeviceSynchronize());
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0 || checks == 0;
}

#define TESTS(...)                                                                                 \
    int main()                                                                                     \
    {                                                                                              \
        void (*const tests[])() = {__VA_ARGS__};                                                   \
        return run_tests(tests, sizeof tests / sizeof tests[0]);                                   \
    }

#endif
