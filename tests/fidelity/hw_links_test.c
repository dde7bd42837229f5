/* Links against what real ones did: expected, got, the difference, the tolerance. "same number":
 * the model's number comes from that very measurement, so that the line shows the form alone; all
 * other lines are predictions. Sources of facts without a file are named with each. */
#include "hw/cost.h"
#include "tests/test.h"

#include <math.h>

#define US 1000000ll

static double
compare(const char *what, const char *unit, double expected, double got, double tolerance)
{
    double off = got / expected - 1;
    printf("\n    %-58s expected %9.4g %-4s got %9.4g, %+6.1f %% (within %.0f %%)", what, expected,
           unit, got, 100 * off, 100 * tolerance);
    MOE_CHECK(fabs(off) <= tolerance, "%s", what);
    return fabs(off);
}

static double
us(moe_cost cost)
{
    return (double)cost.total_ps / 1e6;
}

/* GB/s of a transfer. */
static double
achieved(moe_cost cost)
{
    return cost.bytes / us(cost) / 1e3;
}

static moe_hw_link
plain(double rate, double latency_us)
{
    return (moe_hw_link){.bytes_per_s = rate,
                         .latency_ps = (int64_t)(latency_us * 1e6),
                         .pageable_latency_ps = (int64_t)(latency_us * 1e6),
                         .depth = 1};
}

/* te42kyfo/gpu-benches@1c36d50, cuda-memcpy on a V100: 12.35 GB/s of large copies, 28 us from the
 * 4 MB row. */
static void
pcie3(void)
{
    moe_hw_link link = plain(12.35e9, 28);
    compare("V100, PCIe 3: 4 MB (same number)", "GB/s", 11.41,
            achieved(moe_cost_copy(&link, 4e6, false)), 0.02);
    compare("V100, PCIe 3: 1 MB", "GB/s", 9.25, achieved(moe_cost_copy(&link, 1e6, false)), 0.02);
    compare("V100, PCIe 3: 16 MB", "GB/s", 12.11, achieved(moe_cost_copy(&link, 16e6, false)),
            0.02);
    compare("V100, PCIe 3: 1 kB", "us", 30, us(moe_cost_copy(&link, 1e3, false)), 0.10);
    printf("\n");
}

/* kekzl/imp pulls 1409 (one expert of 864 KiB: 27.3 us) and 1377 (186786 copies, median 0.885 MB:
 * 51 GB/s) on an RTX 5090, nvbandwidth's 55.6 GB/s. */
static void
pcie5(void)
{
    moe_hw_link link = plain(55.6e9, 11.4);
    link.queued_ps = 14 * US / 10;
    compare("RTX 5090, PCIe 5: one expert of 864 KiB (same number)", "GB/s", 32.4,
            achieved(moe_cost_copy(&link, 864 * 1024, false)), 0.02);
    compare("RTX 5090, PCIe 5: 186786 copies of 0.885 MB (same number)", "GB/s", 51,
            achieved(moe_cost_copies(&link, 0.885e6, 186786, false)), 0.02);
    double alone = achieved(moe_cost_copy(&link, 0.885e6, false));
    printf("\n    without a number for copies in a queue it would be %.1f GB/s, %+.0f %%\n", alone,
           100 * (alone / 51 - 1));
}

/* efeslab/fiddler issue 7: an fp16 expert of Mixtral from pinned memory over PCIe 4 in 13.30 ms;
 * nvbandwidth's 24.8 GB/s of an A100 on PCIe 4. */
static void
pcie4(void)
{
    moe_hw_link link = plain(24.8e9, 11.4);
    double bytes = 3 * 4096.0 * 14336 * 2;
    compare("RTX 4090, PCIe 4: an expert, by an A100's rate", "ms", 13.30,
            us(moe_cost_copy(&link, bytes, false)) / 1e3, 0.10);
    /* The forum's A100: 24.8 alone; with both directions busy 11 in and 24 out: 35 in all. */
    compare("A100, PCIe 4: both directions, their sum (same number)", "GB/s", 35,
            moe_wire_rate(24.8, 35 / (2 * 24.8)), 0.01);
    printf("\n");
}

/* An H100's own table (profiler/recorded/nvidia-h100/table.csv): the latency from the row of 64
 * KiB, the rate from that of the largest; the rows between are foretold. */
