/* Closed forms of the cost functions, and what must hold for any numbers. */
#include "hw/cost_attention.h"
#include "sim/base/data.h"
#include "sim/base/random.h"
#include "sim/base/units.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

static const moe_place places[] = {{"hbm", 1LL << 40, 0, 1e12}, {"dram", 1LL << 40, 0, 1e11}};

static moe_device
device(void)
{
    return (moe_device){
        .name = "gpu",
        .peak = {.fp32 = 1e12, .bf16 = 1e14, .int8 = 2e14},
        .gemm.efficiency = 0.8,
        .experts.efficiency = 0.5,
        .attention.efficiency = 0.8,
        .gemm.stream_efficiency = 0.5,
        .experts.stream_efficiency = 0.5,
        .attention.stream_efficiency = 0.5,
        .gemm.half_rows = 16,
        .experts.half_rows = 16,
        .experts.tile = 1,
        .launch_ps = 1000000,
        .experts.expert_ps = 10000,
    };
}

static moe_hardware
machine(const moe_device *d)
{
    return (moe_hardware){.n_devices = 1, .n_places = 2, .devices = d, .places = places};
}

static const moe_expert_shape expert = {.params = 1e6,
                                        .flops = 2e6,
                                        .hidden = 1000,
                                        .width = 500,
                                        .weight_bits = 16,
                                        .activation_bits = 16};

static int64_t
ps(double seconds)
{
    return (int64_t)ceil(seconds * 1e12 - 1e-6);
}

/* Within a picosecond: the product of rounded terms may differ in the last one. */
static bool
near(int64_t a, int64_t b)
{
    return a - b <= 1 && b - a <= 1;
}

/* Passes are multiplied, rows and fixed costs added; the host is joined outside of graphs only. */
static void
operations(void)
{
    moe_device d = device(), in_graph = moe_device_in_graph(&d);
    moe_hardware hw = machine(&d);
    moe_operation_kernel kernel = {
        .name = "norm", .passes = 3, .fixed_ps = 5000000, .row_ps = 1000, .host_ps = 40000000};
    moe_cost once = moe_cost_pass(&hw, &d, 1e7);
    int64_t moving = 3 * (once.total_ps - once.launch_ps);
    int64_t busy = 5000000 + 64 * 1000 + moving;
    moe_cost c = moe_cost_operation(&hw, &in_graph, &kernel, 1e7, 64);

    MOE_CHECK(llabs(c.total_ps - busy) <= 3, "%lld, not %lld", (long long)c.total_ps,
              (long long)busy);
    c = moe_cost_operation(&hw, &d, &kernel, 1e7, 64);
    double both = moe_overlap((double)busy, 40000000);
    MOE_CHECK(fabs((double)c.total_ps - both) <= 8, "%lld, not %.0f", (long long)c.total_ps, both);
    MOE_CHECK(c.total_ps > 40000000 && c.total_ps > busy, "%lld", (long long)c.total_ps);
}

static void
closed_forms(void)
{
    moe_device d = device();
    moe_hardware hw = machine(&d);

    /* one row: bound by 1e6 weights of 2 bytes and 2000 activations at 0.5 TB/s */
    moe_cost c = moe_cost_gemm(&hw, &d, 1, 1000, 1000, 16, 16, 3);
    CU_ASSERT_EQUAL(c.launch_ps, 3000000);
    CU_ASSERT_EQUAL(c.bytes, 2e6 + 4000);
    CU_ASSERT_EQUAL(c.bytes_per_s, 0.5e12);
    MOE_CHECK(near(c.total_ps, 3000000 + ps(2.004e6 / 0.5e12)), "%lld", (long long)c.total_ps);
    CU_ASSERT_EQUAL(c.kernels, 3);

    /* half_rows rows run at half of 80 % of peak */
    c = moe_cost_gemm(&hw, &d, 16, 1000, 1000, 16, 16, 1);
    CU_ASSERT_EQUAL(c.flops, 2 * 16e6);
    MOE_CHECK(fabs(c.flops_per_s / (0.4 * 1e14) - 1) < 1e-12, "%g", c.flops_per_s);

    /* many rows: bound by the rate */
    c = moe_cost_gemm(&hw, &d, 1e6, 1000, 1000, 16, 16, 0);
    MOE_CHECK(near(c.total_ps, ps(2e12 / (0.8e14 * 1e6 / (1e6 + 16)))), "%lld",
              (long long)c.total_ps);

    /* three experts, one token each */
    c = moe_cost_experts(&hw, &d, &expert, NULL, 3);
    CU_ASSERT_EQUAL(c.launch_ps, c.kernels * d.launch_ps + 3 * d.experts.expert_ps);
    CU_ASSERT_EQUAL(c.bytes, 3 * 2e6 + 3 * 2 * 1500 * 2);
    CU_ASSERT_EQUAL(c.flops, 6e6);
    MOE_CHECK(near(c.total_ps, c.launch_ps + ps(c.bytes / 0.5e12)), "%lld", (long long)c.total_ps);
    CU_ASSERT_EQUAL(moe_cost_experts(&hw, &d, &expert, NULL, 0).total_ps, 0);
}

