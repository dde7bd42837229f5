/* alibaba/InferSim's bench_data. The device, and of attention the shape, stand in the file's name:
 * bench_data_KIND_DEVICE_data.csv and bench_data_KIND_PHASE_DEVICE_[NAME-]A-B-C.csv. Products are
 * DeepGEMM's, of FP8 with scales of blocks; attention is FlashAttention-3's and FlashMLA's. */
#include "profiler/tables.h"

#include "sim/base/units.h"

#include <string.h>

/* ---- the file's name ---- */

/* Numbers joined by '-', behind an optional word: "128-512-64", "attn-128-576-2048". */
static uint32_t
shape_numbers(const char *text, int64_t *out, uint32_t max)
{
    g_auto(GStrv) words = g_strsplit(text, "-", -1);
    uint32_t n = 0;
    for (size_t i = 0; words[i]; i++) {
        int64_t value = 0;
        if (!moe_parse_int(words[i], &value) || value <= 0 || value > 65536) {
            if (i > 0)
                return 0;
            continue;
        }
        if (n == max)
            return 0;
        out[n++] = value;
    }
    return n;
}

/* The parts of the name, with the last two at the end: device and shape. */
static bool
read_name(moe_foreign *f, uint32_t wanted, const char *example)
{
    g_autofree char *stem = moe_foreign_stem(f);
    g_auto(GStrv) parts = g_strsplit(stem, "_", -1);
    uint32_t n = g_strv_length(parts);
    moe_loc file = {.file = f->lines->file};

    f->row.source = moe_measured_intern(f->table, "InferSim");
    f->row.framework = moe_measured_intern(f->table, "infersim");
    if (n < 2 || !g_utf8_validate(stem, -1, NULL) ||
        (wanted && shape_numbers(parts[n - 1], f->shape, MOE_COUNT(f->shape)) != wanted)) {
        moe_diag_error(f->lines->diag, file,
                       "an InferSim table says its device%s in its name, such as %s",
                       wanted ? " and shape" : "", example);
        return false;
    }
    f->row.device = moe_measured_intern(f->table, parts[n - 2]);
    moe_foreign_note(f, "device '%s'%s by the file's name", f->row.device,
                     wanted ? " and shape" : "");
    return true;
}

static bool
name_says(const moe_foreign *f, const char *word)
{
    g_autofree char *stem = moe_foreign_stem(f);
    return strstr(stem, word) != NULL;
}

static void
set_dtype(moe_foreign *f, const char *name)
{
    moe_foreign_type dtype = {0};
    bool known = moe_foreign_find_dtype(name, &dtype);
    moe_assert(known, "dtype %s", name);
    f->row.dtype = moe_measured_intern(f->table, dtype.common);
    f->row.weight_bits = dtype.weight_bits;
    f->row.activation_bits = dtype.activation_bits;
}

/* ---- grouped products ---- */

enum {
    G_EXPERTS,
    G_RANKS,
    G_LOCAL,
    G_TOP_K,
    G_HIDDEN,
    G_WIDTH,
    G_BATCH,
    G_LENGTH,
    G_EACH,
    G_UP,
    G_DOWN,
    N_GROUPED
};

static const moe_layout_column grouped_columns[N_GROUPED] = {
    [G_EXPERTS] = {"num_experts", true},       [G_RANKS] = {"num_gpus", true},
    [G_LOCAL] = {"num_local_experts", true},   [G_TOP_K] = {"topk", true},
    [G_HIDDEN] = {"hidden_size", true},        [G_WIDTH] = {"intermediate_size", true},
    [G_BATCH] = {"batch_size_per_gpu", false}, [G_LENGTH] = {"seq_len_per_gpu", false},
    [G_EACH] = {"tokens_per_expert", true},    [G_UP] = {"up_proj_us", true},
    [G_DOWN] = {"down_proj_us", true},
};

