/* Dense products against public tables: the libraries of hw/kernels on shapes that they were not
 * fitted to, by regime, and carried to a device that is known by its datasheet only. */
#include "profiler/predict.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

#define DATA MOE_SHARED_DATA "/data/measured/"
#define H100 DATA "aiconfigurator/h100_sxm__gemm__vllm__0.24.0__gemm_perf.csv.gz"
#define A100 DATA "aiconfigurator/a100_sxm__gemm__vllm__0.14.0__gemm_perf.csv.gz"
#define H800 DATA "infersim/bench_data_gemm_h800_data.csv"

typedef struct group {
    const char *table, *kernel; /* "": all of them */
    const char *hardware, *library;
    int64_t sms, l2; /* where the preset does not say */
    bool all;        /* of shapes that were fitted, too */
    double limit;    /* mean error, share */
} group;

static const group groups[] = {
    {H100, "torch.nn", "server-h100", "vllm-0.24", 132, 50000000, false, 0.065},
    {H100, "CutlassFP8Scaled", "server-h100", "vllm-0.24", 132, 50000000, false, 0.09},
    {H100, "DeepGemm", "server-h100", "vllm-0.24", 132, 50000000, false, 0.07},
    {H100, "FlashInfer", "server-h100", "vllm-0.24", 132, 50000000, false, 0.045},
    {H100, "CutlassFp8Block", "server-h100", "vllm-0.24", 132, 50000000, false, 0.06},
    {H100, "torch.nn", "server-h100", "vllm-0.14", 132, 50000000, true, 0.2}, /* the A100's */
    {A100, "", "server-a100-80", "vllm-0.14", 108, 40000000, false, 0.095},
    {A100, "", "server-a100-80", "vllm-0.24", 108, 40000000, true, 0.18}, /* the H100's */
    {H800, "", "server-h100", "infersim", 132, 50000000, true, 0.08},
};

/* A quarter of the shapes (n, k), which no number was fitted to. */
static bool
is_held(const moe_measured_row *row)
{
    int64_t hash = row->n * 2654435761 + row->k * 40503 * 65599 + row->n * row->k / 7;
    return hash % 1000003 % 4 == 0;
}

static const struct {
    const char *name;
    double from, to; /* microseconds */
} regimes[] = {{"to 10 us", 0, 10},
               {"to 100 us", 10, 100},
               {"to 1 ms", 100, 1000},
               {"above", 1000, INFINITY},
               {"all", 0, INFINITY}};

static void
measure(const group *g, const moe_measured *table)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_hardware_set) set =
        moe_hardware_load(g->hardware, NULL, (moe_loc){0}, diag, NULL);
    g_autoptr(moe_kernels_set) library =
        moe_kernels_load(g->library, NULL, (moe_loc){0}, diag, NULL);
    double sum[MOE_COUNT(regimes)] = {0}, bias[MOE_COUNT(regimes)] = {0};
    size_t n[MOE_COUNT(regimes)] = {0};
    moe_candidate c;

    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(set && library, "%s", said);
    if (!set || !library)
        return;
    moe_candidate_init(&c, moe_hardware_get(set), moe_kernels_get(library), NULL);
    c.devices[0].sms = c.devices[0].sms ? c.devices[0].sms : g->sms;
    c.devices[0].l2_bytes = c.devices[0].l2_bytes ? c.devices[0].l2_bytes : g->l2;
    for (size_t i = 0; i < moe_measured_count(table); i++) {
        const moe_measured_row *row = moe_measured_at(table, i);
        if (!strstr(row->kernel, g->kernel) || (!g->all && !is_held(row)))
            continue;
        double off = moe_predict(&c, row) / row->time_us - 1;
        for (size_t r = 0; r < MOE_COUNT(regimes); r++)
            if (row->time_us >= regimes[r].from && row->time_us < regimes[r].to) {
                sum[r] += fabs(off);
                bias[r] += off;
                n[r]++;
            }
    }
    moe_candidate_clear(&c);
    printf("\n    %-18s on %-14s by %-9s", *g->kernel ? g->kernel : "all", g->hardware, g->library);
    for (size_t r = 0; r < MOE_COUNT(regimes); r++)
        if (n[r])
            printf("  %s: %.1f %% (%+.1f, %zu rows)", regimes[r].name, 100 * sum[r] / (double)n[r],
                   100 * bias[r] / (double)n[r], n[r]);
    size_t all = MOE_COUNT(regimes) - 1;
    MOE_CHECK(n[all] > 0 && sum[all] / (double)n[all] <= g->limit, "%s %s: above %g %%", g->table,
              g->kernel, 100 * g->limit);
}

static void
tables(void)
{
    const char *last = NULL;
    moe_measured *table = NULL;
    for (size_t i = 0; i < MOE_COUNT(groups); i++)
        if (!g_file_test(groups[i].table, G_FILE_TEST_EXISTS)) {
            moe_test_skip(groups[i].table);
            return;
        }
    for (size_t i = 0; i < MOE_COUNT(groups); i++) {
        if (!last || strcmp(last, groups[i].table)) {
            g_autoptr(moe_diag) diag = moe_diag_new();
            moe_measured_free(table);
            table = moe_measured_new();
            bool good = moe_measured_read(table, groups[i].table, diag, NULL);
            g_autofree char *said = moe_diag_render(diag);
            MOE_CHECK(good, "%s", said);
            last = groups[i].table;
        }
        measure(&groups[i], table);
    }
    moe_measured_free(table);
    printf("\n");
}

MOE_TESTS({"tables", tables})
