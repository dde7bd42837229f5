/* Collectives and exchanges of tokens against ai-dynamo/aiconfigurator's tables, where those are.
 * The presets' numbers were fitted on 2 and 4 GPUs, on 13 of 18 shapes of tokens (12 of 16 of
 * low-latency kernels) and on 2 nodes (normal: 2 and 4); what is held to a bound here was not among
 * them, unless it says so. Of the H800 nothing was fitted. */
#include "hw/exchange.h"
#include "profiler/predict.h"
#include "tests/test.h"

#include <math.h>
#include <unistd.h>

#define FOLDER MOE_SHARED_DATA "/data/measured/aiconfigurator/"

typedef bool chooses(const moe_measured_row *row);

static bool
any(const moe_measured_row *row)
{
    return true;
}

static bool
is_large(const moe_measured_row *row)
{
    return row->ranks == 8 && row->bytes >= 1 << 20;
}

static bool
is_small(const moe_measured_row *row)
{
    return row->ranks == 8 && row->bytes < 1 << 20;
}

static bool
in_graph(const moe_measured_row *row)
{
    return row->graph && row->ranks == 8;
}

static bool
is_eager(const moe_measured_row *row)
{
    return !row->graph && row->ranks == 8;
}

/* The shapes (hidden, experts of a token, experts) that were held back: every fourth in their
 * order, of kernels for throughput and of those for latency. */
static bool
held(const moe_measured_row *row)
{
    static const int64_t normal[][3] = {
        {2048, 8, 256}, {4096, 8, 128}, {5120, 1, 16}, {6144, 8, 160}, {7168, 8, 384}};
    static const int64_t low[][3] = {{2048, 8, 256}, {4096, 8, 256}, {6144, 2, 8}, {7168, 6, 384}};
    bool is_low = !strcmp(row->algorithm, "deepep_low_latency");
    const int64_t(*shapes)[3] = is_low ? low : normal;

    for (size_t i = 0; i < (is_low ? MOE_COUNT(low) : MOE_COUNT(normal)); i++)
        if (row->hidden == shapes[i][0] && row->top_k == shapes[i][1] &&
            row->experts == shapes[i][2])
            return true;
    return false;
}

static bool
held_dispatch(const moe_measured_row *row)
{
    return held(row) && row->collective == MOE_MEASURED_DISPATCH;
}

static bool
held_combine(const moe_measured_row *row)
{
    return held(row) && row->collective == MOE_MEASURED_COMBINE;
}

static bool
few_nodes(const moe_measured_row *row)
{
    return (row->nodes == 2 || row->nodes == 4) &&
           (row->collective == MOE_MEASURED_DISPATCH || row->collective == MOE_MEASURED_COMBINE);
}

static bool
four_nodes(const moe_measured_row *row)
{
    return few_nodes(row) && row->nodes == 4;
}

static bool
eight_nodes(const moe_measured_row *row)
{
    return row->nodes == 8 &&
           (row->collective == MOE_MEASURED_DISPATCH || row->collective == MOE_MEASURED_COMBINE);
}

/* Mean absolute error of the chosen rows; bound 0: only shown (odd rows, rows that were fitted). */
static const struct {
    const char *what, *file, *hardware;
    chooses *choose;
    size_t rows;
    double bound;
} runs[] = {
    {"A100 NCCL, 8 GPUs, from 1 MiB", "a100_sxm__comm__nccl__2.27.3__nccl_perf.csv.gz", "dgx-a100",
     is_large, 80, 0.10},
    {"A100 NCCL, 8 GPUs, below", "a100_sxm__comm__nccl__2.27.3__nccl_perf.csv.gz", "dgx-a100",
     is_small, 88, 0.25},
    {"H100 NCCL, 8 GPUs, from 1 MiB", "h100_sxm__comm__nccl__2.29.2__nccl_perf.csv.gz", "dgx-h100",
     is_large, 80, 0.10},
    {"H100 NCCL, 8 GPUs, below", "h100_sxm__comm__nccl__2.29.2__nccl_perf.csv.gz", "dgx-h100",
     is_small, 88, 0.25},
    {"A100 vLLM 0.14, graph, 8 GPUs", "a100_sxm__comm__vllm__0.14.0__custom_allreduce_perf.csv.gz",
     "dgx-a100", in_graph, 23, 0.15},
    {"A100 vLLM 0.14, eager, 8 GPUs", "a100_sxm__comm__vllm__0.14.0__custom_allreduce_perf.csv.gz",
     "dgx-a100", is_eager, 23, 0.10},
    {"H100 vLLM 0.24, graph, 8 GPUs", "h100_sxm__comm__vllm__0.24.0__custom_allreduce_perf.csv.gz",
     "dgx-h100", in_graph, 23, 0.10},
    {"H100 vLLM 0.24, eager, 8 GPUs", "h100_sxm__comm__vllm__0.24.0__custom_allreduce_perf.csv.gz",
     "dgx-h100", is_eager, 23, 0.20},
    {"H100 DeepEP dispatch, new shapes",
     "h100_sxm__comm__sglang__0.5.12__wideep_deepep_normal_perf.csv.gz", "dgx-h100", held_dispatch,
     690, 0.05},
    {"H100 DeepEP combine, new shapes",
     "h100_sxm__comm__sglang__0.5.12__wideep_deepep_normal_perf.csv.gz", "dgx-h100", held_combine,
     690, 0.07},
    {"H100 low-latency dispatch, new shapes",
     "h100_sxm__comm__sglang__0.5.12__wideep_deepep_ll_perf.csv.gz", "dgx-h100", held_dispatch, 44,
     0.06},
    {"H100 low-latency combine, new shapes",
     "h100_sxm__comm__sglang__0.5.12__wideep_deepep_ll_perf.csv.gz", "dgx-h100", held_combine, 44,
     0.06},
    {"H100 low latency, 4 nodes",
     "h100_sxm__comm__sglang__0.5.6.post2__wideep_deepep_ll_perf.csv.gz", "dgx-h100", four_nodes,
     52, 0.10},
    {"H100 low latency, 8 nodes",
     "h100_sxm__comm__sglang__0.5.6.post2__wideep_deepep_ll_perf.csv.gz", "dgx-h100", eight_nodes,
     52, 0.10},
    {"H100 DeepEP, 2 and 4 nodes (fitted)",
     "h100_sxm__comm__sglang__0.5.6.post2__wideep_deepep_normal_perf.csv.gz", "dgx-h100", few_nodes,
     552, 0.10},
    {"H800 DeepEP README, 1 to 8 nodes", "../tables/deepep_v1_normal_h800.csv", "server-h800", any,
     8, 0.07},
    {"H100 DeepEP, 8 nodes (odd)",
     "h100_sxm__comm__sglang__0.5.6.post2__wideep_deepep_normal_perf.csv.gz", "dgx-h100",
     eight_nodes, 276, 0},
};

