/* Expert layers: gate, up, activation, down and the weighted sum, as the CUDA backend runs them
 * once rows are dispatched. Every call takes the experts of another layer, so that they come from
 * memory and not from a cache that holds those of the call before. */
#include "tests/bench/gpu/bench.cuh"

#include <algorithm>
#include <cmath>

namespace
{

constexpr uint64_t BEYOND_CACHES = 1ull << 30; /* bytes of weights to go round */

/* Deterministic uniform numbers in [0, 1). */
struct uniform {
    uint64_t state;
    double operator()()
    {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        return static_cast<double>(state >> 11) * 0x1p-53;
    }
};

/* The top_k experts of each token: as even as can be, or drawn without replacement with
 * probabilities that fall as rank^-exponent. */
std::vector<uint16_t>
choose(const expert_shape &s, uint32_t tokens, double exponent)
{
    std::vector<uint16_t> ids;
    std::vector<double> weight(s.experts);
    uniform next = {tokens * 1000003ull + s.experts};
    for (uint32_t t = 0; t < tokens; t++) {
        if (exponent == 0) {
            for (uint32_t j = 0; j < s.top_k; j++)
                ids.push_back(static_cast<uint16_t>((t * s.top_k + j) % s.experts));
            continue;
        }
        double sum = 0;
        for (uint32_t e = 0; e < s.experts; e++)
            sum += weight[e] = std::pow(e + 1.0, -exponent);
        for (uint32_t j = 0; j < s.top_k; j++) {
            double at = next() * sum;
            uint32_t e = 0;
            while (e + 1 < s.experts && (weight[e] == 0 || at >= weight[e]))
                at -= weight[e++];
            while (weight[e] == 0)
                e = e ? e - 1 : s.experts - 1;
            sum -= weight[e];
            weight[e] = 0;
            ids.push_back(static_cast<uint16_t>(e));
        }
    }
    return ids;
}

std::string
loads_text(const expert_shape &s, const std::vector<uint16_t> &ids)
{
    std::vector<uint32_t> loads(s.experts);
    for (uint16_t id : ids)
        loads[id]++;
    std::string text;
    for (uint32_t n : loads)
        text += (text.empty() ? "" : ";") + std::to_string(n);
    return text;
}

/* Everything that one measurement reads and writes. */
struct step {
    uint32_t n;
    device_memory ids, weights, x, inner, outputs, residual, block;
    moe_cuda_dispatch dispatch;
    step(const expert_shape &s, uint32_t tokens)
        : n(tokens), ids(uint64_t{tokens} * s.top_k * 2), weights(uint64_t{tokens} * s.top_k * 4),
          x(uint64_t{tokens} * s.hidden * 2), inner(uint64_t{tokens} * s.top_k * s.width * 2),
          outputs(uint64_t{tokens} * s.top_k * s.hidden * 2),
          residual(uint64_t{tokens} * s.hidden * 4),
          block(moe_cuda_dispatch_bytes(tokens, s.experts, s.top_k)),
          dispatch(moe_cuda_dispatch_at(block.at, tokens, s.experts, s.top_k))
    {
    }
};

uint64_t
step_bytes(const expert_shape &s, uint64_t tokens)
{
    return tokens * (s.hidden * 6 + s.top_k * (6 + 2ull * s.width + 2ull * s.hidden));
}

void
measure(const bench &b, const expert_shape &s, const moe_cuda_mlp *tables, uint32_t layers,
        uint32_t tokens, double exponent, const char *distribution)
{
    step work(s, tokens);
    const std::vector<uint16_t> ids = choose(s, tokens, exponent);
    must(cudaMemcpyAsync(work.ids.at, ids.data(), ids.size() * 2, cudaMemcpyHostToDevice, b.stream),
         "ids");
    fill(b, work.x.at, uint64_t{tokens} * s.hidden, MOE_CUDA_BF16, 7);
    fill(b, work.weights.at, uint64_t{tokens} * s.top_k, MOE_CUDA_F32, 8);
    fill(b, work.residual.at, uint64_t{tokens} * s.hidden, MOE_CUDA_F32, 9);
    must(moe_cuda_dispatch_fill(b.stream, &work.dispatch, work.ids.as<uint16_t>(), tokens),
         "dispatch");
    const moe_cuda_mlp_shape shape = {s.hidden, s.width, MOE_CUDA_SILU, 0, 0, MOE_CUDA_BF16};
    moe_cuda_combine combine = {};
    combine.n = tokens;
    combine.hidden = s.hidden;
    combine.top_k = s.top_k;
    combine.type = MOE_CUDA_BF16;
    combine.outputs = work.outputs.at;
    combine.place = work.dispatch.place;
    combine.weights = work.weights.as<float>();
    combine.residual = work.residual.as<float>();
    row r;
    r.time_us = median_us(b, [&](uint32_t i) {
        const moe_cuda_mlp *table = tables + uint64_t{i % layers} * s.experts;
        must(moe_cuda_experts_inner(b.stream, &shape, &work.dispatch, table, tokens, work.x.at,
                                    work.inner.at),
             "gate and up");
        must(moe_cuda_experts_outer(b.stream, &shape, &work.dispatch, table, tokens, work.inner.at,
                                    work.outputs.at),
             "down");
        must(moe_cuda_combine_add(b.stream, &combine), "sum");
    });
    r.kind = "experts";
    r.dtype = "bf16";
    r.weight_bits = r.activation_bits = 16;
    r.hidden = s.hidden;
    r.width = s.width;
    r.experts = s.experts;
    r.top_k = s.top_k;
    r.tokens = tokens;
    r.distribution = distribution;
    r.loads = loads_text(s, ids);
    write_row(b, r);
}

/* A layer's experts lie one behind another: gate, up, down of each. */
void
sweep(const bench &b, const expert_shape &s)
{
    const uint64_t matrix = uint64_t{s.hidden} * s.width, one = matrix * 3 * s.experts * 2;
    const uint32_t most = 16384 / (b.shrink > 1 ? 256 : 1);
    const uint64_t room = b.memory > step_bytes(s, most) ? b.memory - step_bytes(s, most) : 0;
    if (one > room) {
        fprintf(stderr, "experts of %s: %.1f GB do not fit\n", s.name,
                static_cast<double>(one) / 1e9);
        return;
    }
    const uint64_t wanted = std::max<uint64_t>(1, (BEYOND_CACHES / b.shrink + one - 1) / one);
    const uint32_t layers = static_cast<uint32_t>(std::min<uint64_t>(wanted, room / one));
    device_memory weights(one * layers),
        tables(uint64_t{layers} * s.experts * sizeof(moe_cuda_mlp));
    fill(b, weights.at, one / 2 * layers, MOE_CUDA_BF16, 1);
    std::vector<moe_cuda_mlp> table(uint64_t{layers} * s.experts);
    for (size_t e = 0; e < table.size(); e++) {
        const moe_bf16 *at = weights.as<moe_bf16>() + e * 3 * matrix;
        table[e] = {at, at + matrix, at + 2 * matrix, nullptr, nullptr, nullptr};
    }
    must(
        cudaMemcpy(tables.at, table.data(), table.size() * sizeof table[0], cudaMemcpyHostToDevice),
        "tables");
    for (uint32_t tokens = 1; tokens <= most; tokens *= 2) {
        measure(b, s, tables.as<moe_cuda_mlp>(), layers, tokens, 0, "balanced");
        if (tokens >= 8)
            measure(b, s, tables.as<moe_cuda_mlp>(), layers, tokens, 1.2, "zipf_1.2");
    }
}

} // namespace

void
bench_experts(const bench &b)
{
    for (size_t i = 0; i < n_expert_shapes; i++) {
        expert_shape s = expert_shapes[i];
        s.hidden = std::max(64u, s.hidden / b.shrink / 8 * 8);
        s.width = std::max(64u, s.width / b.shrink / 8 * 8);
        sweep(b, s);
    }
}
