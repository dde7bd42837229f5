/* The tables of DeepGEMM's and DeepEP's READMEs, copied as CSV. They give rates, from which times
 * follow: of DeepGEMM 2 m n k / FLOPS, of DeepEP the bytes that a rank receives over the bandwidth
 * of its bottleneck. The device stands at the end of the file's name (deepgemm_dense_h800.csv). */
#include "profiler/tables.h"

#include <math.h>
#include <string.h>

static bool
begin(moe_foreign *f)
{
    g_autofree char *stem = moe_foreign_stem(f);
    const char *last = strrchr(stem, '_');
    f->row.dtype = moe_measured_intern(f->table, "fp8_block");
    f->row.weight_bits = f->row.activation_bits = 8;
    if (!last || !g_utf8_validate(last, -1, NULL))
        return true;
    f->row.device = moe_measured_intern(f->table, last + 1);
    moe_foreign_note(f, "device '%s' by the file's name", last + 1);
    return true;
}

/* "206 TFLOPS" */
static double
rate_of(moe_foreign *f, int column, const char *unit, double times)
{
    const char *text = moe_foreign_text(f, column);
    char *end = NULL;
    double value = g_ascii_strtod(text, &end);
    while (*end == ' ')
        end++;
    if (end == text || !g_str_has_prefix(end, unit) || !(value > 0) || !isfinite(value)) {
        moe_foreign_fail(f, column, "'%s' wants a number of %s", f->layout->columns[column].name,
                         unit);
        return 1;
    }
    return value * times;
}

/* ---- DeepGEMM ---- */

enum { D_M, D_N, D_K, D_RATE, D_BANDWIDTH, D_SPEEDUP, N_DENSE };

static const moe_layout_column dense_list[N_DENSE] = {
    [D_M] = {"M", true},
    [D_N] = {"N", true},
    [D_K] = {"K", true},
    [D_RATE] = {"Computation", true},
    [D_BANDWIDTH] = {"Memory bandwidth", false},
    [D_SPEEDUP] = {"Speedup", false},
};

static void
set_deepgemm(moe_foreign *f, const char *kernel)
{
    f->row.source = moe_measured_intern(f->table, "DeepGEMM README");
    f->row.framework = moe_measured_intern(f->table, "deepgemm");
    f->row.kernel = moe_measured_intern(f->table, kernel);
}

static void
read_dense(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    set_deepgemm(f, "deepgemm");
    row->kind = MOE_MEASURED_GEMM;
    row->graph = true; /* rates of the kernels alone */
    row->m = moe_foreign_whole(f, D_M, 1, 1);
    row->n = moe_foreign_whole(f, D_N, 1, 1);
    row->k = moe_foreign_whole(f, D_K, 1, 1);
    double flops = 2.0 * (double)row->m * (double)row->n * (double)row->k;
    moe_foreign_add(f, flops / rate_of(f, D_RATE, "TFLOPS", 1e12) * 1e6);
}

const moe_layout moe_layout_deepgemm_dense = {
    .name = "DeepGEMM dense",
    .help = "gemm; times by the rate",
    .columns = dense_list,
    .n_columns = N_DENSE,
    .unit = "microseconds by TFLOPS",
    .microseconds = 1,
    .begin = begin,
    .row = read_dense,
};

enum { G_GROUPS, G_EACH, G_N, G_K, G_RATE, G_BANDWIDTH, G_SPEEDUP, N_GROUPED };

static const moe_layout_column grouped_list[N_GROUPED] = {
    [G_GROUPS] = {"#Groups", true},
    [G_EACH] = {"M per group", true},
    [G_N] = {"N", true},
    [G_K] = {"K", true},
    [G_RATE] = {"Computation", true},
    [G_BANDWIDTH] = {"Memory bandwidth", false},
    [G_SPEEDUP] = {"Speedup", false},
};

