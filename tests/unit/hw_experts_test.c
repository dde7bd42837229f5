/* The cost of experts whose kernels compute in blocks: the formula of hw/cost.h by hand, and what
 * must hold for any numbers. */
#include "hw/cost.h"
#include "sim/base/random.h"
#include "tests/test.h"

#include <math.h>

static const moe_place places[] = {{"hbm", 1LL << 40, 0, 1e12}};

static const moe_expert_kernel blocks = {
    .name = "blocks",
    .dtype = MOE_KERNEL_bf16,
    .efficiency = 0.5,
    .stream_efficiency = 0.8,
    .coarse_stream_efficiency = 0.4,
    .pass_efficiency = 0.25,
    .exposed = 0.1,
    .half_rows = 10,
    .unaligned = 3,
    .alone = 0.5,
    .tile = 16,
    .coarse_tile = 64,
    .columns = 128,
    .fixed_ps = 5000000,
    .expert_ps = 20000,
    .block_ps = 300000,
    .element_ps = 1000,
};

typedef struct rig {
    moe_expert_kernel kernel;
    moe_device device;
    moe_hardware hw;
    moe_place place;
    moe_expert_shape shape;
} rig;

/* Pointers into itself: set up in place. Gate, up and down of 1024 x 512. */
static void
set_up(rig *r)
{
    *r = (rig){.kernel = blocks, .place = places[0]};
    r->device = (moe_device){.name = "gpu",
                             .peak.bf16 = 1e14,
                             .sms = 100,
                             .l2_bytes = 50000000,
                             .launch_ps = 1000000,
                             .graph_launch_ps = 1000000};
    r->hw =
        (moe_hardware){.n_devices = 1, .n_places = 1, .devices = &r->device, .places = &r->place};
    r->shape = (moe_expert_shape){.params = 3.0 * 1024 * 512,
                                  .flops = 6.0 * 1024 * 512,
                                  .hidden = 1024,
                                  .width = 512,
                                  .weight_bits = 16,
                                  .activation_bits = 16,
                                  .kernel = &r->kernel};
}

static moe_cost
of(const rig *r, const uint32_t *tokens, uint32_t n)
{
    return moe_cost_experts(&r->hw, &r->device, &r->shape, tokens, n);
}

static bool
is_near(double a, double b)
{
    return fabs(a / b - 1) < 1e-9;
}

static void
by_hand(void)
{
    static const uint32_t tokens[] = {5, 17, 3};
    rig r;
    set_up(&r);

    /* 25 tokens of three experts, 8.33 on average: tiles of 16 rows, of which there are 4 */
    moe_cost c = of(&r, tokens, 3);
    CU_ASSERT_EQUAL(c.launch_ps, 6 * 1000000 + 5000000 + 3 * 20000 + 1536 * 1000);
    CU_ASSERT_EQUAL(c.bytes, 3 * 3.0 * 1024 * 512 * 2 + 2 * 25 * 1536.0 * 2);
    CU_ASSERT_EQUAL(c.bytes_per_s, 0.8e12);
    /* passes over the rows, and 25 tokens' results, written as weights are streamed */
    double results = 25 * 1024.0 * 2, rowwise = 25 * (3 * 512 + 1024.0) * 2;
    double passes = rowwise / 0.25e12 + results / 0.8e12;
    CU_ASSERT_EQUAL(c.pass_bytes, rowwise + results);
    MOE_CHECK(is_near(c.pass_bytes / c.pass_bytes_per_s, passes), "%g", c.pass_bytes_per_s);
    /* up and down: 4 * 8 blocks each, less than half of the 100 processors */
    double rows = 4 * 16 + 3 * 10, alone = 0.5 / 0.32;
    double seconds = 2 * rows * 3 * 1024 * 512 / 0.5e14 * alone + 2 * 0.32 * 300e-9 * alone;
    MOE_CHECK(is_near(c.flops / c.flops_per_s, seconds), "%g, %g", c.flops / c.flops_per_s,
              seconds);
    double streamed = c.bytes / 0.8e12;
    double body = fmax(streamed, seconds) + 0.1 * fmin(streamed, seconds) + passes;
    MOE_CHECK(fabs((double)(c.total_ps - c.launch_ps) - body * 1e12) <= 2, "%lld, %g",
              (long long)(c.total_ps - c.launch_ps), body * 1e12);
}

static void
one_expert_one_tile(void)
{
    rig r;
    set_up(&r);
    r.device.sms = 0; /* blocks are free, and may be cut */
    moe_cost c = of(&r, (const uint32_t[]){16}, 1);
    MOE_CHECK(is_near(c.flops / c.flops_per_s, 2 * 26.0 * 3 * 1024 * 512 / 0.5e14), "%g",
              c.flops / c.flops_per_s);
    /* all tokens of a tile cost the same to compute */
    for (uint32_t t = 1; t <= 16; t++) {
        moe_cost one = of(&r, &t, 1);
        MOE_CHECK(is_near(one.flops / one.flops_per_s, c.flops / c.flops_per_s), "%u", t);
    }
}

