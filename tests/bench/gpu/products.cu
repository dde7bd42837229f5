/* Dense products and attention, as the CUDA backend runs them. */
#include "tests/bench/gpu/bench.cuh"

#include "profiler/cuda/attention.h"

#include <algorithm>

namespace
{

struct product_shape {
    uint32_t n, k;
};

/* Projections of the swept models, and a large square. */
constexpr product_shape products[] = {{6144, 4096},  {4096, 4096}, {14336, 4096}, {2048, 2048},
                                      {32000, 4096}, {8192, 8192}, {7168, 16384}};

void
measure_product(const bench &b, uint32_t m, product_shape s)
{
    /* Several weights take turns, beyond the caches. */
    const uint64_t matrix = uint64_t{s.n} * s.k;
    const uint32_t turns =
        static_cast<uint32_t>(std::min<uint64_t>(1 + (256ull << 20) / b.shrink / matrix, 64));
    device_memory x(uint64_t{m} * s.k * 2), w(matrix * 2 * turns), y(uint64_t{m} * s.n * 2);
    fill(b, x.at, uint64_t{m} * s.k, MOE_CUDA_BF16, 1);
    fill(b, w.at, matrix * turns, MOE_CUDA_BF16, 2);
    moe_cuda_product product = {};
    product.n = m;
    product.rows = s.n;
    product.cols = s.k;
    product.x_type = product.w_type = product.y_type = MOE_CUDA_BF16;
    product.x = x.at;
    product.y = y.at;
    row r;
    r.time_us = median_us(b, [&](uint32_t i) {
        product.w = w.as<moe_bf16>() + i % turns * matrix;
        must(moe_cuda_multiply(b.stream, &product), "product");
    });
    r.kind = "gemm";
    r.dtype = "bf16";
    r.weight_bits = r.activation_bits = 16;
    r.m = m;
    r.n = s.n;
    r.k = s.k;
    write_row(b, r);
}

struct attention_shape {
    uint32_t heads, kv_heads, head_dim;
};
constexpr attention_shape attentions[] = {{32, 8, 128}, {16, 16, 128}, {32, 4, 128}};

void
measure_attention(const bench &b, attention_shape s, uint32_t sequences, uint32_t queries,
                  uint32_t context)
{
    moe_cuda_attention a = {};
    a.bf16 = true;
    a.heads = s.heads;
    a.kv_heads = s.kv_heads;
    a.head_dim = a.rotated = s.head_dim;
    a.context = context;
    a.scale = 0.08f;
    const uint32_t n = sequences * queries;
    const uint64_t q_size = uint64_t{n} * s.heads * s.head_dim,
                   k_size = uint64_t{n} * s.kv_heads * s.head_dim,
                   angles = uint64_t{n} * s.head_dim / 2;
    std::vector<uint32_t> slot(n), position(n), list(n);
    for (uint32_t i = 0; i < n; i++) {
        slot[i] = i / queries;
        position[i] = context - queries + i % queries;
    }
    moe_cuda_rows rows = {};
    rows.plan = moe_cuda_attention_plan(n, slot.data(), list.data());
    const uint64_t cache_bytes = moe_cuda_attention_cache_bytes(&a, sequences);
    device_memory q(q_size * 4), k(k_size * 4), v(k_size * 4), cosine(angles * 4), sine(angles * 4),
        cache(cache_bytes), work(moe_cuda_attention_work_bytes(&a, n)),
        attended(uint64_t{n} * moe_cuda_attention_columns(&a) * 2), lists(uint64_t{n} * 12);
    fill(b, q.at, q_size, MOE_CUDA_F32, 1);
    fill(b, k.at, k_size, MOE_CUDA_F32, 2);
    fill(b, v.at, k_size, MOE_CUDA_F32, 3);
    fill(b, cosine.at, angles, MOE_CUDA_F32, 4);
    fill(b, sine.at, angles, MOE_CUDA_F32, 5);
    fill(b, cache.at, cache_bytes / 2, MOE_CUDA_BF16, 6);
    const std::vector<uint32_t> *const host[] = {&slot, &position, &list};
    for (size_t i = 0; i < 3; i++)
        must(cudaMemcpy(lists.as<uint32_t>() + i * n, host[i]->data(), uint64_t{n} * 4,
                        cudaMemcpyHostToDevice),
             "rows");
    rows.slot = lists.as<uint32_t>();
    rows.position = rows.slot + n;
    rows.plan.device = rows.slot + 2 * n;
    rows.cosine = cosine.as<float>();
    rows.sine = sine.as<float>();
    moe_cuda_attention_in in = {};
    in.q = q.as<float>();
    in.k = k.as<float>();
    in.v = v.as<float>();
    row r;
    r.time_us = median_us(b, [&](uint32_t) {
        must(moe_cuda_attend(b.stream, &a, &rows, &in, cache.at, work.at, attended.at),
             "attention");
    });
    r.kind = "attention";
    r.dtype = "bf16";
    r.weight_bits = r.activation_bits = 16;
    r.heads = s.heads;
    r.kv_heads = s.kv_heads;
    r.head_dim = s.head_dim;
    r.sequences = sequences;
    r.queries = queries;
    r.context = context;
    write_row(b, r);
}

} // namespace

void
bench_products(const bench &b)
{
    const uint32_t most = b.shrink > 1 ? 32 : 16384;
    for (product_shape s : products) {
        s.n = std::max(64u, s.n / b.shrink / 8 * 8);
        s.k = std::max(64u, s.k / b.shrink / 8 * 8);
        for (uint32_t m = 1; m <= most; m *= 4)
            measure_product(b, m, s);
    }
    if (b.shrink == 1)
        measure_product(b, 8192, {8192, 8192});
}

void
bench_attention(const bench &b)
{
    for (attention_shape s : attentions) {
        for (uint32_t sequences : {1u, 8u, 64u})
            for (uint32_t context : {512u, 2048u, 8192u})
                measure_attention(b, s, b.shrink > 1 ? 1 : sequences, 1, context / b.shrink + 16);
        for (uint32_t context : {512u, 2048u, 4096u})
            measure_attention(b, s, 1, context / b.shrink + 16, context / b.shrink + 16);
    }
}