static bool
begin_grouped(moe_foreign *f)
{
    if (!read_name(f, 0, "bench_data_grouped_gemm_decode_h800_data.csv"))
        return false;
    f->row.kind = MOE_MEASURED_EXPERTS;
    f->row.kernel = moe_measured_intern(f->table, f->at[G_BATCH] >= 0 ? "deepgemm_masked"
                                                                      : "deepgemm_contiguous");
    set_dtype(f, "fp8_block");
    return true;
}

static void
read_grouped(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    int64_t local = moe_foreign_whole(f, G_LOCAL, 1, 1), each = moe_foreign_whole(f, G_EACH, 1, 1);

    row->hidden = moe_foreign_whole(f, G_HIDDEN, 1, 1);
    row->width = moe_foreign_whole(f, G_WIDTH, 1, 1);
    row->top_k = moe_foreign_whole(f, G_TOP_K, 1, 1);
    row->ep = moe_foreign_whole(f, G_RANKS, 1, 1);
    row->experts = local;
    row->tokens = row->ep * (moe_foreign_has(f, G_BATCH) ? moe_foreign_whole(f, G_BATCH, 1, 1)
                                                         : moe_foreign_whole(f, G_LENGTH, 1, 1));
    if (f->failed)
        return;
    if (local > MOE_MEASURED_MOST_EXPERTS || each > row->tokens ||
        row->tokens > MOE_MEASURED_MOST_TOKENS) {
        moe_foreign_fail(f, G_EACH, "more experts or tokens than there can be");
        return;
    }
    uint32_t *loads = moe_measured_loads(f->table, (uint32_t)local);
    for (int64_t i = 0; i < local; i++)
        loads[i] = (uint32_t)each;
    row->loads = loads;
    row->n_loads = (uint32_t)local;
    row->draws = 1;
    row->part = MOE_MEASURED_UP;
    moe_foreign_add(f, moe_foreign_real(f, G_UP, 0));
    row->part = MOE_MEASURED_DOWN;
    row->distinct = 0;
    moe_foreign_add(f, moe_foreign_real(f, G_DOWN, 0));
}

#define INFERSIM(symbol, name_, help_, columns_, n_, begin_, row_)                                 \
    const moe_layout moe_layout_##symbol = {                                                       \
        .name = "InferSim " name_,                                                                 \
        .help = help_,                                                                             \
        .columns = columns_,                                                                       \
        .n_columns = n_,                                                                           \
        .unit = "microseconds",                                                                    \
        .microseconds = 1,                                                                         \
        .begin = begin_,                                                                           \
        .row = row_,                                                                               \
    }

INFERSIM(infersim_grouped, "grouped_gemm", "experts, parts up and down, evenly loaded",
         grouped_columns, N_GROUPED, begin_grouped, read_grouped);

/* ---- products ---- */

enum { P_M, P_K, P_N, P_TIME, P_MFU, N_PRODUCT };

static const moe_layout_column product_columns[N_PRODUCT] = {
    [P_M] = {"m", true},      [P_K] = {"k", true},
    [P_N] = {"n", true},      [P_TIME] = {"latency_us", true},
    [P_MFU] = {"mfu", false},
};

static bool
begin_product(moe_foreign *f)
{
    if (!read_name(f, 0, "bench_data_gemm_h800_data.csv"))
        return false;
    f->row.kind = MOE_MEASURED_GEMM;
    f->row.kernel = moe_measured_intern(f->table, "deepgemm");
    set_dtype(f, "fp8_block");
    return true;
}

static void
read_product(moe_foreign *f)
{
    f->row.m = moe_foreign_whole(f, P_M, 1, 1);
    f->row.n = moe_foreign_whole(f, P_N, 1, 1);
    f->row.k = moe_foreign_whole(f, P_K, 1, 1);
    moe_foreign_add(f, moe_foreign_real(f, P_TIME, 0));
}

INFERSIM(infersim_gemm, "gemm", "gemm", product_columns, N_PRODUCT, begin_product, read_product);

/* ---- attention: MHA, MLA and sparse MLA ---- */

/* What the three numbers of the name are: heads, KV heads, width of a head; of MLA's decode heads,
 * latent, rope; of its prompts heads, width, rope; of sparse MLA heads, latent and rope, keys. */