/* The mean rate is that of each expert on its own, added up. */
static void
experts_add_up(void)
{
    moe_device d = device();
    moe_hardware hw = machine(&d);
    static const uint32_t tokens[] = {5, 1000, 70, 100000};
    double seconds = 0;

    for (size_t i = 0; i < MOE_COUNT(tokens); i++)
        seconds += expert.flops * tokens[i] / (1e14 * 0.5 * tokens[i] / (tokens[i] + 16.0));
    moe_cost c = moe_cost_experts(&hw, &d, &expert, tokens, MOE_COUNT(tokens));
    MOE_CHECK(near(c.total_ps - c.launch_ps, ps(seconds)), "%lld, %lld",
              (long long)(c.total_ps - c.launch_ps), (long long)ps(seconds));
}

static void
low_bits_are_decoded(void)
{
    moe_device d = device();
    moe_hardware hw = machine(&d);
    moe_expert_shape four = expert;

    four.weight_bits = 4.25;
    moe_cost free_of_charge = moe_cost_experts(&hw, &d, &four, NULL, 2);
    CU_ASSERT_EQUAL(free_of_charge.decode_bytes, 0);
    d.dequant_bytes_per_s = 1e12;
    moe_cost c = moe_cost_experts(&hw, &d, &four, NULL, 2);
    CU_ASSERT_EQUAL(c.decode_bytes, 4e6);
    MOE_CHECK(near(c.total_ps, free_of_charge.total_ps + 4000000), "%lld", (long long)c.total_ps);
    four.weight_bits = 8;
    CU_ASSERT_EQUAL(moe_cost_experts(&hw, &d, &four, NULL, 2).decode_bytes, 0);
}

static void
peaks_fall_back(void)
{
    moe_device d = device();

    CU_ASSERT_EQUAL(moe_peak_flops(&d, 32), 1e12);
    CU_ASSERT_EQUAL(moe_peak_flops(&d, 16), 1e14);
    CU_ASSERT_EQUAL(moe_peak_flops(&d, 8), 2e14); /* no fp8: int8 */
    d.peak.fp8 = 3e14;
    CU_ASSERT_EQUAL(moe_peak_flops(&d, 8), 3e14);
    d.peak.fp8 = d.peak.int8 = 0;
    CU_ASSERT_EQUAL(moe_peak_flops(&d, 4), 1e14);
    d.peak.bf16 = 0;
    CU_ASSERT_EQUAL(moe_peak_flops(&d, 8), 1e12);
    d = device();
    d.peak.fp32 = 0;
    CU_ASSERT_EQUAL(moe_peak_flops(&d, 32), 1e14);
}

