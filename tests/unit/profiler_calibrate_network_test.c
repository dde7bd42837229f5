/* A network's numbers, found again in rows that were made with them. */
#include "profiler/calibrate.h"
#include "profiler/predict.h"
#include "tests/test.h"

#include <math.h>

/* dgx-h100 with other numbers in the place of those that are looked for. */
static moe_hardware_set *
other_machine(const moe_hardware_set *set, moe_diag *diag)
{
    static const moe_hw_change changes[] = {
        {"network.0.ll.base", "9us", "estimate", NULL, NULL},
        {"network.0.ll.step", "2us", "estimate", NULL, NULL},
        {"network.0.ll.rate", "90GB/s", "estimate", NULL, NULL},
        {"network.0.simple.base", "5us", "estimate", NULL, NULL},
        {"network.0.rate", "200GB/s", "estimate", NULL, NULL},
        {"network.0.copy", "400GB/s", "estimate", NULL, NULL},
        {"network.0.nvls.rate", "150GB/s", "estimate", NULL, NULL},
        {"engines.0.rate", "100GB/s", "estimate", NULL, NULL},
        {"network.0.combine.sm_rate", "10GB/s", "estimate", NULL, NULL},
        {"network.0.combine.rate", "100GB/s", "estimate", NULL, NULL},
        {"network.0.low_dispatch.rate", "100GB/s", "estimate", NULL, NULL},
        {"network.1.rate", "20GB/s", "estimate", NULL, NULL},
        {"network.1.low_dispatch.base", "1us", "estimate", NULL, NULL},
    };
    g_autoptr(GString) text = g_string_new(NULL);
    moe_hardware_write(set, "other", "", changes, MOE_COUNT(changes), text);
    return moe_hardware_parse("other.yaml", text->str, text->len, NULL, diag);
}

static void
add(moe_measured *table, const moe_candidate *truth, moe_measured_row row)
{
    const char *why = "";
    row.kind = MOE_MEASURED_COLLECTIVE;
    row.device = "made";
    row.source = row.framework = row.version = row.kernel = row.kv_dtype = row.distribution = "";
    row.odd = "";
    row.dtype = row.activation_bits > 8 ? "fp16" : "fp8";
    row.weight_bits = row.activation_bits;
    row.ep = row.tp = 1;
    row.graph = true;
    row.time_us = moe_predict(truth, &row);
    MOE_CHECK(moe_measured_add(table, &row, &why), "%s", why);
}

static void
add_vectors(moe_measured *table, const moe_candidate *truth)
{
    static const int ops[] = {MOE_MEASURED_ALL_REDUCE, MOE_MEASURED_ALL_GATHER,
                              MOE_MEASURED_REDUCE_SCATTER, MOE_MEASURED_ALL_TO_ALL};
    for (int64_t bytes = 1024; bytes <= 1 << 29; bytes *= 2)
        for (int64_t ranks = 2; ranks <= 8; ranks *= 2) {
            for (size_t o = 0; o < MOE_COUNT(ops); o++)
                add(table, truth,
                    (moe_measured_row){.collective = ops[o],
                                       .algorithm = "nccl",
                                       .bytes = bytes,
                                       .ranks = ranks,
                                       .nodes = 1,
                                       .activation_bits = 16});
            add(table, truth,
                (moe_measured_row){.collective = MOE_MEASURED_ALL_REDUCE,
                                   .algorithm = "custom",
                                   .bytes = bytes,
                                   .ranks = ranks,
                                   .nodes = 1,
                                   .activation_bits = 16});
        }
}