static void
set_shape(moe_foreign *f, bool decode)
{
    moe_measured_row *row = &f->row;
    row->kind = MOE_MEASURED_ATTENTION;
    row->heads = f->shape[0];
    if (name_says(f, "dsa_")) {
        row->variant = MOE_MEASURED_SPARSE;
        row->rope_dim = 64;
        row->kv_rank = f->shape[1] - row->rope_dim;
        row->head_dim = row->value_dim = 128;
        row->kv_heads = 1;
        row->selected = f->shape[2];
    } else if (name_says(f, "mla_")) {
        row->variant = MOE_MEASURED_MLA;
        row->head_dim = row->value_dim = decode ? 128 : f->shape[1];
        row->kv_rank = decode ? f->shape[1] : 512;
        row->rope_dim = f->shape[2];
        row->kv_heads = decode ? 1 : row->heads;
    } else {
        row->kv_heads = f->shape[1];
        row->head_dim = f->shape[2];
    }
}

enum { D_DTYPE, D_KV_DTYPE, D_BATCH, D_LENGTH, D_TIME, D_MFU, N_DECODE };

static const moe_layout_column decode_columns[N_DECODE] = {
    [D_DTYPE] = {"dtype", true},      [D_KV_DTYPE] = {"kv_dtype", true},
    [D_BATCH] = {"batch_size", true}, [D_LENGTH] = {"kv_len", true},
    [D_TIME] = {"latency_us", true},  [D_MFU] = {"mfu", false},
};

static bool
begin_attention(moe_foreign *f, bool decode, const char *example)
{
    if (!read_name(f, 3, example))
        return false;
    set_shape(f, decode);
    f->row.kernel = moe_measured_intern(
        f->table, f->row.variant == MOE_MEASURED_PLAIN ? "flash_attention_3" : "flashmla");
    return true;
}

static bool
begin_decode(moe_foreign *f)
{
    return begin_attention(f, true, "bench_data_mha_decode_h800_32-4-128.csv");
}

static void
set_dtypes(moe_foreign *f, int computed, int cached)
{
    moe_foreign_type dtype = {0}, kv = {0};
    if (!moe_foreign_dtype(f, computed, &dtype))
        return;
    kv = dtype;
    if (cached >= 0 && !moe_foreign_dtype(f, cached, &kv))
        return;
    f->row.dtype = moe_measured_intern(f->table, dtype.common);
    f->row.kv_dtype = moe_measured_intern(f->table, kv.common);
    f->row.weight_bits = f->row.kv_bits = kv.weight_bits;
    f->row.activation_bits = dtype.activation_bits;
}

static void
read_decode(moe_foreign *f)
{
    set_dtypes(f, D_DTYPE, D_KV_DTYPE);
    f->row.sequences = moe_foreign_whole(f, D_BATCH, 1, 1);
    f->row.context = moe_foreign_whole(f, D_LENGTH, 1, 1);
    f->row.queries = 1;
    moe_foreign_add(f, moe_foreign_real(f, D_TIME, 0));
}

INFERSIM(infersim_decode, "mha_decode, mla_decode, dsa_decode", "attention", decode_columns,
         N_DECODE, begin_decode, read_decode);

enum { F_DTYPE, F_QUERIES, F_KEYS, F_TIME, F_MFU, N_PREFILL };

static const moe_layout_column prefill_columns[N_PREFILL] = {
    [F_DTYPE] = {"dtype", true},     [F_QUERIES] = {"s_q", true}, [F_KEYS] = {"s_kv", true},
    [F_TIME] = {"latency_us", true}, [F_MFU] = {"mfu", false},
};

static bool
begin_prefill(moe_foreign *f)
{
    return begin_attention(f, false, "bench_data_dsa_prefill_h800_attn-128-576-2048.csv");
}

static void
read_prefill(moe_foreign *f)
{
    set_dtypes(f, F_DTYPE, -1);
    f->row.sequences = 1;
    f->row.queries = moe_foreign_whole(f, F_QUERIES, 1, 1);
    f->row.context = moe_foreign_whole(f, F_KEYS, 1, 1);
    moe_foreign_add(f, moe_foreign_real(f, F_TIME, 0));
}