static void
copies(void)
{
    moe_hw_link link = {.bytes_per_s = 25e9, .pageable_bytes_per_s = 10e9, .latency_ps = 7};

    CU_ASSERT_EQUAL(moe_cost_copy(&link, 25e9, false).total_ps, MOE_PS_PER_S + 7);
    link.pageable_latency_ps = 9;
    CU_ASSERT_EQUAL(moe_cost_copy(&link, 25e9, true).total_ps, 5 * MOE_PS_PER_S / 2 + 9);
    link.pageable_latency_ps = 7;
    CU_ASSERT_EQUAL(moe_cost_copy(&link, 0, false).total_ps, 7);
    link.pageable_bytes_per_s = 0;
    CU_ASSERT_EQUAL(moe_cost_copy(&link, 25e9, true).total_ps, MOE_PS_PER_S + 7);
    link.bytes_per_s = 25e9 / 2;
    CU_ASSERT_EQUAL(moe_cost_copy(&link, 25e9, false).total_ps, 2 * MOE_PS_PER_S + 7);
    link.bytes_per_s = 1e-3; /* too long for the clock: the longest time there is */
    CU_ASSERT(moe_cost_copy(&link, 25e9, false).total_ps > 0);
    link.bytes_per_s = 3e12; /* a third of a picosecond counts as one */
    CU_ASSERT_EQUAL(moe_cost_copy(&link, 1, false).total_ps, 8);
}

/* Twice the bandwidth halves a body that is bound by it. */
static void
bandwidth_halves(void)
{
    moe_device d = device();
    moe_hardware hw = machine(&d);
    moe_place fast[] = {places[0], places[1]};
    moe_hardware twice = hw;

    fast[0].read_bytes_per_s *= 2;
    twice.places = fast;
    moe_cost a = moe_cost_experts(&hw, &d, &expert, NULL, 4);
    moe_cost b = moe_cost_experts(&twice, &d, &expert, NULL, 4);
    MOE_CHECK(near(a.total_ps - a.launch_ps, 2 * (b.total_ps - b.launch_ps)), "%lld, %lld",
              (long long)a.total_ps, (long long)b.total_ps);
    moe_attention_work work = {
        .queries = 1, .kv_bytes = 1e9, .flops = 1e6, .rows = 1, .activation_bits = 16};
    a = moe_cost_attention(&hw, &d, &work);
    b = moe_cost_attention(&twice, &d, &work);
    CU_ASSERT(near(a.total_ps - a.launch_ps, 2 * (b.total_ps - b.launch_ps)));
}

/* Decode of latent attention: 128 heads share each cached element, so it is not bound by the rate
 * of a single row. */
static void
shared_keys_are_rows(void)
{
    moe_device d = device();
    moe_hardware hw = machine(&d);
    double elements = 576.0 * 4096, flops = 2.0 * 128 * 1088 * 4096;
    moe_attention_work work = {
        .queries = 1, .kv_bytes = 2 * elements, .flops = flops, .rows = 1, .activation_bits = 16};
    moe_cost c = moe_cost_attention(&hw, &d, &work);
    double rows = flops / (2 * elements);

    MOE_CHECK(fabs(c.flops_per_s / (0.8e14 * rows / (rows + 16)) - 1) < 1e-12, "%g", c.flops_per_s);
    CU_ASSERT_EQUAL(moe_cost_attention(&hw, &d, &(moe_attention_work){.rows = 1}).total_ps, 0);
}

