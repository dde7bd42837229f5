/* Products of one matrix, and of one feed-forward block, in every way that computes them. */
#include "tests/cuda/harness.cuh"

struct product_case {
    uint32_t n, rows, cols;
    moe_cuda_type x, w, y;
    bool bias, add, strided;
};

/* Within the bound of a float sum in any order: each of its additions errs by half a unit. */
static void
compare(const product_case &c)
{
    const uint32_t pad = c.strided ? 8 : 0, xs = c.cols + pad, ws = c.cols + 2 * pad,
                   ys = c.rows + pad;
    activations x(static_cast<size_t>(c.n) * xs, c.x), w(static_cast<size_t>(c.rows) * ws, c.w);
    std::vector<float> bias = random_floats(c.rows);
    activations y(static_cast<size_t>(c.n) * ys, c.y);
    std::vector<float> before = y.value;
    array<float> dbias(bias);
    moe_cuda_product p = {};
    p.n = c.n;
    p.rows = c.rows;
    p.cols = c.cols;
    p.x_type = c.x;
    p.w_type = c.w;
    p.y_type = c.y;
    p.x = x.at();
    p.w = w.at();
    p.bias = c.bias ? dbias.at : nullptr;
    p.y = y.at();
    if (c.strided) {
        p.x_stride = xs;
        p.w_stride = ws;
        p.y_stride = ys;
    }
    p.add = c.add;
    MUST(moe_cuda_multiply(nullptr, &p));
    std::vector<float> got = y.get();
    for (uint32_t i = 0; i < c.n; i++)
        for (uint32_t o = 0; o < ys; o++) {
            const size_t at = static_cast<size_t>(i) * ys + o;
            if (o >= c.rows) {
                CHECK(got[at] == before[at], "wrote behind row %u", i);
                continue;
            }
            double want = c.bias ? bias[o] : 0, size = 1;
            for (uint32_t k = 0; k < c.cols; k++) {
                const double one = static_cast<double>(x.value[i * xs + k]) * w.value[o * ws + k];
                want += one;
                size += fabs(one);
            }
            want += c.add ? before[at] : 0;
            const double within =
                (c.cols + 2) * 0x1p-24 * size + (c.y == MOE_CUDA_BF16 ? fabs(want) / 256 : 0);
            CHECK(near(got[at], want, within),
                  "n %u rows %u cols %u types %d %d %d: %u, %u: %g, want %g", c.n, c.rows, c.cols,
                  c.x, c.w, c.y, i, o, got[at], want);
        }
}

static void
products()
{
    static const uint32_t shapes[][3] = {
        {2, 40, 2104}, {11, 36, 4200},  {1, 40, 64},    {3, 17, 72},    {8, 64, 256},
        {9, 100, 520}, {16, 33, 128},   {20, 48, 96},   {33, 70, 72},   {64, 130, 64},
        {65, 130, 72}, {150, 300, 136}, {130, 264, 64}, {40, 6152, 64}, {129, 640, 64},
    };
    int variant = 0;
    for (const uint32_t *s : shapes)
        for (int i = 0; i < 4; i++, variant++) {
            const moe_cuda_type y = i == 3 ? MOE_CUDA_BF16 : MOE_CUDA_F32;
            compare({s[0], s[1], s[2], MOE_CUDA_BF16, MOE_CUDA_BF16, y, i != 1, i == 2,
                     variant % 3 == 0});
        }
}

static void
plain_products()
{
    static const uint32_t shapes[][3] = {
        {1, 8, 64},   {2, 256, 100},  {7, 33, 300},  {12, 5, 70},    {32, 20, 31},
        {70, 65, 50}, {150, 130, 40}, {9, 64, 2048}, {67, 70, 1500}, {16, 8, 1024},
    };
    for (const uint32_t *s : shapes)
        for (int i = 0; i < 2; i++) {
            compare({s[0], s[1], s[2], MOE_CUDA_F32, MOE_CUDA_F32, MOE_CUDA_F32, i == 0, i == 1,
                     i == 1});
            compare({s[0], s[1], s[2], MOE_CUDA_F32, MOE_CUDA_BF16, MOE_CUDA_F32, i == 1, i == 0,
                     i == 0});
        }
    /* Rows that tensor cores cannot read. */
    compare({5, 20, 33, MOE_CUDA_BF16, MOE_CUDA_BF16, MOE_CUDA_F32, true, false, false});
    compare({70, 20, 33, MOE_CUDA_BF16, MOE_CUDA_BF16, MOE_CUDA_BF16, true, false, false});
    moe_cuda_product p = {};
    p.y_type = MOE_CUDA_BF16;
    p.add = true;
    CHECK(moe_cuda_multiply(nullptr, &p) == cudaErrorInvalidValue, "adds to bf16");
}

/* Nothing depends on the order of blocks: twice the same bits. */
static void
same_bits()
{
    for (uint32_t n : {2u, 40u, 200u}) {
        activations x(n * 256, MOE_CUDA_BF16), w(96 * 256, MOE_CUDA_BF16);
        activations a(n * 96, MOE_CUDA_F32), b(n * 96, MOE_CUDA_F32);
        moe_cuda_product p = {};
        p.n = n;
        p.rows = 96;
        p.cols = 256;
        p.x_type = p.w_type = MOE_CUDA_BF16;
        p.x = x.at();
        p.w = w.at();
        p.y = a.at();
        MUST(moe_cuda_multiply(nullptr, &p));
        p.y = b.at();
        MUST(moe_cuda_multiply(nullptr, &p));
        CHECK(a.get() == b.get(), "n %u", n);
    }
}

TESTS(products, plain_products, same_bits)
