/* What FLOPs and bytes take: which number is meant, in which unit, and what is unknown. */
#include "hw/cost.h"
#include "hw/energy.h"
#include "tests/test.h"

#include <math.h>

#define NEAR(a, b) (fabs((a) - (b)) <= 1e-12 * fabs(b))

/* The arithmetic is the one whose peak rate counts, whatever a device supports. */
static void
arithmetic(void)
{
    static const double bits[] = {4, 4.5, 6, 8, 16, 32};
    static const double peaks[] = {1e12, 2e12, 3e12, 4e12, 5e12};
    for (unsigned has = 1; has < 32; has++) {
        moe_device d = {.device_energy = {1, 2, 3, 4, 5}, .board_energy = {10, 20, 30, 40, 50}};
        double *peak[] = {&d.peak.fp32, &d.peak.bf16, &d.peak.fp8, &d.peak.int8, &d.peak.fp4};
        for (unsigned i = 0; i < 5; i++)
            *peak[i] = has >> i & 1 ? peaks[i] : 0;
        if (!(has & 3)) /* a device has one of fp32 and bf16 */
            continue;
        for (size_t b = 0; b < MOE_COUNT(bits); b++) {
            double rate = moe_peak_flops(&d, bits[b]), number = rate / 1e12;
            double got = moe_energy_flop(&d, MOE_ENERGY_DEVICE, bits[b]);
            MOE_CHECK(NEAR(got, number * 1e-12), "peaks %x, %g bits: %g J at %g FLOP/s", has,
                      bits[b], got, rate);
            got = moe_energy_flop(&d, MOE_ENERGY_BOARD, bits[b]);
            MOE_CHECK(NEAR(got, number * 1e-11), "peaks %x, %g bits: %g J at %g FLOP/s", has,
                      bits[b], got, rate);
        }
    }
}

static void
keys(void)
{
    static const struct {
        double bits;
        moe_energy_mode mode;
        const char *key;
    } cases[] = {
        {4.5, MOE_ENERGY_DEVICE, "device_energy.fp4"},
        {8, MOE_ENERGY_DEVICE, "device_energy.fp8"},
        {16, MOE_ENERGY_BOARD, "board_energy.bf16"},
        {32, MOE_ENERGY_DEVICE, "device_energy.fp32"},
    };
    moe_device d = {.peak = {1, 1, 1, 1, 1}};
    for (size_t i = 0; i < MOE_COUNT(cases); i++)
        CU_ASSERT_STRING_EQUAL(moe_energy_flop_key(&d, cases[i].mode, cases[i].bits), cases[i].key);
    d.peak.fp8 = 0;
    CU_ASSERT_STRING_EQUAL(moe_energy_flop_key(&d, MOE_ENERGY_BOARD, 8), "board_energy.int8");
}

static const char text[] =
    "places:\n"
    "  - {name: hbm, capacity: 24GiB, read: 1TB/s, device_energy: {read: 4pJ/bit},\n"
    "     board_energy: {read: 15pJ/bit, write: 128pJ/B}}\n"
    "  - {name: dram, capacity: 24GiB, read: 80GB/s, power: {idle: 20W}}\n"
    "devices:\n"
    "  - {name: gpu, place: hbm, peak: {bf16: 150TFLOPS}, gemm_efficiency: 0.9,\n"
    "     stream_efficiency: 0.8, power: {idle: 40W}, device_energy: {bf16: 0.2pJ/FLOP},\n"
    "     board_energy: {bf16: 1pJ/OP, base: 70W}}\n"
    "  - {name: cpu, place: dram, kind: cpu, peak: {fp32: 1TFLOPS}, gemm_efficiency: 0.9,\n"
    "     stream_efficiency: 0.8}\n"
    "links:\n"
    "  - {name: h2d, from: dram, to: hbm, rate: 24GB/s, engine: 0, device_energy: 6500fJ/bit}\n";

static char *
canonical(const moe_hardware *hw, moe_energy_mode mode)
{
    GString *out = g_string_new(NULL);
    moe_energy_canonical(hw, mode, out);
    return g_string_free(out, FALSE);
}

static void
described(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_hardware_set) set =
        moe_hardware_parse("box.yaml", text, sizeof text - 1, NULL, diag);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(set && !*said, "%s", said);
    if (!set)
        return;
    const moe_hardware *hw = moe_hardware_get(set);
    const moe_place *hbm = &hw->places[0], *dram = &hw->places[1];
    const moe_device *gpu = &hw->devices[0], *cpu = &hw->devices[1];
    CU_ASSERT(NEAR(moe_energy_read(hbm, MOE_ENERGY_DEVICE), 32e-12));
    CU_ASSERT(NEAR(moe_energy_write(hbm, MOE_ENERGY_DEVICE), 32e-12)); /* as reading */
    CU_ASSERT(NEAR(moe_energy_read(hbm, MOE_ENERGY_BOARD), 120e-12));
    CU_ASSERT(NEAR(moe_energy_write(hbm, MOE_ENERGY_BOARD), 128e-12));
    CU_ASSERT(moe_energy_read(dram, MOE_ENERGY_DEVICE) < 0);
    CU_ASSERT(moe_energy_write(dram, MOE_ENERGY_BOARD) < 0);
    CU_ASSERT(NEAR(moe_energy_link(&hw->links[0], MOE_ENERGY_DEVICE), 52e-12));
    CU_ASSERT(moe_energy_link(&hw->links[0], MOE_ENERGY_BOARD) < 0);
    CU_ASSERT(NEAR(moe_energy_flop(gpu, MOE_ENERGY_DEVICE, 16), 0.2e-12));
    CU_ASSERT(NEAR(moe_energy_flop(gpu, MOE_ENERGY_BOARD, 16), 1e-12));
    CU_ASSERT(moe_energy_flop(cpu, MOE_ENERGY_DEVICE, 16) < 0);
    CU_ASSERT_EQUAL(moe_energy_idle(gpu, MOE_ENERGY_DEVICE), 40);
    CU_ASSERT_EQUAL(moe_energy_idle(gpu, MOE_ENERGY_BOARD), 70);
    CU_ASSERT_EQUAL(moe_energy_idle(cpu, MOE_ENERGY_BOARD), 0);
    CU_ASSERT_EQUAL(dram->idle_watt, 20);
    g_autofree char *none = canonical(hw, MOE_ENERGY_NONE);
    g_autofree char *device = canonical(hw, MOE_ENERGY_DEVICE);
    g_autofree char *board = canonical(hw, MOE_ENERGY_BOARD);
    CU_ASSERT_STRING_EQUAL(none, "");
    CU_ASSERT(strcmp(device, board) != 0);
}

MOE_TESTS({"arithmetic", arithmetic}, {"keys", keys}, {"described", described})
