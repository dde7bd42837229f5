/* Experts and weights, bit by bit as moe_route. */
#include "tests/cuda/harness.cuh"
#include "tests/cuda/reference.h"

static void
compare(const moe_cuda_router &r, uint32_t n, const std::vector<float> &logits,
        const std::vector<float> &correction, const char *what)
{
    array<float> dlogits(logits), dcorrection(correction), dweights(n * r.top_k);
    array<uint16_t> dids(n * r.top_k);
    MUST(moe_cuda_route(nullptr, &r, dlogits.at, correction.empty() ? nullptr : dcorrection.at, n,
                        dids.at, dweights.at));
    std::vector<uint16_t> ids = dids.get();
    std::vector<float> weights = dweights.get();
    for (uint32_t i = 0; i < n; i++) {
        uint16_t want_ids[MOE_CUDA_MAX_TOP_K];
        float want[MOE_CUDA_MAX_TOP_K];
        moe_reference_route(&r, &logits[i * r.experts],
                            correction.empty() ? nullptr : correction.data(), want_ids, want);
        for (uint32_t j = 0; j < r.top_k; j++) {
            const uint32_t at = i * r.top_k + j;
            CHECK(ids[at] == want_ids[j] && memcmp(&weights[at], &want[j], sizeof *want) == 0,
                  "%s: score %d, experts %u of %u, groups %u of %u, row %u, %u.: expert %u %.9g, "
                  "want %u %.9g",
                  what, r.score, r.top_k, r.experts, r.top_groups, r.groups, i, j, ids[at],
                  weights[at], want_ids[j], want[j]);
        }
    }
}

static const struct {
    uint32_t experts, top_k, groups, top_groups;
} shapes[] = {
    {8, 2, 1, 1},      {64, 8, 0, 0}, {60, 4, 1, 1},  {256, 8, 8, 4},  {160, 6, 8, 3},
    {1024, 64, 64, 8}, {1, 1, 1, 1},  {33, 33, 1, 1}, {128, 4, 16, 1},
};

static void
rules()
{
    for (const auto &s : shapes)
        for (int i = 0; i < 24; i++) {
            moe_cuda_router r = {};
            r.score = static_cast<moe_cuda_score>(i % 3);
            r.experts = s.experts;
            r.top_k = s.top_k;
            r.groups = s.groups;
            r.top_groups = s.top_groups;
            r.group_top_two = i / 3 % 2;
            r.normalise = i / 6 % 2;
            r.scale = i / 12 ? 2.5f : 1.0f;
            const uint32_t n = 5;
            std::vector<float> logits = random_floats(n * r.experts, 6);
            compare(r, n, logits, {}, "random");
            compare(r, n, logits, random_floats(r.experts, 0.1f), "corrected");
            /* Few values, of both signs, zero too: ties everywhere. */
            for (float &x : logits)
                x = static_cast<float>(static_cast<int>(random_bits() % 5) - 2) * 0.5f;
            for (size_t j = 0; j < logits.size(); j += 3)
                logits[j] = logits[j] == 0 ? -0.0f : logits[j];
            compare(r, n, logits, {}, "ties");
        }
}

static void
extremes()
{
    moe_cuda_router r = {};
    r.experts = 64;
    r.top_k = 8;
    r.groups = 1;
    r.scale = 1;
    for (int score = 0; score < 3; score++) {
        r.score = static_cast<moe_cuda_score>(score);
        std::vector<float> logits = random_floats(3 * r.experts, 200);
        logits[5] = -INFINITY;
        logits[64 + 9] = 88.9f;
        compare(r, 3, logits, {}, "wide");
    }
}

/* No number chosen twice and none out of range, whatever the logits are. */
static void
no_numbers()
{
    moe_cuda_router r = {};
    r.experts = 40;
    r.top_k = 6;
    r.groups = 4;
    r.top_groups = 2;
    r.scale = 1;
    r.normalise = true;
    std::vector<float> logits(4 * r.experts, NAN);
    for (uint32_t i = 0; i < r.experts; i++) {
        logits[r.experts + i] = i % 2 ? NAN : 1;
        logits[2 * r.experts + i] = -INFINITY;
        logits[3 * r.experts + i] = INFINITY;
    }
    for (int score = 0; score < 3; score++) {
        r.score = static_cast<moe_cuda_score>(score);
        array<float> dlogits(logits), dweights(4 * r.top_k);
        array<uint16_t> dids(4 * r.top_k);
        MUST(moe_cuda_route(nullptr, &r, dlogits.at, nullptr, 4, dids.at, dweights.at));
        std::vector<uint16_t> ids = dids.get();
        for (uint32_t i = 0; i < 4; i++)
            for (uint32_t j = 0; j < r.top_k; j++) {
                CHECK(ids[i * r.top_k + j] < r.experts, "row %u: %u", i, ids[i * r.top_k + j]);
                for (uint32_t l = 0; l < j; l++)
                    CHECK(ids[i * r.top_k + j] != ids[i * r.top_k + l], "row %u: %u twice", i,
                          ids[i * r.top_k + j]);
            }
    }
    r.experts = 2000;
    CHECK(moe_cuda_route(nullptr, &r, nullptr, nullptr, 1, nullptr, nullptr) != 0, "too many");
}

TESTS(rules, extremes, no_numbers)
