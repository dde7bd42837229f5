/* moesim_gpu_bench: what kernels, copies and launches take on the device that is here, as a
 * measured table (profiler/measured.h), one row per measurement. `moesim calibrate` fits a hardware
 * description from it. Wants the CUDA runtime alone. */
#ifndef MOE_BENCH_GPU_BENCH_H
#define MOE_BENCH_GPU_BENCH_H

#include "profiler/cuda/device.cuh"
#include "profiler/cuda/kernels.h"

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

struct bench {
    FILE *out;
    const char *source;
    char device[256];
    cudaStream_t stream;
    uint64_t memory; /* bytes of the device that benches may take */
    uint32_t shrink; /* shapes are divided by it: 1, or more where there is no real device */
    double seconds;  /* what one measurement may take */
};

/* A row, column by column in any order; what is not given stays empty. */
struct row {
    std::string kind, dtype, distribution, loads, direction, memory, mode, source;
    double weight_bits = 0, activation_bits = 0, time_us = 0;
    int64_t hidden = 0, width = 0, experts = 0, top_k = 0, tokens = 0, distinct = 0, m = 0, n = 0,
            k = 0, heads = 0, kv_heads = 0, head_dim = 0, queries = 0, context = 0, sequences = 0,
            bytes = 0, kernels = 0;
    int concurrent = -1;
};

/* Ends the program, saying what failed, unless error is 0. */
void must(int error, const char *what);
void write_header(const bench &b);
void write_row(const bench &b, const row &r);

/* Device memory; freed with the object. */
struct device_memory {
    void *at = nullptr;
    explicit device_memory(uint64_t bytes);
    ~device_memory();
    device_memory(const device_memory &) = delete;
    device_memory &operator=(const device_memory &) = delete;
    template <class T> T *as() const { return static_cast<T *>(at); }
};
/* Small numbers of either sign, the same in every run; bf16 or floats. */
void fill(const bench &b, void *at, uint64_t n, moe_cuda_type type, uint32_t seed);

/* Median microseconds of one call of body(i), i = 0, 1 …, by events; a few calls come before it. */
double median_us(const bench &b, const std::function<void(uint32_t i)> &body);

void bench_experts(const bench &b);
void bench_products(const bench &b);
void bench_attention(const bench &b);
void bench_copies(const bench &b);
void bench_launches(const bench &b);
/* The same products by cuBLAS, where it can be loaded: what else the device reaches. */
void bench_cublas(const bench &b);

/* The expert layers that are swept, as in the models' own configs. */
struct expert_shape {
    const char *name;
    uint32_t hidden, width, experts, top_k;
};
extern const expert_shape expert_shapes[];
extern const size_t n_expert_shapes;

#endif
