/* aiconfigurator: moe_perf, the routed experts of a layer on the rank that is loaded most, and
 * gemm_perf. */
#include "profiler/measured_columns.h"
#include "profiler/routing_draws.h"
#include "profiler/tables_aic.h"

#include <string.h>

enum {
    MOE_DTYPE = AIC_OWN,
    TOKENS,
    HIDDEN,
    INTER,
    TOP_K,
    EXPERTS,
    TP,
    EP,
    DISTRIBUTION,
    SLOTS,
    N_MOE
};

static const moe_layout_column moe_list[N_MOE] = {
    AIC_COLUMNS,
    [AIC_LATENCY] = {"latency", true},
    [MOE_DTYPE] = {"moe_dtype", true},
    [TOKENS] = {"num_tokens", true},
    [HIDDEN] = {"hidden_size", true},
    [INTER] = {"inter_size", true},
    [TOP_K] = {"topk", true},
    [EXPERTS] = {"num_experts", true},
    [TP] = {"moe_tp_size", true},
    [EP] = {"moe_ep_size", true},
    [DISTRIBUTION] = {"distribution", true},
    [SLOTS] = {"num_slots", false},
};

/* Nemotron's experts have no gate: TensorRT-LLM's kernels are called so; benches that run a
 * framework's own layer (their kernels are called "…experts" or after FlashInfer) leave it out for
 * these models, others compute it all the same. */
static int64_t
matrices_of(const moe_measured_row *row, int64_t inter)
{
    static const int64_t gateless[][2] = {
        {2688, 1856}, {4096, 2688}, {1024, 2688}, {2048, 5120}, {8192, 5120}};

    if (strstr(row->kernel, "nongated"))
        return 2;
    if (!g_str_has_suffix(row->kernel, "experts") && !strstr(row->kernel, "flashinfer"))
        return 3;
    for (size_t i = 0; i < MOE_COUNT(gateless); i++)
        if (row->hidden == gateless[i][0] && inter == gateless[i][1])
            return 2;
    return 3;
}

/* DeepSeek-V3's router keeps 4 of 8 groups of experts. Benches that run a framework's own layer run
 * its router, too: vLLM's since its kernels are called "…experts", SGLang's since 0.5.11. Those of
 * TensorRT-LLM renormalise whatever they ask for. */
static void
set_groups(moe_measured_row *row, int64_t inter, int64_t experts)
{
    bool v3 = row->hidden == 7168 && inter == 2048 && experts == 256 && row->top_k == 8;
    bool own = g_str_has_suffix(row->kernel, "experts") ||
               (!strcmp(row->framework, "sglang") && !moe_measured_brings_strays(row->version));

    row->groups = v3 && own ? 8 : 0;
    row->kept = v3 && own ? 4 : 0;
}

/* Who was timed before the rule of draws changed. */
static bool
is_ordered(const moe_measured_row *row)
{
    return !strcmp(row->framework, "vllm") && g_str_has_prefix(row->version, "0.1") &&
           g_ascii_strtoull(row->version + 2, NULL, 10) <= 14;
}

/* Calls in one CUDA graph: SGLang's bench captures five, whatever their routing; vLLM's and
 * TensorRT-LLM's one call of each draw, which is one of a balanced layer. */
static int64_t
calls_of(const moe_measured_row *row)
{
    bool many = strcmp(row->distribution, "balanced") || !strcmp(row->framework, "sglang");
    return many ? MOE_POWER_LAW_DRAWS : 1;
}

/* Whether tokens lie evenly: wide expert parallelism says uniform, and balances by copies of
 * experts (…_eplb). */
static bool
is_even(const char *name)
{
    return !strcmp(name, "balanced") || !strcmp(name, "uniform") || g_str_has_suffix(name, "_eplb");
}

