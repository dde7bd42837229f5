/* Measuring a machine, as far as it is arithmetic: fits, presets, sizes, control groups. What it
 * measures is tested by tests/cli/probe.sh. */
#include "hw/hardware.h"
#include "profiler/measure.h"
#include "profiler/measured.h"
#include "profiler/memory.h"
#include "tests/test.h"

#include <glib/gstdio.h>
#include <math.h>

static moe_spread
exact(double value)
{
    return (moe_spread){value, value, value, 3};
}

static bool
near(double a, double b, double share)
{
    return fabs(a / b - 1) <= share;
}

static void
spreads(void)
{
    double four[] = {4, 1, 3, 2}, three[] = {9, 5, 7};
    moe_spread s = moe_spread_of(four, 4);
    CU_ASSERT(s.median == 2.5 && s.low == 1 && s.high == 4 && s.n == 4);
    CU_ASSERT_EQUAL(moe_spread_width(&s), 1.2);
    s = moe_spread_of(three, 3);
    CU_ASSERT(s.median == 7 && s.low == 5 && s.high == 9);

    static const struct {
        uint32_t most, n, last_but_one;
    } cases[] = {{1, 1, 0}, {2, 2, 1}, {3, 3, 2}, {8, 4, 4}, {96, 8, 64}, {100000, 12, 1024}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        uint32_t steps[MOE_MEASURE_STEPS], n = moe_measure_steps(cases[i].most, steps);
        MOE_CHECK(n == cases[i].n && steps[n - 1] == cases[i].most &&
                      (n < 2 || steps[n - 2] == cases[i].last_but_one),
                  "%u: %u steps", cases[i].most, n);
    }
}

static void
sizes(void)
{
    static const struct {
        uint64_t available, file;
    } cases[] = {
        {0, 0},
        {(256ull << 20) - 1, 0},
        {256ull << 20, 64ull << 20},
        {1ull << 30, 256ull << 20},
        {4ull << 30, 1ull << 30},
        {UINT64_MAX, 1ull << 30},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++)
        MOE_CHECK(moe_measure_disk_size(cases[i].available) == cases[i].file, "%zu", i);
}

/* ---- fits ---- */

/* Points of a drive whose numbers are known. */
static moe_measured_disk
drive(double rate, double latency, double channel, double iops)
{
    moe_measured_disk d = {
        .capacity = 1ull << 40, .available = 1ull << 39, .file = 1ull << 30, .direct = true};
    d.write = exact(500e6);
    for (uint32_t r = 0; r < MOE_DISK_REQUESTS; r++)
        for (uint32_t step = 0; step < MOE_DISK_DEPTHS; step++) {
            double bytes = (double)(4096ull << 2 * r), depth = 1u << step;
            double got = fmin(rate, depth * bytes / (latency + bytes / channel));
            d.points[d.n++] =
                (moe_disk_point){4096ull << 2 * r, 1u << step, exact(fmin(got, iops * bytes))};
        }
    return d;
}

static void
drives(void)
{
    static const struct {
        const char *name;
        double rate, latency, channel, iops;
    } cases[] = {
        {"NVMe", 6.7e9, 80e-6, 2.5e9, 300e3},
        {"UFS", 3.5e9, 150e-6, 1.2e9, 60e3},
        {"SATA", 550e6, 120e-6, 550e6, 90e3},
        {"eMMC", 300e6, 250e-6, 200e6, 4000},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_measured_disk d =
            drive(cases[i].rate, cases[i].latency, cases[i].channel, cases[i].iops);
        CU_ASSERT_FATAL(moe_measured_disk_fit(&d));
        MOE_CHECK(near(d.link.rate, cases[i].rate, 0.01), "%s: rate %g", cases[i].name,
                  d.link.rate);
        MOE_CHECK(near(d.link.iops, cases[i].iops, 0.01), "%s: iops %g", cases[i].name,
                  d.link.iops);
        MOE_CHECK(near(d.link.latency, cases[i].latency, 0.02) || cases[i].iops < 5000,
                  "%s: latency %g", cases[i].name, d.link.latency);
        MOE_CHECK(d.link.mean < 0.01, "%s: off by %g", cases[i].name, d.link.mean);
        MOE_CHECK(d.link.request >= 4096 && d.link.depth >= 1, "%s", cases[i].name);
    }
    moe_measured_disk none = {0};
    CU_ASSERT_FALSE(moe_measured_disk_fit(&none));
}

