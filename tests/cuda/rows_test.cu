#include "tests/cuda/harness.cuh"

static const uint32_t widths[] = {4, 33, 64, 200, 1028};

static void
embed()
{
    for (uint32_t hidden : widths) {
        const uint32_t vocab = 11, n = 7;
        std::vector<moe_bf16> table = random_bf16(vocab * hidden);
        std::vector<uint32_t> tokens = {3, 0, 10, 10, 5, 1, 9};
        array<moe_bf16> dtable(table);
        array<uint32_t> dtokens(tokens);
        array<float> out(n * hidden);
        MUST(moe_cuda_embed(nullptr, dtable.at, hidden, dtokens.at, n, out.at));
        std::vector<float> got = out.get();
        for (uint32_t i = 0; i < n * hidden; i++) {
            float want = from_bf16(table[tokens[i / hidden] * hidden + i % hidden]);
            CHECK(got[i] == want, "hidden %u element %u: %g, want %g", hidden, i, got[i], want);
        }
    }
}

static void
gather()
{
    for (uint32_t hidden : widths) {
        std::vector<float> x = random_floats(5 * hidden);
        std::vector<uint32_t> pick = {4, 4, 0, 2};
        array<float> dx(x), out(pick.size() * hidden);
        array<uint32_t> dpick(pick);
        MUST(moe_cuda_gather(nullptr, dx.at, dpick.at, 4, hidden, out.at));
        std::vector<float> got = out.get();
        for (uint32_t i = 0; i < 4 * hidden; i++)
            CHECK(got[i] == x[pick[i / hidden] * hidden + i % hidden], "hidden %u element %u",
                  hidden, i);
    }
}

static void
norm()
{
    for (uint32_t hidden : widths)
        for (int picked = 0; picked < 2; picked++) {
            const uint32_t rows = 6, n = picked ? 3 : rows;
            std::vector<float> x = random_floats(rows * hidden, 3), w = random_floats(hidden);
            std::vector<uint32_t> pick = {5, 1, 1};
            array<float> dx(x), dw(w), out(n * hidden);
            array<moe_bf16> out16(n * hidden);
            array<uint32_t> dpick(pick);
            MUST(moe_cuda_norm(nullptr, dx.at, picked ? dpick.at : nullptr, n, hidden, dw.at, 1e-5f,
                               out.at, out16.at));
            std::vector<float> got = out.get();
            std::vector<moe_bf16> got16 = out16.get();
            for (uint32_t r = 0; r < n; r++) {
                const float *row = &x[(picked ? pick[r] : r) * hidden];
                double sum = 0;
                for (uint32_t c = 0; c < hidden; c++)
                    sum += static_cast<double>(row[c]) * row[c];
                const double scale = 1 / sqrt(sum / hidden + 1e-5);
                for (uint32_t c = 0; c < hidden; c++) {
                    const double want = row[c] * scale * w[c];
                    CHECK(near(got[r * hidden + c], want, 1e-6 * fabs(want) + 1e-7),
                          "hidden %u row %u column %u: %g, want %g", hidden, r, c,
                          got[r * hidden + c], want);
                    CHECK(got16[r * hidden + c] == to_bf16(got[r * hidden + c]),
                          "hidden %u row %u column %u", hidden, r, c);
                }
            }
            /* Each result alone, and a row on its own gives the same bits. */
            array<float> alone(hidden);
            array<uint32_t> last(std::vector<uint32_t>{picked ? pick[n - 1] : n - 1});
            MUST(
                moe_cuda_norm(nullptr, dx.at, last.at, 1, hidden, dw.at, 1e-5f, alone.at, nullptr));
            std::vector<float> one = alone.get();
            for (uint32_t c = 0; c < hidden; c++)
                CHECK(one[c] == got[(n - 1) * hidden + c], "hidden %u column %u", hidden, c);
        }
}

static void
combine_case(uint32_t hidden, moe_cuda_type type, bool shared, bool gated)
{
    const uint32_t n = 5, k = 3, entries = n * k;
    activations outputs(entries * hidden, type), other(n * hidden, type);
    std::vector<float> weights = random_floats(n * k), gate = random_floats(n, 4);
    std::vector<float> residual = random_floats(n * hidden);
    std::vector<uint32_t> place(entries);
    for (uint32_t i = 0; i < entries; i++)
        place[i] = (i * 7 + 2) % entries;
    place[4] = UINT32_MAX; /* no expert there */
    array<float> dweights(weights), dgate(gate), dresidual(residual);
    array<uint32_t> dplace(place);
    moe_cuda_combine c = {};
    c.n = n;
    c.hidden = hidden;
    c.top_k = k;
    c.type = type;
    c.outputs = outputs.at();
    c.place = dplace.at;
    c.weights = dweights.at;
    c.shared = shared ? other.at() : nullptr;
    c.shared_gate = gated ? dgate.at : nullptr;
    c.residual = dresidual.at;
    MUST(moe_cuda_combine_add(nullptr, &c));
    std::vector<float> got = dresidual.get();
    for (uint32_t i = 0; i < n * hidden; i++) {
        const uint32_t r = i / hidden, col = i % hidden;
        double want = residual[i];
        for (uint32_t j = 0; j < k; j++)
            if (place[r * k + j] != UINT32_MAX)
                want += static_cast<double>(weights[r * k + j]) *
                        outputs.value[place[r * k + j] * hidden + col];
        if (shared)
            want += other.value[i] * (gated ? 1 / (1 + exp(-static_cast<double>(gate[r]))) : 1);
        CHECK(near(got[i], want, 2e-6), "hidden %u type %d element %u: %g, want %g", hidden, type,
              i, got[i], want);
    }
}

static void
combine()
{
    for (uint32_t hidden : widths)
        for (int i = 0; i < 6; i++)
            combine_case(hidden, i % 2 ? MOE_CUDA_BF16 : MOE_CUDA_F32, i / 2 > 0, i / 2 > 1);
}

TESTS(embed, gather, norm, combine)