/* Operands of a block: (16 rows + 128 columns) * 2 bytes for each of 1024 and 512 elements, loaded
 * by as many processors as there are blocks. */
static void
blocks_are_fed(void)
{
    static const uint32_t tokens[] = {16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16};
    rig r;
    set_up(&r);
    r.kernel.alone = 0;
    moe_cost free = of(&r, tokens, 13);
    r.kernel.feed_bytes_per_s = 1e11;
    moe_cost fed = of(&r, tokens, 13);
    double more = 13 * 8 / 100.0 * (16 + 128) * 2 * (1024 + 512) / 1e11;
    MOE_CHECK(is_near(fed.flops / fed.flops_per_s, free.flops / free.flops_per_s + more), "%g",
              fed.flops / fed.flops_per_s);
}

static void
tiles_are_chosen(void)
{
    rig r;
    set_up(&r);
    CU_ASSERT_EQUAL(of(&r, (const uint32_t[]){16}, 1).bytes_per_s, 0.8e12);
    CU_ASSERT_EQUAL(of(&r, (const uint32_t[]){17}, 1).bytes_per_s, 0.4e12);
    r.shape.mean_rows = 8; /* of all devices: this one has more than its share */
    CU_ASSERT_EQUAL(of(&r, (const uint32_t[]){17}, 1).bytes_per_s, 0.8e12);
    r.kernel.tiles_by = MOE_TILES_BY_TOKENS;
    r.shape.experts = 8;
    r.shape.entering = 8;
    CU_ASSERT_EQUAL(of(&r, (const uint32_t[]){17}, 1).bytes_per_s, 0.8e12);
    r.shape.entering = 9;
    CU_ASSERT_EQUAL(of(&r, (const uint32_t[]){1}, 1).bytes_per_s, 0.4e12);
}

/* 2-matrix experts, widths that are no multiple of 16, parts, and weights read just before. */
static void
shapes(void)
{
    static const uint32_t tokens[] = {200, 200, 200, 200};
    rig r;
    set_up(&r);
    r.kernel.block_ps = 0;
    moe_cost three = of(&r, tokens, 4);
    r.shape.params = 2.0 * 1024 * 512;
    r.shape.flops = 4.0 * 1024 * 512;
    moe_cost two = of(&r, tokens, 4);
    CU_ASSERT_EQUAL(three.pass_bytes - two.pass_bytes, 800 * 512.0 * 2);
    MOE_CHECK(is_near(three.flops / three.flops_per_s, 1.5 * two.flops / two.flops_per_s), "%g",
              three.flops / three.flops_per_s);

    set_up(&r);
    r.shape.part = MOE_EXPERT_UP;
    r.shape.params = 2.0 * 1024 * 512;
    r.shape.flops = 4.0 * 1024 * 512;
    moe_cost up = of(&r, tokens, 4);
    r.shape.part = MOE_EXPERT_DOWN;
    r.shape.params = 1.0 * 1024 * 512;
    r.shape.flops = 2.0 * 1024 * 512;
    moe_cost down = of(&r, tokens, 4);
    set_up(&r);
    moe_cost whole = of(&r, tokens, 4);
    CU_ASSERT_EQUAL(up.kernels, 1);
    CU_ASSERT_EQUAL(down.pass_bytes, 0);
    MOE_CHECK(is_near(up.flops / up.flops_per_s + down.flops / down.flops_per_s,
                      whole.flops / whole.flops_per_s),
              "%g", up.flops / up.flops_per_s);

    /* inner sizes go in steps of 64: 504 as 512, and its rows begin anywhere */
    r.shape.width = 504;
    r.shape.params = 3.0 * 1024 * 504;
    r.shape.flops = 6.0 * 1024 * 504;
    r.kernel.block_ps = 0;
    moe_cost odd = of(&r, tokens, 4);
    double rows = 4 * 256 + 4 * 10;
    MOE_CHECK(is_near(odd.flops / odd.flops_per_s, 2 * rows * 1024 * 512 * (2 + 3) / 0.5e14), "%g",
              odd.flops / odd.flops_per_s);

    set_up(&r);
    /* weights found in the cache are read 2.7 times as fast; a graph's begin is one more launch */
    moe_cost cold = of(&r, tokens, 4);
    double weights = r.shape.params * 2;
    r.shape.found = 3;
    MOE_CHECK(is_near(of(&r, tokens, 4).bytes, cold.bytes - 3 * weights * (1 - 1 / 2.7)), "%g",
              of(&r, tokens, 4).bytes);
    r.shape.found = 0;
    r.device.launch_ps = 1000000;
    int64_t plain = of(&r, tokens, 4).launch_ps;
    r.shape.begun = 0.2;
    CU_ASSERT_EQUAL(of(&r, tokens, 4).launch_ps, plain + 200000);

    /* coarse tiles' steps */
    r.kernel.coarse_element_ps = 3000;
    CU_ASSERT(tokens[0] > 16);
    CU_ASSERT_EQUAL(of(&r, tokens, 4).launch_ps, plain + 200000 + 1536 * 2000);
}