static moe_measured_experts
experts(double stream, double peak, double half, uint32_t bits)
{
    static const uint32_t tokens[] = {1, 2, 4, 8, 16, 64, 256};
    moe_measured_experts e = {.params = 6e6, .hidden = 2000, .width = 1000, .weight_bits = bits};
    for (size_t i = 0; i < MOE_COUNT(tokens); i++) {
        double weights = 4 * e.params, work = 2 * weights * (tokens[i] + half) / peak;
        double read = weights * bits / 8 / stream;
        e.points[i] = (moe_expert_point){tokens[i], 4, exact(fmax(read, work))};
    }
    moe_measured_experts_fit(&e);
    return e;
}

static moe_measured_cpu
processor(double stream, double peak, double half)
{
    return (moe_measured_cpu){.name = g_strdup("a \"b\" \\ c\n"),
                              .kernels = "plain",
                              .threads = 4,
                              .bf16 = experts(stream, peak, half, 16),
                              .fp32 = experts(stream, peak, half, 32),
                              .launch = exact(2e-6)};
}

static moe_measured_gpu
graphics(double rate, double latency)
{
    moe_measured_gpu g = {
        .name = g_strdup("a GPU"), .bytes = 80ull << 30, .experts = experts(3e12, 700e12, 60, 16)};
    for (uint32_t i = 0; i < MOE_COPY_POINTS; i++) {
        uint64_t bytes = 48ull << (10 + 2 * i);
        g.copies[g.n_copies++] = (moe_copy_point){bytes, exact(latency + (double)bytes / rate)};
    }
    moe_measured_gpu_fit(&g);
    return g;
}

static void
processors(void)
{
    moe_measured_experts e = experts(20e9, 400e9, 2, 16);
    CU_ASSERT(near(e.stream, 20e9, 1e-9));
    /* what 256 tokens reach is the peak, so that it stands a little below the truth */
    MOE_CHECK(near(e.peak, 400e9 * 256 / 258, 1e-9), "%g", e.peak);
    MOE_CHECK(e.half_rows > 0.5 && e.half_rows < 3 && e.mean < 0.02, "half %g, off by %g",
              e.half_rows, e.mean);
    moe_measured_gpu g = graphics(55e9, 6e-6);
    MOE_CHECK(near(g.rate, 55e9, 1e-6) && near(g.latency, 6e-6, 1e-6) && g.mean < 1e-9, "%g, %g",
              g.rate, g.latency);
    moe_measured_gpu_clear(&g);
    g = graphics(55e9, 0);
    CU_ASSERT(near(g.rate, 55e9, 1e-6) && g.latency < 1e-12);
    moe_measured_gpu_clear(&g);
}

/* ---- presets ---- */

static moe_measured_memory
memory(void)
{
    return (moe_measured_memory){.capacity = 16ull << 30,
                                 .available = 12ull << 30,
                                 .buffer = 1ull << 30,
                                 .n = 2,
                                 .threads = {1, 4},
                                 .read = {{12e9, 11e9, 13e9, 5}, {40e9, 38e9, 41e9, 5}},
                                 .copy = {{20e9, 19e9, 21e9, 5}, {50e9, 48e9, 51e9, 5}},
                                 .latency = {1e-7, 9e-8, 1.2e-7, 5}};
}

static moe_hardware_set *
parse(const char *text)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_hardware_set *set = moe_hardware_parse("p.yaml", text, strlen(text), NULL, diag);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(set && !*said, "%s\n%s", said, text);
    return set;
}