static void
add_tokens(moe_measured *table, const moe_candidate *truth)
{
    for (int64_t tokens = 1; tokens <= 65536; tokens *= 4)
        for (int64_t hidden = 2048; hidden <= 8192; hidden *= 2)
            for (int64_t k = 2; k <= 8; k += 3) {
                moe_measured_row row = {.collective = MOE_MEASURED_COMBINE,
                                        .algorithm = "deepep_normal",
                                        .tokens = tokens,
                                        .hidden = hidden,
                                        .top_k = k,
                                        .experts = 256,
                                        .ranks = 8,
                                        .nodes = 1,
                                        .activation_bits = 16};
                for (row.sms = 4; row.sms <= 24; row.sms += 10)
                    add(table, truth, row);
                row.sms = 0;
                row.collective = MOE_MEASURED_DISPATCH;
                row.algorithm = "deepep_low_latency";
                row.activation_bits = 8;
                add(table, truth, row);
                row.ranks = 16;
                row.nodes = 2;
                add(table, truth, row);
            }
}

/* That a number was fitted, and is within `share` of the truth. */
static void
expect(const moe_calibration *c, const char *key, double truth, double share)
{
    size_t n = 0;
    const moe_calibrated *all = moe_calibration_numbers(c, &n);

    for (size_t i = 0; i < n; i++)
        if (!strcmp(all[i].key, key)) {
            MOE_CHECK(all[i].fitted && fabs(all[i].value / truth - 1) <= share,
                      "%s: %g (%s), wanted %g", key, all[i].value, all[i].remark, truth);
            return;
        }
    MOE_CHECK(false, "no number '%s'", key);
}

static void
found_again(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_hardware_set) set = moe_hardware_load("dgx-h100", NULL, (moe_loc){0}, diag, NULL);
    g_autoptr(moe_hardware_set) base = other_machine(set, diag);
    g_autoptr(moe_measured) table = moe_measured_new();
    g_autoptr(GString) preset = g_string_new(NULL);
    moe_candidate truth;

    CU_ASSERT_FATAL(set && base);
    moe_candidate_init(&truth, moe_hardware_get(set), NULL, NULL);
    moe_measured_begin(table, "made.csv");
    add_vectors(table, &truth);
    add_tokens(table, &truth);
    g_autoptr(moe_calibration) c = moe_calibrate(table, base, NULL, diag);
    CU_ASSERT_FATAL(c != NULL);
    const moe_level *l = truth.hw.network.levels;
    expect(c, "network.0.ll.base", (double)l->ll.base_ps, 0.02);
    expect(c, "network.0.ll.step", (double)l->ll.step_ps, 0.02);
    expect(c, "network.0.ll.rate", l->ll.bytes_per_s, 0.02);
    expect(c, "network.0.simple.base", (double)l->simple.base_ps, 0.05);
    expect(c, "network.0.rate", l->bytes_per_s, 0.02);
    expect(c, "network.0.copy", l->copy_bytes_per_s, 0.05);
    expect(c, "network.0.nvls.rate", l->nvls.bytes_per_s, 0.02);
    expect(c, "engines.0.rate", truth.hw.network.engines[0].bytes_per_s, 0.02);
    expect(c, "network.0.combine.sm_rate", l->combine.sm_bytes_per_s, 0.05);
    expect(c, "network.0.combine.rate", l->combine.bytes_per_s, 0.02);
    expect(c, "network.0.low_dispatch.rate", l->low_dispatch.bytes_per_s, 0.02);
    expect(c, "network.1.rate", l[1].bytes_per_s, 0.02);
    expect(c, "network.1.low_dispatch.base", (double)l[1].low_dispatch.base_ps, 0.05);
    const moe_calibrated_kind *kind = moe_calibration_kind(c, MOE_MEASURED_COLLECTIVE);
    MOE_CHECK(kind->held.rows > 0 && kind->held.mean < 0.01, "%zu rows, %g", kind->held.rows,
              kind->held.mean);

    CU_ASSERT_TRUE(moe_calibration_preset(c, "again", preset, diag));
    g_autoptr(moe_hardware_set) again =
        moe_hardware_parse("again.yaml", preset->str, preset->len, NULL, diag);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(again, "%s", said);
    if (again)
        MOE_CHECK(fabs(moe_hardware_get(again)->network.levels[1].bytes_per_s / l[1].bytes_per_s -
                       1) < 0.02,
                  "%g", moe_hardware_get(again)->network.levels[1].bytes_per_s);
    moe_candidate_clear(&truth);
}

MOE_TESTS({"found again", found_again})