static void
pcie5_h100(void)
{
    const char *path = MOE_SOURCE_DIR "/profiler/recorded/nvidia-h100/table.csv";
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        moe_test_skip("the recorded table is absent");
        return;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const char *const directions[] = {"h2d", "d2h"};
    for (size_t d = 0; d < MOE_COUNT(directions); d++) {
        double bytes[64], times[64], sum = 0;
        size_t n = 0;
        for (size_t i = 0; lines[i] && n < MOE_COUNT(bytes); i++) {
            g_auto(GStrv) f = g_strsplit(lines[i], ",", -1);
            if (g_strv_length(f) < 31 || strcmp(f[0], "copy") || strcmp(f[24], directions[d]) ||
                strcmp(f[25], "pinned") || strcmp(f[27], "0"))
                continue;
            bytes[n] = g_ascii_strtod(f[26], NULL);
            times[n++] = g_ascii_strtod(f[30], NULL);
        }
        CU_ASSERT_FATAL(n > 4);
        double rate = bytes[n - 1] / times[n - 1] * 1e6;
        moe_hw_link link = plain(rate, times[0] - bytes[0] / rate * 1e6);
        for (size_t i = 1; i + 1 < n; i++) {
            g_autofree char *what =
                g_strdup_printf("H100, PCIe 5: %s, %.0f KiB", directions[d], bytes[i] / 1024);
            sum += compare(what, "us", times[i], us(moe_cost_copy(&link, bytes[i], false)), 0.16);
        }
        printf("\n    mean difference %.1f %% over %zu rows (within 3 %%)",
               100 * sum / (double)(n - 2), n - 2);
        CU_ASSERT(sum / (double)(n - 2) < 0.03);
    }
    printf("\n");
}

/* danveloper/flash-moe@3601d41: four experts of 3.9 MB, cold: 2.84 ms by four threads (5.5
 * GB/s), 4.5 GB/s one after another, 0.12 GB/s by page faults of a mapping (16 KiB pages). The
 * latency is NVMe's usual 100 us; rate and channel come from the first two. */
static void
apple_ssd(void)
{
    moe_hw_link link = plain(5.7e9, 100);
    double expert = 3.9e6;
    link.channel_bytes_per_s = expert / (expert / 4.5e9 - 100e-6);
    link.request_bytes = 3900000;
    link.depth = 4;
    compare("M3 Max: 4 experts of 3.9 MB, 4 at a time (same number)", "ms", 2.84,
            us(moe_cost_copy(&link, 4 * expert, false)) / 1e3, 0.02);
    link.depth = 1;
    compare("M3 Max: one after another (same number)", "GB/s", 4.5,
            achieved(moe_cost_copy(&link, 4 * expert, false)), 0.02);
    link.request_bytes = 16384;
    compare("M3 Max: by page faults of a mapping", "GB/s", 0.12,
            achieved(moe_cost_copy(&link, 4 * expert, false)), 0.40);
    printf("\n");
}

/* stas00/ml-engineering@744d01e, storage: fio on a 980 PRO, 4 KiB by 16 jobs: 257 to 707 thousand
 * reads per second at 4.0 to 1.4 ms each: 1024 in flight, as Little's law has it. */
static void
nvme_queue(void)
{
    static const double iops[] = {707062, 257000}, ms[] = {1.4, 4.0};
    for (size_t i = 0; i < MOE_COUNT(iops); i++) {
        moe_hw_link link = plain(7e9, 80);
        link.request_bytes = 4096;
        link.depth = 1024;
        link.iops = iops[i];
        moe_cost many = moe_cost_copy(&link, 4096e6, false);
        double rate = 4096e6 / us(many) * 1e6;
        g_autofree char *what =
            g_strdup_printf("980 PRO: time in the queue at %.0f reads/s", iops[i]);
        compare(what, "ms", ms[i], 1024 * 4096 / rate * 1e3, 0.05);
        compare("980 PRO: 4 KiB reads (same number)", "GiB/s", i ? 1.0 : 2.76, rate / 1073741824,
                0.03);
    }
    printf("\n");
}

/* Vendors' and secondary numbers of phones and boards: reads per second against bytes per second.
 */
