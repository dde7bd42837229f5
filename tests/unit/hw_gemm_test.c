/* Products by tiles and waves: values by hand, and what must hold for any numbers. */
#include "hw/cost.h"
#include "sim/base/random.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

static const moe_place places[] = {
    {.name = "hbm", .capacity = 1LL << 40, .read_bytes_per_s = 1e12}};

/* Four processors of 1 TFLOP/s each, of which a kernel makes half. */
static moe_device
device(void)
{
    return (moe_device){.name = "gpu",
                        .peak.bf16 = 4e12,
                        .peak.fp8 = 8e12,
                        .sms = 4,
                        .launch_ps = 1000000,
                        .graph_launch_ps = 500000};
}

static moe_gemm_kernel
kernel(void)
{
    return (moe_gemm_kernel){.name = "tiles",
                             .efficiency = 0.5,
                             .stream_efficiency = 0.5,
                             .fixed_ps = 2000000,
                             .tile_rows = 64,
                             .tile_columns = 64,
                             .choice = MOE_TILE_ROWS,
                             .split = 1,
                             .side = 32,
                             .result_speed = 1,
                             .tile_ps = 1000000,
                             .split_ps = 3000000};
}

static moe_cost
product(const moe_device *d, const moe_gemm_kernel *k, double m, double n, double inner,
        double bits)
{
    const moe_hardware hw = {.n_devices = 1, .n_places = 1, .devices = d, .places = places};
    moe_gemm_shape shape = {m, n, inner, bits, bits, k, 1, NULL};
    return moe_cost_product(&hw, d, &shape);
}

static void
expect(const char *what, const moe_cost *cost, double us)
{
    double got = (double)cost->total_ps / 1e6;
    MOE_CHECK(fabs(got - us) < 2e-6 * us, "%s: %.9g us, wanted %.9g", what, got, us);
}

static double
overlap(double a, double b)
{
    return pow(pow(a, 4) + pow(b, 4), 0.25);
}

/* 64 rows: tiles of 64 x 64. Each takes 640 x 2 x 64 x 64 FLOP at 0.5 TFLOP/s, 1 us, and 4 x 8 KiB
 * at 1 TB/s. */
static const double tile_us = 640 * 8192 / 0.5e6 + 1 + 4 * 8192 / 1e6;

static double
memory_us(double m, double n, double k)
{
    return 2 * (n * k + m * k + m * n) / 0.5e6;
}

static void
waves(void)
{
    static const struct {
        double tiles, spread, waves;
    } cases[] = {{1, 0, 1}, {2, 0, 1},    {4, 0, 1},       {5, 0, 2},
                 {9, 0, 3}, {9, 1, 2.25}, {9, 0.5, 2.625}, {1, 1, 1}};
    moe_device d = device();
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_gemm_kernel k = kernel();
        k.spread = cases[i].spread;
        double n = 64 * cases[i].tiles;
        moe_cost c = product(&d, &k, 64, n, 640, 16);
        expect("waves", &c, 3 + overlap(cases[i].waves * tile_us, memory_us(64, n, 640)));
        CU_ASSERT_EQUAL(c.kernels, 1);
        CU_ASSERT_EQUAL(c.flops, 2 * 64 * n * 640);
    }
    /* a further row is another row of tiles, a 641st element another step */
    moe_gemm_kernel k = kernel();
    moe_cost c = product(&d, &k, 65, 256, 640, 16);
    expect("row", &c, 3 + overlap(2 * tile_us, memory_us(65, 256, 640)));
    c = product(&d, &k, 64, 256, 641, 16);
    expect("step", &c, 3 + overlap(tile_us + 64 * 8192 / 0.5e6, memory_us(64, 256, 641)));
    /* how many processors there are is not known: no waves, no part of a tile */
    d.sms = 0;
    c = product(&d, &k, 64, 64, 640, 16);
    expect("unknown", &c, 3 + overlap(640 * 8192 / 2e6 + 8192 / 1e6, memory_us(64, 64, 640)));
}

/* Tiles below the side wait for their operands: of one row, 32 x (1 + 64) instead of 2 x 64 x 64.
 */
static void
loads(void)
{
    moe_device d = device();
    moe_gemm_kernel k = kernel();
    k.side = 256;
    moe_cost c = product(&d, &k, 1, 64, 640, 16);
    expect("loads", &c,
           3 + overlap(640 * 256 * 65 / 0.5e6 + 1 + 4 * 8192 / 1e6, memory_us(1, 64, 640)));
    /* activations in a quarter of the cache are not read from memory */
    d.l2_bytes = 4 * 1000 * 1000;
    c = product(&d, &k, 1, 64, 640, 16);
    CU_ASSERT_EQUAL(c.bytes, 2 * (64 * 640 + 64));
    c = product(&d, &k, 4096, 64, 640, 16);
    CU_ASSERT_EQUAL(c.bytes, 2 * (64 * 640 + 4096 * 64) + 2 * 4096 * 640 - 1e6);
}