/* One product [tokens, k] x [k, n] of each group: the part `up` of experts of width n / 2. */
static void
read_grouped(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    g_autofree char *stem = moe_foreign_stem(f);
    int64_t groups = moe_foreign_whole(f, G_GROUPS, 1, 1);
    int64_t each = moe_foreign_whole(f, G_EACH, 1, 1), n = moe_foreign_whole(f, G_N, 2, 2);

    set_deepgemm(f, strstr(stem, "masked") ? "deepgemm_masked" : "deepgemm_contiguous");
    row->kind = MOE_MEASURED_EXPERTS;
    row->part = MOE_MEASURED_UP;
    row->hidden = moe_foreign_whole(f, G_K, 1, 1);
    row->width = n / 2;
    row->experts = groups;
    row->top_k = 1;
    row->tokens = groups * each;
    row->distinct = groups;
    if (f->failed)
        return;
    if (groups > MOE_MEASURED_MOST_EXPERTS || row->tokens > MOE_MEASURED_MOST_TOKENS) {
        moe_foreign_fail(f, G_GROUPS, "more experts or tokens than there can be");
        return;
    }
    double flops = 2.0 * (double)row->tokens * (double)n * (double)row->hidden;
    moe_foreign_add(f, flops / rate_of(f, G_RATE, "TFLOPS", 1e12) * 1e6);
}

const moe_layout moe_layout_deepgemm_grouped = {
    .name = "DeepGEMM grouped",
    .help = "experts, part up, evenly loaded; masked or contiguous by the file's name; times by "
            "the rate",
    .columns = grouped_list,
    .n_columns = N_GROUPED,
    .unit = "microseconds by TFLOPS",
    .microseconds = 1,
    .begin = begin,
    .row = read_grouped,
};

/* ---- DeepEP ---- */

enum { E_TYPE, E_DISPATCH_RANKS, E_DISPATCH, E_COMBINE_RANKS, E_COMBINE, N_DEEPEP };
/* What its README measures: DeepSeek-V3's pretraining setting. */
enum {
    EP_TOKENS = 4096,
    EP_HIDDEN = 7168,
    EP_TOP_K = 8,
    EP_EXPERTS = 256,
    EP_GROUPS = 4,
    EP_PER_NODE = 8
};

static const moe_layout_column deepep_list[N_DEEPEP] = {
    [E_TYPE] = {"Type", true},
    [E_DISPATCH_RANKS] = {"Dispatch #EP", true},
    [E_DISPATCH] = {"Bottleneck bandwidth", true},
    [E_COMBINE_RANKS] = {"Combine #EP", true},
    [E_COMBINE] = {"Bottleneck bandwidth", true},
};

/* Copies of a token that arrive where they are counted: on one node, at each rank with one of its
 * experts, itself included; over nodes, at each node, of at most EP_GROUPS that it may choose from,
 * its own included. */
static double
copies(int64_t ranks)
{
    double places = (double)(ranks <= EP_PER_NODE ? ranks : MIN(ranks / EP_PER_NODE, EP_GROUPS));
    double none = 1;
    for (int i = 0; i < EP_TOP_K; i++)
        none *= 1 - 1 / places;
    return places * (1 - none);
}

static void
add_phase(moe_foreign *f, int collective, int ranks_column, int rate_column)
{
    moe_measured_row *row = &f->row;
    bool dispatch = collective == MOE_MEASURED_DISPATCH;
    double token = dispatch ? EP_HIDDEN * (1 + 4.0 / 128) : EP_HIDDEN * 2;

    row->collective = collective;
    row->ranks = moe_foreign_whole(f, ranks_column, 1, 1);
    row->nodes = (row->ranks + EP_PER_NODE - 1) / EP_PER_NODE;
    row->weight_bits = row->activation_bits = dispatch ? 8 : 16;
    row->dtype = moe_measured_intern(f->table, dispatch ? "fp8" : "bf16");
    moe_foreign_add(f, EP_TOKENS * token * copies(row->ranks) /
                           rate_of(f, rate_column, "GB/s", 1e9) * 1e6);
}

static void
read_deepep(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    row->kind = MOE_MEASURED_COLLECTIVE;
    row->source = moe_measured_intern(f->table, "DeepEP README");
    row->framework = moe_measured_intern(f->table, "deepep");
    row->algorithm = moe_measured_intern(f->table, "deepep_normal");
    row->tokens = EP_TOKENS;
    row->hidden = EP_HIDDEN;
    row->top_k = EP_TOP_K;
    row->experts = EP_EXPERTS;
    add_phase(f, MOE_MEASURED_DISPATCH, E_DISPATCH_RANKS, E_DISPATCH);
    add_phase(f, MOE_MEASURED_COMBINE, E_COMBINE_RANKS, E_COMBINE);
}

const moe_layout moe_layout_deepep_readme = {
    .name = "DeepEP normal kernels",
    .help = "dispatch and combine of 4096 tokens; times by the bandwidth",
    .columns = deepep_list,
    .n_columns = N_DEEPEP,
    .unit = "microseconds by GB/s",
    .microseconds = 1,
    .begin = begin,
    .row = read_deepep,
};