static bool
set_distribution(moe_foreign *f)
{
    double exponent = 0;
    const char *name = moe_foreign_text(f, DISTRIBUTION);
    f->row.distribution = is_even(name) ? moe_measured_intern(f->table, "balanced") : name;
    if (is_even(name) || moe_is_power_law(name, &exponent)) {
        if (strcmp(name, f->row.distribution) && moe_foreign_first(f, 1))
            moe_foreign_note(f, "distribution '%s' is taken as balanced", name);
        return true;
    }
    moe_foreign_fail(f, DISTRIBUTION,
                     "'%s' is no known distribution: balanced, uniform, power_law_A", name);
    return false;
}

static void
read_moe(moe_foreign *f)
{
    moe_foreign_type dtype = {0};
    moe_measured_row *row = &f->row;

    moe_aic_row(f);
    row->kind = MOE_MEASURED_EXPERTS;
    if (!moe_foreign_dtype(f, MOE_DTYPE, &dtype) || !set_distribution(f))
        return;
    row->dtype = moe_measured_intern(f->table, dtype.common);
    row->weight_bits = dtype.weight_bits;
    row->activation_bits = dtype.activation_bits;
    row->tokens = moe_foreign_whole(f, TOKENS, 1, 1);
    row->hidden = moe_foreign_whole(f, HIDDEN, 1, 1);
    row->top_k = moe_foreign_whole(f, TOP_K, 1, 1);
    row->tp = moe_foreign_whole(f, TP, 1, 1);
    row->ep = moe_foreign_whole(f, EP, 1, 1);
    int64_t inter = moe_foreign_whole(f, INTER, 1, 1), all = moe_foreign_whole(f, EXPERTS, 1, 1);
    all = MAX(all, moe_foreign_whole(f, SLOTS, 0, 0)); /* copies of experts, too */
    row->matrices = matrices_of(row, inter);
    row->calls = calls_of(row);
    row->ordered = is_ordered(row);
    set_groups(row, inter, all);
    row->experts = all / row->ep;
    row->width = (inter + row->tp - 1) / row->tp;
    if (all % row->ep)
        moe_foreign_skip(f, "experts that cannot be shared out evenly");
    else
        moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

static void
end_moe(moe_foreign *f)
{
    moe_known_odd_tuning(f->table, f->first);
}

const moe_layout moe_layout_aic_moe = {
    .name = "aiconfigurator moe_perf",
    .help = "experts; tokens are drawn as `distribution` says, on the rank that is loaded most",
    .columns = moe_list,
    .n_columns = N_MOE,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = moe_aic_begin,
    .row = read_moe,
    .end = end_moe,
};

enum { GEMM_DTYPE = AIC_OWN, M, N, K, N_GEMM };

static const moe_layout_column gemm_columns[N_GEMM] = {
    AIC_COLUMNS,
    [AIC_LATENCY] = {"latency", true},
    [GEMM_DTYPE] = {"gemm_dtype", true},
    [M] = {"m", true},
    [N] = {"n", true},
    [K] = {"k", true},
};

static void
read_gemm(moe_foreign *f)
{
    moe_foreign_type dtype = {0};
    moe_measured_row *row = &f->row;

    moe_aic_row(f);
    row->kind = MOE_MEASURED_GEMM;
    /* 60 to 200 us at least, whatever the shape: called from Python one by one. */
    row->graph = !strstr(row->kernel, "BlockScaledMM");
    if (!moe_foreign_dtype(f, GEMM_DTYPE, &dtype))
        return;
    row->dtype = moe_measured_intern(f->table, dtype.common);
    row->weight_bits = dtype.weight_bits;
    row->activation_bits = dtype.activation_bits;
    row->m = moe_foreign_whole(f, M, 1, 1);
    row->n = moe_foreign_whole(f, N, 1, 1);
    row->k = moe_foreign_whole(f, K, 1, 1);
    moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

const moe_layout moe_layout_aic_gemm = {
    .name = "aiconfigurator gemm_perf",
    .help = "gemm",
    .columns = gemm_columns,
    .n_columns = N_GEMM,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = moe_aic_begin,
    .row = read_gemm,
};