/* One tile of 16 x 64, 2560 of k in 4 parts of 640: all processors work, and 4 partial sums are
 * added up. */
static void
split(void)
{
    moe_device d = device();
    moe_gemm_kernel k = kernel();
    k.choice = MOE_TILE_BEST;
    k.side = 1;
    moe_cost whole = product(&d, &k, 16, 64, 2560, 16);
    expect("whole", &whole,
           3 + overlap(2560 * 2048 / 0.5e6 + 1 + 4 * 2048 / 1e6, memory_us(16, 64, 2560)));
    k.split = 16;
    moe_cost c = product(&d, &k, 16, 64, 2560, 16);
    expect("split", &c,
           6 + overlap(640 * 2048 / 0.5e6 + 1 + 4 * 2048 / 1e6, memory_us(16, 64, 2560)) +
               8 * 4 * 16 * 64 / 2.7e6);
    /* no part is shorter than 256, none is made where all processors are busy */
    c = product(&d, &k, 16, 64, 511, 16);
    whole = product(&d, &k, 16, 256, 2560, 16);
    k.split = 1;
    CU_ASSERT_EQUAL(c.total_ps, product(&d, &k, 16, 64, 511, 16).total_ps);
    CU_ASSERT_EQUAL(whole.total_ps, product(&d, &k, 16, 256, 2560, 16).total_ps);
}

static void
passes_and_host(void)
{
    moe_device d = device(), graph = moe_device_in_graph(&d);
    moe_gemm_kernel k = kernel();
    moe_cost plain = product(&d, &k, 64, 64, 640, 8);
    k.pass_efficiency = 0.25;
    k.pass_ps = 4000000;
    moe_cost c = product(&d, &k, 64, 64, 640, 8);
    expect("pass", &c, (double)plain.total_ps / 1e6 + 5 + 64 * 640 * 3 / 0.25e6);
    CU_ASSERT_EQUAL(c.kernels, 2);
    k.pass_row_ps = 1000000;
    c = product(&d, &k, 64, 64, 640, 8);
    expect("rows", &c, (double)plain.total_ps / 1e6 + 5 + 64);
    k = kernel();
    k.host_ps = 100000000;
    c = product(&d, &k, 64, 64, 640, 8);
    expect("host", &c, overlap((double)plain.total_ps / 1e6, 100));
    CU_ASSERT_EQUAL(c.waiting_ps, c.total_ps - plain.total_ps);
    moe_cost both = moe_cost_add(c, plain);
    g_autoptr(GString) sum = g_string_new(NULL);
    moe_cost_explain(&both, sum);
    CU_ASSERT_EQUAL(both.waiting_ps, c.waiting_ps);
    moe_cost all = moe_cost_launched(both, 2 * both.total_ps);
    CU_ASSERT_EQUAL(all.waiting_ps, both.waiting_ps + all.total_ps - both.total_ps);
    CU_ASSERT(all.total_ps > all.host_ps && all.host_ps == 2 * both.total_ps);
    MOE_CHECK(strstr(sum->str, " + waiting for the host "), "%s", sum->str);
    c = product(&graph, &k, 64, 64, 640, 8);
    expect("graph", &c, (double)plain.total_ps / 1e6 - 0.5);
    g_autoptr(GString) text = g_string_new(NULL);
    moe_cost_explain(&c, text);
    MOE_CHECK(strstr(text->str, "1 kernels in 2.50 us + overlap("), "%s", text->str);
    c = product(&d, &k, 0, 64, 640, 8);
    CU_ASSERT_EQUAL(c.total_ps, 0);
}

/* More rows or columns never take less, and a better device never more. */
static void
monotone(void)
{
    moe_stream random = moe_stream_new(1, "gemm", 0);
    for (int i = 0; i < 3000; i++) {
        moe_device d = device();
        d.sms = 1 + (int64_t)moe_stream_below(&random, 200);
        d.peak.bf16 = 1e14;
        moe_gemm_kernel k = kernel();
        k.choice = MOE_TILE_BEST;
        k.tile_rows = k.tile_columns = 256;
        k.split = 16;
        k.side = 1 + (double)moe_stream_below(&random, 300);
        k.spread = (double)moe_stream_below(&random, 101) / 100;
        double m = 1 + (double)moe_stream_below(&random, 5000);
        double n = 1 + (double)moe_stream_below(&random, 20000);
        double inner = 1 + (double)moe_stream_below(&random, 20000);
        int64_t base = product(&d, &k, m, n, inner, 16).total_ps;
        int64_t taller = product(&d, &k, m + 1, n, inner, 16).total_ps;
        int64_t wider = product(&d, &k, m, n + 1, inner, 16).total_ps;
        MOE_CHECK(taller + 2 >= base && wider + 2 >= base,
                  "%g x %g x %g: %lld, a row more %lld, a column %lld", m, n, inner,
                  (long long)base, (long long)taller, (long long)wider);
        d.peak.bf16 *= 1.5;
        int64_t faster = product(&d, &k, m, n, inner, 16).total_ps;
        MOE_CHECK(faster <= base + 2, "%g x %g x %g: %lld, faster %lld", m, n, inner,
                  (long long)base, (long long)faster);
    }
    moe_device d = device();
    moe_gemm_kernel k = kernel();
    moe_cost huge = product(&d, &k, 1e12, 1e12, 1e12, 16);
    CU_ASSERT_EQUAL(huge.total_ps, 4611686018427387904);
}