/* Results are of all tokens that enter, quantised ones are read and written before. */
static void
results_of_all(void)
{
    static const uint32_t tokens[] = {5, 17, 3};
    rig r;
    set_up(&r);
    r.shape.entering = 25;
    double few = of(&r, tokens, 3).pass_bytes;
    r.shape.entering = 1025;
    MOE_CHECK(is_near(of(&r, tokens, 3).pass_bytes, few + 1000 * 1024.0 * 2), "%g", few);
    r.shape.activation_bits = 8;
    r.device.peak.fp8 = 2e14;
    double rowwise = 25 * (3 * 512 + 1024.0);
    MOE_CHECK(is_near(of(&r, tokens, 3).pass_bytes, rowwise + 1025 * 1024.0 * (2 + 2 + 1)), "%g",
              of(&r, tokens, 3).pass_bytes);
}

/* What is read again is found in half a cache, not in what is larger than all of it. */
static void
found_again(void)
{
    static const struct {
        double bytes, share;
    } cases[] = {{0, 1}, {5e6, 1}, {10e6, 1}, {15e6, 0.5}, {18e6, 0.2}, {20e6, 0}, {1e12, 0}};
    moe_device device = {.l2_bytes = 20000000};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        double share = moe_cost_found(&device, cases[i].bytes);
        MOE_CHECK(fabs(share - cases[i].share) < 1e-12, "case %zu: %g", i, share);
    }
    device.l2_bytes = 0; /* not known */
    CU_ASSERT_EQUAL(moe_cost_found(&device, 1), 0);
}

/* For any loads: their order does not matter, more of anything is not faster, a better device is
 * not slower, and twice the bandwidth halves what is bound by it. */
static void
holds_for_any(void)
{
    moe_stream stream = moe_stream_new(7, "experts", 1);
    for (int round = 0; round < 300; round++) {
        uint32_t n = 1 + (uint32_t)moe_stream_below(&stream, 32), tokens[33], turned[33];
        rig r;
        set_up(&r);
        r.shape.mean_rows = 1 + (double)moe_stream_below(&stream, 100);
        for (uint32_t i = 0; i < n; i++)
            tokens[i] = 1 + (uint32_t)moe_stream_below(&stream, round % 2 ? 20 : 2000);
        for (uint32_t i = 0; i < n; i++)
            turned[i] = tokens[(i * 31 + 5) % n];
        tokens[n] = 1;
        moe_cost c = of(&r, tokens, n);
        if (n != 31)
            CU_ASSERT_EQUAL(of(&r, turned, n).total_ps, c.total_ps);
        CU_ASSERT(of(&r, tokens, n + 1).total_ps >= c.total_ps);
        tokens[0] += 1;
        CU_ASSERT(of(&r, tokens, n).total_ps >= c.total_ps);
        tokens[0] -= 1;
        r.place.read_bytes_per_s *= 2;
        moe_cost fast = of(&r, tokens, n);
        CU_ASSERT(fast.total_ps <= c.total_ps);
        MOE_CHECK(is_near(c.bytes / c.bytes_per_s, 2 * fast.bytes / fast.bytes_per_s), "%g",
                  fast.bytes_per_s);
        r.device.peak.bf16 *= 2;
        CU_ASSERT(of(&r, tokens, n).total_ps <= fast.total_ps);
    }
}

/* The same tokens on fewer experts: faster while weights are what takes the time, slower on one
 * device where more of the tokens fall upon it. */
static void
skew(void)
{
    static const uint32_t even[] = {1, 1, 1, 1, 1, 1, 1, 1}, few[] = {5, 2, 1};
    static const uint32_t many[] = {512, 512, 512, 512}, more[] = {1600, 700, 300, 200};
    rig r;
    set_up(&r);
    CU_ASSERT(of(&r, few, 3).total_ps < of(&r, even, 8).total_ps);
    CU_ASSERT(of(&r, more, 4).total_ps > of(&r, many, 4).total_ps);
}

MOE_TESTS({"by_hand", by_hand}, {"one_expert_one_tile", one_expert_one_tile},
          {"blocks_are_fed", blocks_are_fed}, {"tiles_are_chosen", tiles_are_chosen},
          {"shapes", shapes}, {"found_again", found_again}, {"results_of_all", results_of_all},
          {"holds_for_any", holds_for_any}, {"skew", skew})
