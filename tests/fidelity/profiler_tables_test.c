/* The public tables as they lie beside the source: every one is read, to its last row, and the
 * naive model is as far off as those say who published it. */
#include "profiler/validate.h"
#include "tests/test.h"

#include <math.h>

#define DATA MOE_SHARED_DATA "/data/measured/"

static const struct {
    const char *file;
    size_t rows;
} files[] = {
    {"aiconfigurator/a100_sxm__moe__sglang__0.5.10__moe_perf.csv.gz", 55566},
    {"aiconfigurator/h100_sxm__moe__vllm__0.24.0__moe_perf.csv.gz", 49862},
    {"aiconfigurator/h100_sxm__gemm__vllm__0.24.0__gemm_perf.csv.gz", 107188},
    {"aiconfigurator/h100_sxm__attention__vllm__0.24.0__context_attention_perf.csv.gz", 50830},
    {"aiconfigurator/h100_sxm__mla__vllm__0.24.0__mla_context_module_perf.csv.gz", 3886},
    {"aiconfigurator/a100_sxm__mla__vllm__0.14.0__generation_mla_perf.csv.gz", 1365},
    {"aiconfigurator/h100_sxm__comm__nccl__2.23__nccl_perf.csv.gz", 342},
    {"aiconfigurator/h100_sxm__comm__sglang__0.5.6.post2__custom_allreduce_perf.csv.gz", 69},
    {"aiconfigurator/h100_sxm__comm__sglang__0.5.12__wideep_deepep_ll_perf.csv.gz", 352},
    {"infersim/bench_data_grouped_gemm_decode_h800_data.csv", 94},
    {"infersim/bench_data_dsa_decode_h800_attn-128-576-2048.csv", 8},
    {"frontier/data_profiling_compute_a100_mixtral_8x7b_moe_moe.csv.gz", 5220},
    {"llmservingsim/profiler_perf_RTXPRO6000_Qwen_Qwen3-30B-A3B-Instruct-2507_bf16_tp1_moe.csv",
     50},
    {"tables/deepgemm_grouped_masked_h800.csv", 6},
    {"tables/deepep_v1_normal_h800.csv", 8},
};

static moe_measured *
read_file(const char *name)
{
    g_autofree char *path = g_strconcat(DATA, name, NULL);
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_measured *table = moe_measured_new();
    bool good = moe_measured_read(table, path, diag, &error);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(good, "%s: %s%s", name, said, error ? error->message : "");
    return table;
}

static bool
absent(void)
{
    if (g_file_test(DATA, G_FILE_TEST_IS_DIR))
        return false;
    moe_test_skip("no public tables in ../shared/data/measured");
    return true;
}

static void
reads(void)
{
    for (size_t i = 0; i < MOE_COUNT(files) && !absent(); i++) {
        g_autoptr(moe_measured) table = read_file(files[i].file);
        MOE_CHECK(moe_measured_count(table) == files[i].rows, "%s: %zu rows, not %zu",
                  files[i].file, moe_measured_count(table), files[i].rows);
    }
}

/* The roofline is 50 % off for bf16 and 87 % for fp8, balanced rows of vLLM on the H100. */
static void
roofline(void)
{
    static const struct {
        const char *dtype;
        double error;
    } wanted[] = {{"bf16", 0.50}, {"fp8", 0.87}};
    for (size_t i = 0; i < MOE_COUNT(wanted) && !absent(); i++) {
        g_autoptr(moe_measured) table =
            read_file("aiconfigurator/h100_sxm__moe__vllm__0.24.0__moe_perf.csv.gz");
        g_autoptr(moe_diag) diag = moe_diag_new();
        const char *closest = NULL;
        moe_validate_options o = {.fit = {.rows = MOE_FIT_NONE}};
        CU_ASSERT(moe_measured_choose(table, "dtype", wanted[i].dtype, true, &closest));
        CU_ASSERT(moe_measured_choose(table, "distribution", "balanced", true, &closest));
        g_autoptr(moe_validation) v = moe_validate(table, &o, diag, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(v);
        size_t n = 0;
        const moe_family *family = moe_validation_families(v, &n);
        double off = family->all.roofline;
        MOE_CHECK(n == 1 && fabs(off - wanted[i].error) < 0.02, "%s: %.1f %%, wanted %.0f %%",
                  wanted[i].dtype, 100 * off, 100 * wanted[i].error);
        printf("\n    %s: roofline %.1f %% off (wanted %.0f %% +- 2), the model %.1f %%",
               wanted[i].dtype, 100 * off, 100 * wanted[i].error, 100 * family->all.mean);
        MOE_CHECK(family->all.mean < 0.15, "%s: the model is %.1f %% off", wanted[i].dtype,
                  100 * family->all.mean);
    }
}

MOE_TESTS({"every table is read", reads}, {"the roofline", roofline})