static void
presets(void)
{
    moe_measured_memory m = memory();
    moe_measured_cpu c = processor(20e9, 400e9, 2);
    moe_measured_disk d = drive(6.7e9, 80e-6, 2.5e9, 300e3);
    g_autoptr(GString) text = g_string_new(NULL);
    CU_ASSERT_FATAL(moe_measured_disk_fit(&d));
    const moe_measured_machine machine = {&m, &c, &d, NULL};
    moe_measured_preset(&machine, "mine", text);
    g_autoptr(moe_hardware_set) set = parse(text->str);
    CU_ASSERT_PTR_NOT_NULL_FATAL(set);
    const moe_hardware *hw = moe_hardware_get(set);
    CU_ASSERT_STRING_EQUAL(hw->name, "mine");
    CU_ASSERT_EQUAL(hw->places[0].capacity, 16ll << 30);
    CU_ASSERT_EQUAL(hw->places[0].reserved, 4ll << 30);
    CU_ASSERT_EQUAL(hw->places[0].read_bytes_per_s, 40e9);
    CU_ASSERT_EQUAL(hw->devices[0].gemm.stream_efficiency, 0.5);
    CU_ASSERT(near(hw->devices[0].peak.fp32, c.bf16.peak, 1e-3));
    CU_ASSERT(near(hw->links[0].bytes_per_s, 6.7e9, 0.01));
    CU_ASSERT(near(hw->links[0].iops, 300e3, 0.01));
    CU_ASSERT_EQUAL(hw->links[0].request_bytes, (int64_t)d.link.request);
    CU_ASSERT_EQUAL(hw->links[0].depth, (int64_t)d.link.depth);
    size_t n = 0;
    const moe_provenance *all = moe_hardware_provenance(set, &n);
    CU_ASSERT(n > 10);
    for (size_t i = 0; i < n; i++)
        MOE_CHECK(g_str_has_prefix(all[i].source, "moesim probe ") &&
                      (!strcmp(all[i].basis, "measured") || !strcmp(all[i].basis, "fitted")),
                  "%s: %s, %s", all[i].key, all[i].basis, all[i].source);
    moe_measured_cpu_clear(&c);
}

/* With a GPU: it computes, the processor is its host. */
static void
presets_with_gpu(void)
{
    moe_measured_memory m = memory();
    moe_measured_cpu c = processor(20e9, 400e9, 2);
    moe_measured_disk d = drive(6.7e9, 80e-6, 2.5e9, 300e3);
    moe_measured_gpu g = graphics(55e9, 6e-6);
    CU_ASSERT_FATAL(moe_measured_disk_fit(&d));
    for (int slow = 0; slow < 2; slow++) {
        const moe_measured_machine machine = {&m, &c, slow ? NULL : &d, &g};
        g_autoptr(GString) text = g_string_new(NULL);
        if (slow) /* slower than the host, such as an emulated one */
            g.experts = experts(1e9, 1e9, 0, 16);
        moe_measured_preset(&machine, "gpu", text);
        g_autoptr(moe_hardware_set) set = parse(text->str);
        CU_ASSERT_PTR_NOT_NULL_FATAL(set);
        const moe_hardware *hw = moe_hardware_get(set);
        CU_ASSERT_EQUAL(hw->host, 1);
        CU_ASSERT_EQUAL(hw->devices[0].place, moe_hardware_place(hw, "hbm"));
        CU_ASSERT_EQUAL(hw->places[0].capacity, 80ll << 30);
        CU_ASSERT(near(hw->links[0].bytes_per_s, 55e9, 1e-3));
        CU_ASSERT(near((double)hw->links[0].latency_ps, 6e6, 1e-3));
    }
    moe_measured_gpu_clear(&g);
    moe_measured_cpu_clear(&c);
}