/* The first kernel of the type, or of the nearest, that takes the shape. */
static void
choice(void)
{
    static const char text[] =
        "gemm:\n"
        "  - {name: a, dtype: bf16, efficiency: 80%, stream_efficiency: 80%}\n"
        "  - {name: b, dtype: fp8_block, efficiency: 80%, stream_efficiency: 80%, rows_from: 32,\n"
        "     multiple_n: 64, multiple_k: 128}\n"
        "  - {name: c, dtype: fp8_block, efficiency: 80%, stream_efficiency: 80%, multiple_n: 64}\n"
        "  - {name: d, dtype: fp8, efficiency: 80%, stream_efficiency: 80%}\n";
    static const struct {
        moe_kernel_wanted wanted;
        const char *name;
        bool of_type;
    } cases[] = {
        {{NULL, 16, 16, NULL, 1, 1, 1, 0, 0}, "a", true},
        {{NULL, 8, 8, NULL, 32, 64, 128, 0, 0}, "b", true},
        {{NULL, 8, 8, NULL, 31, 64, 128, 0, 0}, "c", true},
        {{NULL, 8, 8, NULL, 32, 64, 64, 0, 0}, "c", true},
        {{NULL, 8, 8, NULL, 32, 65, 128, 0, 0}, "d", true},
        {{NULL, 8, 8, NULL, 1e300, 64, 128, 0, 0}, "b", true},
        {{"fp8", 8, 8, NULL, 32, 64, 128, 0, 0}, "d", true},   /* of that very name */
        {{"int8", 8, 8, NULL, 32, 64, 128, 0, 0}, "b", false}, /* none: the first as wide */
        {{"w4a8", 4, 8, NULL, 1, 1, 1, 0, 0}, "d", false},
        {{"int4_wo", 4, 16, NULL, 1, 1, 1, 0, 0}, "a", false},
        {{"odd", 16, 16, NULL, 1, 1, 1, 0, 0}, "a", true}, /* no type's name: by widths */
        {{"fp8_block", 8, 8, "the c", 32, 64, 128, 0, 0}, "c", true}, /* by the kernel's name */
        {{"fp8_block", 8, 8, "the b", 1, 1, 1, 0, 0}, "b", true},     /* which took the shape */
        {{NULL, 4, 4, NULL, 32, 64, 128, 0, 0}, NULL, false},
        {{"fp32", 32, 32, NULL, 1, 1, 1, 0, 0}, NULL, false},
    };
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_kernels_set) set = moe_kernels_parse("k.yaml", text, strlen(text), diag);
    CU_ASSERT_FATAL(set != NULL);
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        const moe_gemm_kernel *found = moe_kernels_gemm(moe_kernels_get(set), &cases[i].wanted);
        MOE_CHECK(found ? cases[i].name && !strcmp(found->name, cases[i].name) : !cases[i].name,
                  "case %zu: %s", i, found ? found->name : "none");
        MOE_CHECK(!found ||
                      moe_kernel_is_of_type(found->dtype, &cases[i].wanted) == cases[i].of_type,
                  "case %zu: of the type", i);
    }
}

/* Five products of a tile each are the tiles of one of five times the columns, but each reads its
 * own activations. */
static void
groups(void)
{
    const moe_hardware hw = {.n_devices = 1, .n_places = 1, .devices = NULL, .places = places};
    moe_device d = device();
    moe_gemm_kernel k = kernel();
    moe_gemm_shape shape = {64, 64, 640, 16, 16, &k, 5};
    moe_cost five = moe_cost_product(&hw, &d, &shape);

    expect("groups", &five, 3 + overlap(2 * tile_us, 5 * memory_us(64, 64, 640)));
    CU_ASSERT_EQUAL(five.flops, 5.0 * 2 * 64 * 64 * 640);
    CU_ASSERT_EQUAL(five.kernels, 1);
    shape.groups = 0;
    moe_cost one = moe_cost_product(&hw, &d, &shape);
    expect("one", &one, 3 + overlap(tile_us, memory_us(64, 64, 640)));
}

MOE_TESTS({"waves", waves}, {"groups", groups}, {"loads", loads}, {"split", split},
          {"passes and the host", passes_and_host}, {"monotone", monotone}, {"choice", choice})