/* Each kind of kernel has its own numbers, and none of another's. */
static void
kinds_of_kernels(void)
{
    static const uint32_t tokens[] = {1, 16, 17};
    moe_attention_work decode = {
        .queries = 4, .kv_bytes = 1e9, .flops = 1e6, .rows = 1, .heads = 32, .activation_bits = 16};
    moe_attention_work prompt = {.queries = 512,
                                 .kv_bytes = 1e3,
                                 .flops = 1e12,
                                 .rows = 512,
                                 .keys = 256,
                                 .heads = 8,
                                 .activation_bits = 16};
    moe_device d = device();
    moe_hardware hw = machine(&d);

    int64_t gemm = moe_cost_gemm(&hw, &d, 4, 1000, 1000, 16, 16, 2).total_ps;
    int64_t experts = moe_cost_experts(&hw, &d, &expert, tokens, 3).total_ps;
    int64_t decoded = moe_cost_attention(&hw, &d, &decode).total_ps;
    d.gemm.fixed_ps = 100;
    d.experts.fixed_ps = 1000;
    d.attention.fixed_ps = 10000;
    d.attention.head_ps = 7;
    CU_ASSERT_EQUAL(moe_cost_gemm(&hw, &d, 4, 1000, 1000, 16, 16, 2).total_ps, gemm + 100);
    CU_ASSERT_EQUAL(moe_cost_experts(&hw, &d, &expert, tokens, 3).total_ps, experts + 1000);
    CU_ASSERT_EQUAL(moe_cost_attention(&hw, &d, &decode).total_ps, decoded + 10000 + 32 * 7);

    d.experts.stream_efficiency = 0.25;
    d.attention.stream_efficiency = 0.125;
    CU_ASSERT_EQUAL(moe_cost_gemm(&hw, &d, 4, 1000, 1000, 16, 16, 2).bytes_per_s, 0.5e12);
    CU_ASSERT_EQUAL(moe_cost_experts(&hw, &d, &expert, tokens, 3).bytes_per_s, 0.25e12);
    CU_ASSERT_EQUAL(moe_cost_attention(&hw, &d, &decode).bytes_per_s, 0.125e12);
    CU_ASSERT_EQUAL(moe_cost_stream(&hw, &d, 5e11).total_ps, MOE_PS_PER_S + d.launch_ps);

    /* 34 tokens in blocks of 16: 16, 16 and 32 */
    d.experts.tile = 16;
    d.experts.half_rows = 4;
    double rate = 0.5e14 * 34 / (64 + 3 * 4);
    MOE_CHECK(moe_cost_experts(&hw, &d, &expert, tokens, 3).flops_per_s == rate, "%g",
              moe_cost_experts(&hw, &d, &expert, tokens, 3).flops_per_s);
    rate = 0.5e14 * 3 / (48 + 3 * 4);
    CU_ASSERT_EQUAL(moe_cost_experts(&hw, &d, &expert, NULL, 3).flops_per_s, rate);

    /* elementwise: of 0.22 us and, with a third of the processors at work, half of 1.44 us */
    moe_device gpu = d;
    gpu.kind = MOE_DEVICE_GPU;
    gpu.sms = 100;
    gpu.launch_ps = 1000000;
    gpu.l2_bytes = 0;
    gpu.gemm.stream_efficiency = 0.5;
    moe_cost three = moe_cost_elementwise(&hw, &gpu, 3 * 33 * 2048, 3);
    MOE_CHECK(near(three.total_ps, 3 * (1940000 + ps(33 * 2048 / 0.5e12))), "%lld",
              (long long)three.total_ps);
    CU_ASSERT_EQUAL(three.kernels, 3);
    CU_ASSERT_EQUAL(three.bytes, 3 * 33 * 2048);
    gpu.launch_ps = 0; /* where launches take nothing, fixed costs are not told */
    CU_ASSERT(near(moe_cost_elementwise(&hw, &gpu, 4e6, 2).total_ps, 2 * ps(2e6 / 0.5e12)));

    /* passes over 4 tokens' activations: 1e6 weights of 1000 inputs, 1000 outputs, 2 bytes each */
    moe_expert_shape apart = expert;
    int64_t fused = moe_cost_experts(&hw, &d, &apart, tokens, 3).total_ps;
    d.experts.pass_efficiency = 0.5;
    CU_ASSERT_EQUAL(moe_cost_experts(&hw, &d, &apart, tokens, 3).pass_bytes,
                    34 * 2000 * 2 + 34 * 1000 * 2);
    MOE_CHECK(near(moe_cost_experts(&hw, &d, &apart, tokens, 3).total_ps - fused,
                   ps(34 * 2000 * 2 / 0.5e12 + 34 * 1000 * 2 / 0.25e12)),
              "%lld", (long long)fused);
    apart.rows = 340;
    CU_ASSERT_EQUAL(moe_cost_experts(&hw, &d, &apart, tokens, 3).pass_bytes,
                    340 * 2000 * 2 + 34 * 1000 * 2);
    d.experts.pass_efficiency = 0;
    decode.new_bytes = 1e6;
    decoded = moe_cost_attention(&hw, &d, &decode).total_ps;
    d.attention.pass_efficiency = 0.25; /* 1 MB read and written at 0.25 TB/s */
    MOE_CHECK(near(moe_cost_attention(&hw, &d, &decode).total_ps - decoded, ps(8e-6)), "%lld",
              (long long)decoded);
    d.attention.pass_efficiency = 0;

    /* a prompt's rate follows its keys once the device says so; a decode's does not */
    d.attention.efficiency = 0.6;
    rate = 0.6e14 * (1e9 / (1e9 + 16)); /* FLOPs per byte are rows */
    MOE_CHECK(fabs(moe_cost_attention(&hw, &d, &prompt).flops_per_s / rate - 1) < 1e-12, "%g",
              moe_cost_attention(&hw, &d, &prompt).flops_per_s);
    d.attention.half_keys = 768;
    CU_ASSERT_EQUAL(moe_cost_attention(&hw, &d, &prompt).flops_per_s, 0.6e14 * 0.25);
    CU_ASSERT_EQUAL(moe_cost_attention(&hw, &d, &decode).flops_per_s, 0.6e14 / 17);

    d.graph_launch_ps = 300;
    moe_device graph = moe_device_in_graph(&d);
    CU_ASSERT_EQUAL(moe_cost_gemm(&hw, &d, 4, 1000, 1000, 16, 16, 2).total_ps -
                        moe_cost_gemm(&hw, &graph, 4, 1000, 1000, 16, 16, 2).total_ps,
                    2 * (d.launch_ps - 300));
    CU_ASSERT_EQUAL(moe_wire_rate(25e9, 0.5), 25e9);
    CU_ASSERT_EQUAL(moe_wire_rate(25e9, 1), 50e9);
}