static void
phones(void)
{
    static const struct {
        const char *name;
        double iops, rate;
    } cases[] = {{"UFS 4.0: 4 KiB, least", 25e3, 100}, {"UFS 4.0: 4 KiB, most", 60e3, 250}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_hw_link link = plain(4.2e9, 150);
        link.request_bytes = 4096;
        link.depth = 32;
        link.iops = cases[i].iops;
        compare(cases[i].name, "MB/s", cases[i].rate,
                1e3 * achieved(moe_cost_copy(&link, 4096e5, false)), 0.03);
    }
    /* eMMC 5.1: 4000 reads of 4 KiB per second one by one are 237 us each, of 300 MB/s. */
    moe_hw_link emmc = plain(300e6, 236.3);
    emmc.request_bytes = 4096;
    compare("eMMC: 4 KiB one by one (same number)", "k/s", 4,
            4096e3 / us(moe_cost_copy(&emmc, 4096e3, false)) / 4.096, 0.02);
    emmc.request_bytes = 0;
    compare("eMMC: 16 MiB as one, of 200 to 400 MB/s", "MB/s", 300,
            1e3 * achieved(moe_cost_copy(&emmc, 16 << 20, false)), 0.01);
    printf("\n");
}

/* Page faults and cache lines are requests, too: arXiv 2405.14209 and nextplatform on CXL. A core
 * has 12 lines in flight (a usual number of fill buffers), 32 cores fill the link. */
static void
lines(void)
{
    moe_hw_link cxl = plain(32e9, 0.25);
    cxl.request_bytes = 64;
    cxl.depth = 12;
    double one = achieved(moe_cost_copy(&cxl, 64e6, false));
    cxl.depth = 12 * 32;
    double all = achieved(moe_cost_copy(&cxl, 64e6, false));
    compare("CXL at 250 ns: 12 lines in flight, Little's law", "GB/s", 12 * 64 / 252.0, one, 0.01);
    compare("CXL at 250 ns: 32 cores, the link", "GB/s", 32, all, 0.01);
    printf("\n");
}

/* Micron's STREAM of whole sockets (ctimes 2022-11-23) against their channels' peak: what a
 * device's stream_efficiency is for. */
static void
channels(void)
{
    static const struct {
        const char *name;
        int channels;
        double channel, gbps, efficiency;
    } cases[] = {{"EPYC 9004, 12 channels of DDR5-4800, 82 % (same number)", 12, 38.4, 378, 0.82},
                 {"EPYC 7003, 8 channels of DDR4-3200, 92 % (same number)", 8, 25.6, 189, 0.92}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autofree char *text = g_strdup_printf(
            "places: [{name: dram, capacity: 1TB, channels: %d, channel: %.1fGB/s}]\n"
            "devices: [{name: cpu, kind: cpu, place: dram, peak: {fp32: 1TFLOPS}, "
            "gemm_efficiency: 50%%, stream_efficiency: %.2f}]\nlinks: []\n",
            cases[i].channels, cases[i].channel, cases[i].efficiency);
        g_autoptr(moe_hardware_set) set =
            moe_hardware_parse("channels.yaml", text, strlen(text), NULL, diag);
        CU_ASSERT_PTR_NOT_NULL_FATAL(set);
        const moe_hardware *hw = moe_hardware_get(set);
        compare(cases[i].name, "GB/s", cases[i].gbps,
                achieved(moe_cost_stream(hw, hw->devices, 1e12)), 0.01);
    }
    printf("\n");
}

/* arXiv 2405.07518 section VI: a 7B model of 13.48 GB; the DGX side is the authors' model. */
static void
model_switches(void)
{
    static const struct {
        const char *name;
        double rate, ms;
    } cases[] = {{"SN40L: DDR to HBM, over 1 TB/s", 1e12, 13},
                 {"DGX A100 at 32 GB/s (their model)", 32e9, 420},
                 {"DGX H100 at 64 GB/s (their model)", 64e9, 210}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_hw_link link = plain(cases[i].rate, 5);
        compare(cases[i].name, "ms", cases[i].ms, us(moe_cost_copy(&link, 13.48e9, false)) / 1e3,
                0.05);
    }
    printf("\n");
}

MOE_TESTS({"V100, PCIe 3", pcie3}, {"RTX 4090 and A100, PCIe 4", pcie4},
          {"RTX 5090, PCIe 5", pcie5}, {"H100, PCIe 5", pcie5_h100},
          {"an Apple SSD's experts", apple_ssd}, {"an NVMe drive's queue", nvme_queue},
          {"phones and boards", phones}, {"cache lines over CXL", lines},
          {"DDR by channels", channels}, {"switching models", model_switches})
