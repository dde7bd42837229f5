/* Routed experts from end to end: dispatch, both products, in every regime that a batch can have,
 * against sums on the host. */
#include "tests/cuda/harness.cuh"

#include <deque>

struct setting {
    uint32_t n, experts, top_k, hidden, width;
    moe_cuda_type type;
    moe_cuda_activation activation;
    bool biases;
    uint32_t skew; /* of 8 rows so many choose the first experts */
};

struct weights {
    uint32_t hidden, width;
    std::vector<moe_bf16> gate, up, down;
    std::vector<float> gate_bias, up_bias, down_bias;
    array<moe_bf16> dgate, dup, ddown;
    array<float> dgate_bias, dup_bias, ddown_bias;

    weights(uint32_t h, uint32_t w)
        : hidden(h), width(w), gate(random_bf16(h * w, 0.3f)), up(random_bf16(h * w, 0.3f)),
          down(random_bf16(h * w, 0.3f)), gate_bias(random_floats(w)), up_bias(random_floats(w)),
          down_bias(random_floats(h)), dgate(gate), dup(up), ddown(down), dgate_bias(gate_bias),
          dup_bias(up_bias), ddown_bias(down_bias)
    {
    }
    moe_cuda_mlp on_device(bool biases) const
    {
        return {dgate.at,
                dup.at,
                ddown.at,
                biases ? dgate_bias.at : nullptr,
                biases ? dup_bias.at : nullptr,
                biases ? ddown_bias.at : nullptr};
    }
};

static double
activate(const moe_cuda_mlp_shape &s, double gate, double up)
{
    if (s.activation == MOE_CUDA_SILU)
        return gate / (1 + exp(-gate)) * up;
    gate = fmin(gate, s.limit);
    up = fmax(fmin(up, s.limit), -s.limit);
    return (up + 1) * (gate / (1 + exp(-s.alpha * gate)));
}

/* What lies between for one row, and how far float sums may be from it. */
static double
inner_of(const setting &t, const moe_cuda_mlp_shape &s, const weights &w, const float *x,
         uint32_t o, double *within)
{
    double gate = t.biases ? w.gate_bias[o] : 0, up = t.biases ? w.up_bias[o] : 0, size = 2;
    for (uint32_t k = 0; k < t.hidden; k++) {
        gate += static_cast<double>(from_bf16(w.gate[o * t.hidden + k])) * x[k];
        up += static_cast<double>(from_bf16(w.up[o * t.hidden + k])) * x[k];
        size += fabs(from_bf16(w.gate[o * t.hidden + k]) * x[k]) +
                fabs(from_bf16(w.up[o * t.hidden + k]) * x[k]);
    }
    const double want = activate(s, gate, up);
    *within = t.hidden * 0x1p-24 * size * (2 + fabs(gate) + fabs(up)) +
              (t.type == MOE_CUDA_BF16 ? fabs(want) / 256 : 0);
    return want;
}

static double
outer_of(const setting &t, const weights &w, const float *inner, uint32_t o, double *within)
{
    double want = t.biases ? w.down_bias[o] : 0, size = 2;
    for (uint32_t k = 0; k < t.width; k++) {
        const double one = static_cast<double>(from_bf16(w.down[o * t.width + k])) * inner[k];
        want += one;
        size += fabs(one);
    }
    *within = t.width * 0x1p-24 * size + (t.type == MOE_CUDA_BF16 ? fabs(want) / 256 : 0);
    return want;
}

static std::vector<uint16_t>
choose(const setting &t)
{
    std::vector<uint16_t> ids(t.n * t.top_k);
    for (uint32_t i = 0; i < t.n; i++)
        for (uint32_t j = 0; j < t.top_k; j++) {
            bool taken = true;
            uint32_t e = i % 8 < t.skew ? j : random_bits() % t.experts;
            while (taken) {
                taken = false;
                for (uint32_t l = 0; l < j; l++)
                    taken |= ids[i * t.top_k + l] == e;
                e = taken ? (e + 1) % t.experts : e;
            }
            ids[i * t.top_k + j] = static_cast<uint16_t>(e);
        }
    return ids;
}