/* Whatever a noisy or odd machine gives, the preset loads. */
static void
odd_presets(void)
{
    for (int i = 0; i < 5; i++) {
        moe_measured_memory m = memory();
        moe_measured_cpu c = processor(i == 1 ? 90e9 : 20e9, 400e9, i == 2 ? 0 : 2);
        moe_measured_disk d = drive(i == 3 ? 60e9 : 6.7e9, 0, i == 3 ? 60e9 : 2.5e9, 700e3);
        g_autoptr(GString) text = g_string_new(NULL);
        CU_ASSERT_FATAL(moe_measured_disk_fit(&d));
        if (i == 4) {
            m.available = UINT64_MAX;
            d.available = 0;
            m.limited = true;
        }
        if (i == 2)
            m.available = 0;
        if (i == 1) /* noise, or that widening costs something */
            c.fp32 = experts(20e9, 500e9, 2, 32);
        if (i == 3)
            c.fp32 = experts(20e9, 1e9, 2, 32);
        const moe_measured_machine machine = {&m, &c, i ? &d : NULL, NULL};
        moe_measured_preset(&machine, "odd", text);
        moe_hardware_free(parse(text->str));
        moe_measured_cpu_clear(&c);
    }
}

static void
tables(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_measured) table = moe_measured_new();
    moe_measured_memory m = memory();
    moe_measured_cpu c = processor(20e9, 400e9, 2);
    moe_measured_disk d = drive(6.7e9, 80e-6, 2.5e9, 300e3);
    g_autoptr(GString) text = g_string_new(NULL);
    moe_measured_gpu g = graphics(55e9, 6e-6);
    const moe_measured_machine machine = {&m, &c, &d, &g};
    moe_measured_table(&machine, text);
    bool good = moe_measured_parse(table, "t.csv", text->str, text->len, diag);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(good, "%s\n%s", said, text->str);
    MOE_CHECK(moe_measured_count(table) == 1 + 7 + 7 + 7 + 8 + d.n, "%zu rows",
              moe_measured_count(table));
    moe_measured_gpu_clear(&g);
    moe_measured_cpu_clear(&c);
}

/* ---- control groups ---- */

static void
put_file(const char *root, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(root, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    CU_ASSERT_FATAL(g_mkdir_with_parents(folder, 0700) == 0 &&
                    g_file_set_contents(path, text, -1, NULL));
}

static void
groups(void)
{
    g_autofree char *root = g_dir_make_tmp("moesim-XXXXXX", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    put_file(root, "memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    put_file(root, "memory/a/b/memory.usage_in_bytes", "5\n");
    put_file(root, "memory/a/memory.limit_in_bytes", "1000000\n");
    put_file(root, "memory/a/memory.usage_in_bytes", "600000\n");
    put_file(root, "memory/a/memory.stat", "cache 7\ntotal_inactive_file 100000\n");
    put_file(root, "s/t/memory.max", "max\n");
    put_file(root, "s/memory.max", "500\n");
    put_file(root, "s/memory.current", "900\n");
    static const struct {
        const char *membership;
        uint64_t limit, left;
    } cases[] = {
        {"", UINT64_MAX, UINT64_MAX},
        {"nonsense\n::\n1:cpu:/a/b\n", UINT64_MAX, UINT64_MAX},
        {"4:memory:/a/b\n", 1000000, 500000},
        {"4:cpu,memory:/a/b/gone\n0::/\n", 1000000, 500000},
        {"4:memory:/gone\n", UINT64_MAX, UINT64_MAX},
        {"0::/s/t\n", 500, 0},
        {"4:memory:/a\n0::/s\n", 500, 0},
        {"4:memory:/../memory/a\n", UINT64_MAX, UINT64_MAX},
    };
    for (size_t i = 0; i < MOE_COUNT(cases); i++) {
        moe_memory_group got = moe_memory_of_groups(cases[i].membership, root);
        MOE_CHECK(got.limit == cases[i].limit && got.left == cases[i].left, "%zu: %llu, %llu", i,
                  (unsigned long long)got.limit, (unsigned long long)got.left);
    }
    g_autofree char *command = g_strdup_printf("rm -r %s", root);
    CU_ASSERT(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
}

MOE_TESTS({"spreads and steps", spreads}, {"sizes of files", sizes}, {"drives", drives},
          {"processors and GPUs", processors}, {"presets", presets},
          {"presets with a GPU", presets_with_gpu}, {"odd presets", odd_presets},
          {"tables", tables}, {"control groups", groups})