static void
sums(void)
{
    moe_device d = device();
    moe_hardware hw = machine(&d);
    moe_cost a = moe_cost_gemm(&hw, &d, 1, 1000, 1000, 16, 16, 1);
    moe_cost b = moe_cost_experts(&hw, &d, &expert, NULL, 3);
    moe_cost c = moe_cost_add(a, b);
    moe_cost none = moe_cost_add(a, (moe_cost){0});

    CU_ASSERT_EQUAL(c.total_ps, a.total_ps + b.total_ps);
    CU_ASSERT_EQUAL(c.launch_ps, a.launch_ps + b.launch_ps);
    CU_ASSERT_EQUAL(c.bytes, a.bytes + b.bytes);
    CU_ASSERT_EQUAL(c.kernels, a.kernels + b.kernels);
    MOE_CHECK(fabs(c.flops / c.flops_per_s - a.flops / a.flops_per_s - b.flops / b.flops_per_s) <
                  1e-15,
              "%g", c.flops_per_s);
    CU_ASSERT_EQUAL(none.total_ps, a.total_ps);
    CU_ASSERT_DOUBLE_EQUAL(none.bytes_per_s, a.bytes_per_s, 1);
}

static void
explanations(void)
{
    moe_device d = device();
    moe_hardware hw = machine(&d);
    moe_hw_link link = {.bytes_per_s = 25e9, .latency_ps = 10000000};
    g_autoptr(GString) text = g_string_new(NULL);
    moe_cost c = moe_cost_gemm(&hw, &d, 1, 1000, 1000, 16, 16, 3);

    moe_cost_explain(&c, text);
    MOE_CHECK(!strcmp(text->str,
                      "3 kernels in 3.00 us + max(2 MB / 500 GB/s, 2 MFLOP / 4.71 TFLOP/s) "
                      "= 7.01 us"),
              "%s", text->str);
    g_string_truncate(text, 0);
    c = moe_cost_copy(&link, 25e6, false);
    moe_cost_explain(&c, text);
    MOE_CHECK(!strcmp(text->str, "10.0 us + 25 MB / 25 GB/s = 1.01 ms"), "%s", text->str);
    g_string_truncate(text, 0);
    d.dequant_bytes_per_s = 1e12;
    moe_cost low = moe_cost_gemm(&hw, &d, 1, 1000, 1000, 4, 16, 3);
    c = moe_cost_add(low, low);
    moe_cost_explain(&c, text);
    MOE_CHECK(strstr(text->str, "stages: 6 kernels") && strstr(text->str, "decode 4 MB / 1 TB/s"),
              "%s", text->str);
}