struct experts {
    setting t;
    moe_cuda_mlp_shape shape;
    std::deque<weights> all;
    std::vector<moe_cuda_mlp> table;
    array<uint8_t> block;
    moe_cuda_dispatch d;
    activations x, inner, outputs;

    explicit experts(const setting &s)
        : t(s), shape{s.hidden, s.width, s.activation, 1.702f, 1.5f, s.type},
          block(moe_cuda_dispatch_bytes(s.n, s.experts, s.top_k)),
          d(moe_cuda_dispatch_at(block.at, s.n, s.experts, s.top_k)), x(s.n * s.hidden, s.type),
          inner(s.n * s.top_k * s.width, s.type), outputs(s.n * s.top_k * s.hidden, s.type)
    {
        for (uint32_t e = 0; e < t.experts; e++) {
            all.emplace_back(t.hidden, t.width);
            table.push_back(all[e].on_device(t.biases));
        }
    }
    void run(cudaStream_t stream, const moe_cuda_mlp *experts_at, const uint16_t *ids)
    {
        MUST(moe_cuda_dispatch_fill(stream, &d, ids, t.n));
        MUST(moe_cuda_experts_inner(stream, &shape, &d, experts_at, t.n, x.at(), inner.at()));
        MUST(moe_cuda_experts_outer(stream, &shape, &d, experts_at, t.n, inner.at(), outputs.at()));
    }
    /* The outputs of all entries whose expert has weights; of the others: untouched. */
    void compare(const std::vector<uint16_t> &ids)
    {
        std::vector<float> between = inner.get(), got = outputs.get();
        std::vector<uint8_t> bytes = block.get();
        const uint32_t *place = reinterpret_cast<const uint32_t *>(
            bytes.data() + (reinterpret_cast<const uint8_t *>(d.place) - block.at));
        for (uint32_t i = 0; i < t.n * t.top_k; i++) {
            const weights &w = all[ids[i]];
            const float *row = &x.value[i / t.top_k * t.hidden],
                        *mid = &between[place[i] * t.width];
            if (!table[ids[i]].gate) {
                CHECK(mid[0] != mid[0] && got[place[i] * t.hidden] != got[place[i] * t.hidden],
                      "n %u: entry %u was computed", t.n, place[i]);
                continue;
            }
            for (uint32_t o = 0; o < t.width; o++) {
                double within, want = inner_of(t, shape, w, row, o, &within);
                CHECK(near(mid[o], want, within),
                      "n %u type %d: row %u expert %u inner %u: %g, want %g", t.n, t.type,
                      i / t.top_k, ids[i], o, mid[o], want);
            }
            for (uint32_t o = 0; o < t.hidden; o++) {
                double within, want = outer_of(t, w, mid, o, &within);
                CHECK(near(got[place[i] * t.hidden + o], want, within),
                      "n %u type %d: row %u expert %u output %u: %g, want %g", t.n, t.type,
                      i / t.top_k, ids[i], o, got[place[i] * t.hidden + o], want);
            }
        }
    }
};

static void
regimes()
{
    static const setting all[] = {
        {1, 8, 2, 64, 72, MOE_CUDA_BF16, MOE_CUDA_SILU, false, 0},
        {5, 4, 2, 1096, 24, MOE_CUDA_BF16, MOE_CUDA_SILU, false, 0},
        {9, 4, 1, 32, 2080, MOE_CUDA_BF16, MOE_CUDA_SILU, true, 2},
        {7, 8, 2, 136, 40, MOE_CUDA_BF16, MOE_CUDA_CLAMPED_SWIGLU, true, 4},
        {40, 6, 2, 72, 136, MOE_CUDA_BF16, MOE_CUDA_SILU, true, 3},
        {150, 5, 2, 64, 40, MOE_CUDA_BF16, MOE_CUDA_CLAMPED_SWIGLU, true, 7},
        {300, 4, 1, 72, 264, MOE_CUDA_BF16, MOE_CUDA_SILU, false, 6},
        {70, 64, 8, 64, 16, MOE_CUDA_BF16, MOE_CUDA_SILU, false, 0},
        {3, 8, 2, 50, 33, MOE_CUDA_F32, MOE_CUDA_SILU, false, 0},
        {90, 5, 3, 70, 65, MOE_CUDA_F32, MOE_CUDA_CLAMPED_SWIGLU, true, 6},
        {300, 3, 1, 20, 70, MOE_CUDA_F32, MOE_CUDA_SILU, false, 7},
        {9, 8, 2, 33, 31, MOE_CUDA_BF16, MOE_CUDA_SILU, true, 0},
        {60, 4, 2, 33, 31, MOE_CUDA_BF16, MOE_CUDA_SILU, false, 5},
    };
    for (const setting &s : all) {
        experts e(s);
        std::vector<uint16_t> ids = choose(s);
        array<uint16_t> dids(ids);
        array<moe_cuda_mlp> table(e.table);
        e.inner.clear();
        e.outputs.clear();
        e.run(nullptr, table.at, dids.at);
        e.compare(ids);
    }
}