static void
check(size_t i)
{
    g_autofree char *path = g_strconcat(FOLDER, runs[i].file, NULL);
    g_autoptr(moe_measured) table = moe_measured_new();
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    moe_candidate candidate;
    double sum = 0;
    size_t n = 0;

    bool read = moe_measured_read(table, path, diag, &error);
    g_autoptr(moe_hardware_set) set =
        moe_hardware_load(runs[i].hardware, NULL, (moe_loc){0}, diag, NULL);
    g_autofree char *said = moe_diag_render(diag);
    MOE_CHECK(read && set, "%s: %s", path, said);
    if (!read || !set)
        return;
    moe_candidate_init(&candidate, moe_hardware_get(set), NULL, NULL);
    for (size_t r = 0; r < moe_measured_count(table); r++) {
        const moe_measured_row *row = moe_measured_at(table, r);
        if (!runs[i].choose(row))
            continue;
        double us = moe_predict(&candidate, row);
        MOE_CHECK(us > 0, "%s: a row is not foretold", runs[i].what);
        sum += fabs(us / row->time_us - 1);
        n++;
    }
    moe_candidate_clear(&candidate);
    printf("\n    %-40s %4zu rows, mean error %4.1f %%", runs[i].what, n, 100 * sum / (double)n);
    if (runs[i].bound > 0)
        printf(" (within %.0f %%)", 100 * runs[i].bound);
    MOE_CHECK(n == runs[i].rows, "%s: %zu rows", runs[i].what, n);
    if (runs[i].bound > 0)
        MOE_CHECK(sum / (double)n <= runs[i].bound, "%s", runs[i].what);
}

static void
tables(void)
{
    if (access(FOLDER, R_OK)) {
        moe_test_skip("no measured tables at " FOLDER);
        return;
    }
    for (size_t i = 0; i < MOE_COUNT(runs); i++)
        check(i);
    printf("\n");
}

/* DeepEP's README (docs/legacy.md), low latency on 64 H800: 128 tokens of 7168, 8 experts each; its
 * bandwidths are the bytes that we count, by its times. */
static void
counted_bytes(void)
{
    static const struct {
        bool combine;
        double us, bytes_per_s;
    } readme[] = {{false, 173, 43e9}, {true, 314, 46e9}};
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(moe_hardware_set) set = moe_hardware_load("dgx-h100", NULL, (moe_loc){0}, diag, NULL);

    for (size_t i = 0; i < MOE_COUNT(readme); i++) {
        moe_exchange call = {.network = &moe_hardware_get(set)->network,
                             .mode = MOE_EXCHANGE_LOW_LATENCY,
                             .combine = readme[i].combine,
                             .ranks = 64,
                             .experts = 256,
                             .top_k = 8,
                             .tokens = 128,
                             .hidden = 7168,
                             .bits = readme[i].combine ? 16 : 8,
                             .sms = 132,
                             .spread = {.busiest = 1}};
        moe_exchange_cost cost;
        CU_ASSERT_TRUE(moe_exchange_time(&call, &cost));
        double bytes = cost.near_bytes + cost.far_bytes;
        double theirs = readme[i].us / 1e6 * readme[i].bytes_per_s;
        MOE_CHECK(fabs(bytes / theirs - 1) < 0.03, "%g bytes, %g", bytes, theirs);
    }
}

MOE_TESTS({"measured tables", tables}, {"DeepEP's counts", counted_bytes})
