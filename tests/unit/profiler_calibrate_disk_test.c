/* A drive's numbers from rows of reads by size and number in flight. */
#include "tests/unit/calibrate_fixture.h"

static int
disk_of(const moe_hardware *hw)
{
    int flash = moe_hardware_place(hw, "flash"), dram = moe_hardware_place(hw, "dram");
    for (int l = 0; l < hw->n_links; l++)
        if (hw->links[l].from == flash && hw->links[l].to == dram)
            return l;
    return -1;
}

static void
add_read(fixture *f, const moe_hw_link *drive, int64_t request, int64_t depth)
{
    moe_hw_link l = *drive;
    int64_t bytes = request ? 64 * request * depth : 1 << 26;
    moe_measured_row row = {.kind = MOE_MEASURED_COPY,
                            .device = "d",
                            .source = "s",
                            .dtype = "",
                            .distribution = "",
                            .direction = MOE_MEASURED_DISK,
                            .bytes = bytes,
                            .request = request,
                            .depth = depth};
    const char *why = NULL;
    l.request_bytes = request;
    l.depth = MAX(depth, 1);
    row.time_us = (double)moe_cost_copy(&l, (double)bytes, false).total_ps / 1e6;
    MOE_CHECK(moe_measured_add(f->table, &row, &why), "%s", why);
}

static moe_calibration *
drive_fitted(fixture *f, const moe_hw_link *drive, int64_t deepest)
{
    for (int64_t request = 4096; request <= 4 << 20; request *= 4)
        for (int64_t depth = 1; depth <= deepest; depth *= 2)
            add_read(f, drive, request, depth);
    return fixture_calibrate(f);
}

static void
gives_numbers_back(void)
{
    static const moe_hw_link drives[] = {
        {.bytes_per_s = 6.6e9, .latency_ps = 70000000, .channel_bytes_per_s = 2e9, .iops = 400e3},
        {.bytes_per_s = 3.1e9, .latency_ps = 150000000, .channel_bytes_per_s = 9e8, .iops = 60e3},
    };
    for (size_t i = 0; i < MOE_COUNT(drives); i++) {
        fixture f = fixture_begin();
        int link = disk_of(&f.hw);
        CU_ASSERT_FATAL(link >= 0);
        g_autoptr(moe_calibration) c = drive_fitted(&f, &drives[i], 64);
        const struct {
            const char *name;
            double truth, share;
        } numbers[] = {{"rate", drives[i].bytes_per_s, 0.02},
                       {"latency", (double)drives[i].latency_ps, 0.05},
                       {"channel", drives[i].channel_bytes_per_s, 0.05},
                       {"iops", drives[i].iops, 0.03}};
        for (size_t n = 0; n < MOE_COUNT(numbers); n++) {
            g_autofree char *key = g_strdup_printf("links.%d.%s", link, numbers[n].name);
            fixture_expect(c, key, numbers[n].truth, numbers[n].share);
        }
        g_autoptr(moe_diag) diag = moe_diag_new();
        g_autoptr(GString) preset = g_string_new(NULL);
        MOE_CHECK(moe_calibration_preset(c, "drive", preset, diag), "%s", preset->str);
        fixture_end(&f);
    }
}

/* One at a time no drive shows what it does with many: no limit is made up. */
static void
keeps_what_rows_lack(void)
{
    static const moe_hw_link drive = {
        .bytes_per_s = 6.6e9, .latency_ps = 70000000, .channel_bytes_per_s = 2e9, .iops = 400e3};
    fixture f = fixture_begin();
    int link = disk_of(&f.hw);
    g_autoptr(moe_calibration) c = drive_fitted(&f, &drive, 2);
    g_autofree char *iops = g_strdup_printf("links.%d.iops", link);
    g_autofree char *latency = g_strdup_printf("links.%d.latency", link);
    const moe_calibrated *number = fixture_number(c, iops);
    MOE_CHECK(!number->fitted, "iops: %g", number->value);
    fixture_expect(c, latency, (double)drive.latency_ps, 0.05);
    MOE_CHECK(!fixture_number(c, "links.0.rate")->fitted, "a link without rows");
    fixture_end(&f);
}

MOE_TESTS({"gives numbers back", gives_numbers_back},
          {"keeps what rows lack", keeps_what_rows_lack})