INFERSIM(infersim_prefill, "dsa_prefill", "attention of variant sparse", prefill_columns, N_PREFILL,
         begin_prefill, read_prefill);

enum { L_DTYPE, L_LENGTH, L_TIME, L_MFU, N_MLA_PREFILL };

static const moe_layout_column mla_columns[N_MLA_PREFILL] = {
    [L_DTYPE] = {"dtype", true},
    [L_LENGTH] = {"seq_len", true},
    [L_TIME] = {"latency_us", true},
    [L_MFU] = {"mfu", false},
};

static bool
begin_mla_prefill(moe_foreign *f)
{
    return begin_attention(f, false, "bench_data_mla_prefill_h800_128-128-64.csv");
}

static void
read_mla_prefill(moe_foreign *f)
{
    set_dtypes(f, L_DTYPE, -1);
    f->row.sequences = 1;
    f->row.queries = f->row.context = moe_foreign_whole(f, L_LENGTH, 1, 1);
    moe_foreign_add(f, moe_foreign_real(f, L_TIME, 0));
}

INFERSIM(infersim_prefill_mla, "mla_prefill, mha_prefill", "attention", mla_columns, N_MLA_PREFILL,
         begin_mla_prefill, read_mla_prefill);

/* ---- scores of sparse attention's indexer: heads and their width ---- */

static bool
begin_scores(moe_foreign *f)
{
    if (!read_name(f, 2, "bench_data_dsa_decode_h800_logits-64-128.csv"))
        return false;
    f->row.kind = MOE_MEASURED_ATTENTION;
    f->row.variant = MOE_MEASURED_SCORES;
    f->row.heads = f->shape[0];
    f->row.kv_heads = 1;
    f->row.head_dim = f->shape[1];
    f->row.kernel = moe_measured_intern(f->table, "deepgemm_mqa_logits");
    set_dtype(f, "fp8");
    f->row.kv_bits = 8;
    return true;
}

enum { S_BATCH, S_NEXT, S_KEYS, S_TIME, S_MFU, N_SCORES };

static const moe_layout_column decode_scores_columns[N_SCORES] = {
    [S_BATCH] = {"batchsize", true}, [S_NEXT] = {"next_n", true}, [S_KEYS] = {"s_kv", true},
    [S_TIME] = {"latency_us", true}, [S_MFU] = {"mfu", false},
};

static void
read_decode_scores(moe_foreign *f)
{
    f->row.sequences = moe_foreign_whole(f, S_BATCH, 1, 1);
    f->row.queries = moe_foreign_whole(f, S_NEXT, 1, 1);
    f->row.context = moe_foreign_whole(f, S_KEYS, 1, 1);
    moe_foreign_add(f, moe_foreign_real(f, S_TIME, 0));
}

INFERSIM(infersim_decode_scores, "dsa_decode logits", "attention of variant scores",
         decode_scores_columns, N_SCORES, begin_scores, read_decode_scores);

enum { R_QUERIES, R_KEYS, R_TIME, R_MFU, N_PROMPT_SCORES };

static const moe_layout_column prefill_scores_columns[N_PROMPT_SCORES] = {
    [R_QUERIES] = {"s_q", true},
    [R_KEYS] = {"s_kv", true},
    [R_TIME] = {"latency_us", true},
    [R_MFU] = {"mfu", false},
};

static void
read_prefill_scores(moe_foreign *f)
{
    f->row.sequences = 1;
    f->row.queries = moe_foreign_whole(f, R_QUERIES, 1, 1);
    f->row.context = moe_foreign_whole(f, R_KEYS, 1, 1);
    moe_foreign_add(f, moe_foreign_real(f, R_TIME, 0));
}

INFERSIM(infersim_prefill_scores, "dsa_prefill logits", "attention of variant scores",
         prefill_scores_columns, N_PROMPT_SCORES, begin_scores, read_prefill_scores);