/* A layer of 64 experts, some of them with tokens. */
typedef struct load {
    uint32_t tokens[65], count;
} load;

static load
draw_load(moe_stream *random)
{
    load l = {.count = 1 + (uint32_t)moe_stream_below(random, 63)};

    for (uint32_t e = 0; e < 65; e++)
        l.tokens[e] = 1 + (uint32_t)moe_stream_below(random, 1u << (e % 12));
    return l;
}

/* By the kernels that the device has for this type: more experts, more tokens, more rows. */
static void
check_more(const char *what, const moe_hardware *hw, const moe_device *d, moe_expert_shape shape,
           moe_stream *random)
{
    load l = draw_load(random);
    double m = (double)l.tokens[0];
    int64_t base = moe_cost_experts(hw, d, &shape, l.tokens, l.count).total_ps;
    int64_t more = moe_cost_experts(hw, d, &shape, l.tokens, l.count + 1).total_ps;

    MOE_CHECK(more >= base, "%s %s: %u experts", what, d->name, l.count);
    l.tokens[moe_stream_below(random, l.count)]++;
    more = moe_cost_experts(hw, d, &shape, l.tokens, l.count).total_ps;
    MOE_CHECK(more >= base, "%s %s: a token", what, d->name);
    MOE_CHECK(moe_cost_gemm(hw, d, m + 1, 640, 320, 16, 16, 1).total_ps >=
                  moe_cost_gemm(hw, d, m, 640, 320, 16, 16, 1).total_ps,
              "%s %s: gemm", what, d->name);
}

/* The device's own kernels are the same for every type, so that more bits are never faster, either;
 * a library's differ (vLLM 0.24's for FP8 is slower than its for BF16). */
static void
check_bits(const char *what, const moe_hardware *hw, const moe_device *own, moe_stream *random)
{
    load l = draw_load(random);
    moe_expert_shape wide = expert;

    wide.weight_bits = 32;
    MOE_CHECK(moe_cost_experts(hw, own, &wide, l.tokens, l.count).total_ps >=
                  moe_cost_experts(hw, own, &expert, l.tokens, l.count).total_ps,
              "%s %s: bits", what, own->name);
}

/* On every device of every preset, by its own numbers and by its library's kernels of a type: more
 * tokens are never faster, nor are more experts, nor, by its own, more bits. A library's tile is
 * held, which the software chooses by the mean: another one may be faster. */
static void
never_faster_with_more(void)
{
    static const double types[] = {16, 8};
    g_auto(GStrv) names = moe_data_presets("hw/presets");
    moe_stream random = moe_stream_new(1, "cost", 0);
    size_t libraries = 0;

    for (size_t i = 0; names && names[i]; i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(moe_hardware_set) set =
            moe_hardware_load(names[i], NULL, (moe_loc){0}, diag, NULL);
        if (!set)
            continue;
        const moe_hardware *hw = moe_hardware_get(set);
        for (int n = 0; n < hw->n_devices; n++) {
            moe_device own = hw->devices[n];
            own.kernels = NULL;
            for (int round = 0; round < 200; round++) {
                check_more(names[i], hw, &own, expert, &random);
                check_bits(names[i], hw, &own, &random);
            }
            libraries += hw->devices[n].kernels != NULL;
            for (int round = 0; round < 200 && hw->devices[n].kernels; round++) {
                moe_expert_shape shape = expert;
                shape.weight_bits = shape.activation_bits = types[round % 2];
                shape.experts = 64;
                shape.mean_rows = 1 + (double)(round % 200);
                check_more(names[i], hw, &hw->devices[n], shape, &random);
            }
        }
    }
    CU_ASSERT(libraries > 0);
}

MOE_TESTS({"closed forms", closed_forms}, {"operations", operations},
          {"experts add up", experts_add_up}, {"low bits are decoded", low_bits_are_decoded},
          {"peaks fall back", peaks_fall_back}, {"copies", copies},
          {"bandwidth halves", bandwidth_halves}, {"shared keys are rows", shared_keys_are_rows},
          {"each kind of kernel its own numbers", kinds_of_kernels}, {"sums", sums},
          {"explanations", explanations}, {"never faster with more", never_faster_with_more})