/* Experts that are not there yet are left out, and computed by a second call. */
static void
in_waves()
{
    for (moe_cuda_type type : {MOE_CUDA_BF16, MOE_CUDA_F32})
        for (uint32_t n : {6u, 90u}) {
            experts e({n, 6, 2, 64, 72, type, MOE_CUDA_SILU, true, 3});
            std::vector<uint16_t> ids = choose(e.t);
            std::vector<moe_cuda_mlp> whole = e.table, rest = e.table;
            array<uint16_t> dids(ids);
            array<moe_cuda_mlp> table(e.table);
            for (size_t i = 0; i < whole.size(); i++)
                (i % 2 ? e.table : rest)[i] = {};
            e.inner.clear();
            e.outputs.clear();
            table.put(e.table);
            e.run(nullptr, table.at, dids.at);
            e.compare(ids);
            table.put(rest);
            e.run(nullptr, table.at, dids.at);
            e.table = whole;
            e.compare(ids);
        }
}

/* Captured once, replayed with another routing. */
static void
in_a_graph()
{
    for (uint32_t n : {4u, 80u}) {
        experts e({n, 5, 2, 64, 72, MOE_CUDA_BF16, MOE_CUDA_SILU, false, 0});
        std::vector<uint16_t> ids = choose(e.t);
        array<uint16_t> dids(ids);
        array<moe_cuda_mlp> table(e.table);
        cudaStream_t stream;
        cudaGraph_t graph;
        cudaGraphExec_t exec;
        MUST(cudaStreamCreate(&stream));
        MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        e.run(stream, table.at, dids.at);
        MUST(cudaStreamEndCapture(stream, &graph));
        MUST(cudaGraphInstantiate(&exec, graph, 0));
        for (uint32_t skew : {0u, 8u, 5u}) {
            e.t.skew = skew;
            ids = choose(e.t);
            dids.put(ids);
            e.inner.clear();
            e.outputs.clear();
            MUST(cudaDeviceSynchronize());
            MUST(cudaGraphLaunch(exec, stream));
            e.compare(ids);
        }
        MUST(cudaGraphExecDestroy(exec));
        MUST(cudaGraphDestroy(graph));
        MUST(cudaStreamDestroy(stream));
    }
}

/* A dense or shared block: all rows, one expert, and its down matrix as a plain product. */
static void
one_block()
{
    for (moe_cuda_type type : {MOE_CUDA_BF16, MOE_CUDA_F32})
        for (uint32_t n : {1u, 12u, 30u, 50u, 200u}) {
            setting t = {n, 1, 1, 72, 136, type, MOE_CUDA_SILU, true, 0};
            experts e(t);
            e.inner.clear();
            MUST(moe_cuda_mlp_inner(nullptr, &e.shape, &e.table[0], n, e.x.at(), e.inner.at()));
            std::vector<float> got = e.inner.get();
            for (uint32_t i = 0; i < n; i++)
                for (uint32_t o = 0; o < t.width; o++) {
                    double within;
                    double want =
                        inner_of(t, e.shape, e.all[0], &e.x.value[i * t.hidden], o, &within);
                    CHECK(near(got[i * t.width + o], want, within),
                          "n %u type %d row %u column %u: %g, want %g", n, type, i, o,
                          got[i * t.width + o], want);
                }
        }
}

TESTS(regimes, in_waves, in_a_graph, one_block)
