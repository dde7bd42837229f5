/* Collectives and exchanges of tokens against ai-dynamo/aiconfigurator's tables, where those are.
 * The presets' numbers were fitted on 2 and 4 GPUs, on 13 of 18 shapes of tokens (12 of 16 of
 * low-latency kernels) and on 2 nodes (normal: 2 and 4); what is held to a bound here was not among
 * them, unless it says so. Of the H800 nothing was fitted. */
#include "hw/collective.h"
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

static moe_hardware_set *
machine(const char *name)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_hardware_set *set = moe_hardware_load(name, NULL, (moe_loc){0}, diag, NULL);
    CU_ASSERT_FATAL(set != NULL);
    return set;
}

/* The rest of that README: low latency between nodes of H800, by RDMA, of which nothing was fitted.
 * (On one node it goes by RDMA too, which we do not model.) */
static void
low_latency_of_h800(void)
{
    static const struct {
        int64_t ranks;
        double dispatch_us, combine_us;
    } readme[] = {{16, 118, 195}, {32, 155, 273}, {64, 173, 314}, {128, 192, 369}, {256, 194, 360}};
    g_autoptr(moe_hardware_set) set = machine("server-h800");
    double sum = 0;

    for (size_t i = 0; i < MOE_COUNT(readme); i++) {
        moe_exchange call = {.network = &moe_hardware_get(set)->network,
                             .mode = MOE_EXCHANGE_LOW_LATENCY,
                             .ranks = readme[i].ranks,
                             .experts = 256,
                             .top_k = 8,
                             .tokens = 128,
                             .hidden = 7168,
                             .bits = 8,
                             .sms = 132,
                             .spread = {.busiest = 1}};
        moe_exchange_cost there, back;
        CU_ASSERT_TRUE(moe_exchange_time(&call, &there));
        call.combine = true;
        call.bits = 16;
        CU_ASSERT_TRUE(moe_exchange_time(&call, &back));
        double dispatch = (double)there.total_ps / 1e6, combine = (double)back.total_ps / 1e6;
        printf("\n    %3d ranks: dispatch %3.0f us, got %3.0f; combine %3.0f us, got %3.0f",
               (int)readme[i].ranks, readme[i].dispatch_us, dispatch, readme[i].combine_us,
               combine);
        sum +=
            fabs(dispatch / readme[i].dispatch_us - 1) + fabs(combine / readme[i].combine_us - 1);
    }
    printf("\n    mean error %.1f %%\n", 100 * sum / 2 / MOE_COUNT(readme));
    MOE_CHECK(sum / 2 / MOE_COUNT(readme) < 0.12, "%g", sum);
}

static double
all_to_all_us(const moe_hardware_set *set, const char *algorithm, int64_t ranks, double bytes)
{
    moe_collective call = {.network = &moe_hardware_get(set)->network,
                           .op = MOE_ALL_TO_ALL,
                           .ranks = ranks,
                           .bytes = bytes,
                           .addable = true};
    moe_collective_cost cost;
    CU_ASSERT_TRUE(moe_collective_time(&call, moe_collective_find(algorithm), &cost));
    return (double)cost.total_ps / 1e6;
}

/* Tutel (arXiv 2206.03382) on Azure's A100 machines: Table 2's four all-to-all of 64K tokens, top
 * 2, 4096 floats, on 16 GPUs; two dimensions win where messages are short, the direct way where
 * they are long and the machine is small. */
static void
tutel(void)
{
    const double mib = 1048576;
    g_autoptr(moe_hardware_set) set = machine("azure-ndv4");
    double ms = 4 * all_to_all_us(set, "direct", 16, 65536.0 * 2 * 4096 * 4) / 1e3;

    printf("\n    four all-to-all on 16 GPUs: 189.1 ms, got %.1f", ms);
    MOE_CHECK(fabs(ms / 189.1 - 1) < 0.1, "%g ms", ms);
    for (int64_t ranks = 64; ranks <= 2048; ranks *= 2) {
        double direct = all_to_all_us(set, "direct", ranks, mib);
        double two = all_to_all_us(set, "2dh", ranks, mib);
        printf("\n    1 MiB on %4d GPUs: direct %5.0f us, two-dimensional %4.0f", (int)ranks,
               direct, two);
        MOE_CHECK(two < direct, "%d ranks", (int)ranks);
    }
    for (int64_t ranks = 16; ranks <= 64; ranks *= 2)
        MOE_CHECK(all_to_all_us(set, "direct", ranks, 256 * mib) <
                      all_to_all_us(set, "2dh", ranks, 256 * mib),
                  "%d ranks", (int)ranks);
    printf("\n");
}

MOE_TESTS({"measured tables", tables}, {"DeepEP's counts", counted_bytes},
          {"low latency of H800", low_latency_of_h800}, {"Tutel", tutel})
