/* aiconfigurator: parts of layers that are timed alone. Products of MLA's heads (mla_bmm_perf),
 * quantising activations (computescale_perf, scale_matrix_perf), and layers with a state in the
 * keys' place (gdn_perf, mamba2_perf), of which the recurrences are read: a convolution over the
 * last few tokens is no attention. */
#include "profiler/tables_aic.h"

#include <string.h>

/* ---- a product for each head ---- */

enum { BMM_DTYPE = AIC_OWN, BMM_TOKENS, BMM_HEADS, N_BMM };
enum { HEAD = 128, LATENT = 512 }; /* DeepSeek-V3's */

static const moe_layout_column bmm_columns[N_BMM] = {
    AIC_COLUMNS,
    [AIC_LATENCY] = {"latency", true},
    [BMM_DTYPE] = {"bmm_dtype", true},
    [BMM_TOKENS] = {"num_tokens", true},
    [BMM_HEADS] = {"num_heads", true},
};

static bool
set_type(moe_foreign *f, int column)
{
    moe_foreign_type dtype = {0};
    if (!moe_foreign_dtype(f, column, &dtype))
        return false;
    f->row.dtype = moe_measured_intern(f->table, dtype.common);
    f->row.weight_bits = dtype.weight_bits;
    f->row.activation_bits = dtype.activation_bits;
    return true;
}

/* Before the kernel of a decode queries become latent, after it values come out of the latent. */
static void
read_bmm(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    bool before = strstr(moe_foreign_text(f, AIC_OP), "pre") != NULL;

    moe_aic_row(f);
    if (!set_type(f, BMM_DTYPE))
        return;
    row->kind = MOE_MEASURED_OPERATION;
    row->operation = MOE_MEASURED_HEAD_PRODUCTS;
    row->tokens = moe_foreign_whole(f, BMM_TOKENS, 1, 1);
    row->heads = moe_foreign_whole(f, BMM_HEADS, 1, 1);
    row->kv_heads = row->heads;
    row->head_dim = before ? HEAD : LATENT;
    row->width = before ? LATENT : HEAD;
    moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

const moe_layout moe_layout_aic_mla_bmm = {
    .name = "aiconfigurator mla_bmm_perf",
    .help = "operation head_products, a product for each head, with DeepSeek-V3's widths",
    .columns = bmm_columns,
    .n_columns = N_BMM,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = moe_aic_begin,
    .row = read_bmm,
};

/* ---- quantising ---- */

enum { Q_DTYPE = AIC_OWN, Q_M, Q_K, N_Q };

static const moe_layout_column quantise_columns[N_Q] = {
    AIC_COLUMNS,
    [AIC_LATENCY] = {"latency", true},
    [Q_DTYPE] = {"quant_dtype", true},
    [Q_M] = {"m", true},
    [Q_K] = {"k", true},
};

static void
read_quantise(moe_foreign *f)
{
    moe_aic_row(f);
    if (!set_type(f, Q_DTYPE))
        return;
    f->row.kind = MOE_MEASURED_OPERATION;
    f->row.operation = MOE_MEASURED_QUANTISE;
    f->row.tokens = moe_foreign_whole(f, Q_M, 1, 1);
    f->row.hidden = moe_foreign_whole(f, Q_K, 1, 1);
    moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

const moe_layout moe_layout_aic_quantise = {
    .name = "aiconfigurator computescale_perf, scale_matrix_perf",
    .help = "operation quantise",
    .columns = quantise_columns,
    .n_columns = N_Q,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = moe_aic_begin,
    .row = read_quantise,
};

/* ---- a state in the keys' place ---- */

enum { LIN_PHASE = AIC_OWN, LIN_BATCH, LIN_LENGTH, LIN_COMMON };
enum { GDN_HEADS = LIN_COMMON, GDN_KEY, GDN_VALUE, N_GDN };
enum { MAMBA_HEADS = LIN_COMMON, MAMBA_STATE, MAMBA_HEAD, N_MAMBA };

#define LINEAR_COLUMNS                                                                             \
    AIC_COLUMNS, [AIC_LATENCY] = {"latency", true}, [LIN_PHASE] = {"phase", true},                 \
                 [LIN_BATCH] = {"batch_size", true}, [LIN_LENGTH] = {"seq_len", true}

static const moe_layout_column gdn_columns[N_GDN] = {
    LINEAR_COLUMNS,
    [GDN_HEADS] = {"num_v_heads", true},
    [GDN_KEY] = {"head_k_dim", true},
    [GDN_VALUE] = {"head_v_dim", true},
};

static const moe_layout_column mamba_columns[N_MAMBA] = {
    LINEAR_COLUMNS,
    [MAMBA_HEADS] = {"nheads", true},
    [MAMBA_STATE] = {"d_state", true},
    [MAMBA_HEAD] = {"head_dim", true},
};

static void
read_linear(moe_foreign *f, int heads, int key, int value)
{
    moe_measured_row *row = &f->row;
    bool prompt = !strcmp(moe_foreign_text(f, LIN_PHASE), "context");

    moe_aic_row(f);
    if (strstr(row->kernel, "conv")) {
        moe_foreign_skip(f, "a convolution");
        return;
    }
    row->kind = MOE_MEASURED_ATTENTION;
    row->variant = MOE_MEASURED_LINEAR;
    row->dtype = row->kv_dtype = moe_measured_intern(f->table, "bf16");
    row->sequences = moe_foreign_whole(f, LIN_BATCH, 1, 1);
    row->context = moe_foreign_whole(f, LIN_LENGTH, 0, 1);
    row->context = MAX(row->context, 1);
    row->queries = prompt ? row->context : 1;
    row->heads = row->kv_heads = moe_foreign_whole(f, heads, 1, 1);
    row->head_dim = moe_foreign_whole(f, key, 1, 1);
    row->value_dim = moe_foreign_whole(f, value, 1, 1);
    moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

static void
read_gdn(moe_foreign *f)
{
    read_linear(f, GDN_HEADS, GDN_KEY, GDN_VALUE);
}

static void
read_mamba(moe_foreign *f)
{
    read_linear(f, MAMBA_HEADS, MAMBA_STATE, MAMBA_HEAD);
}

const moe_layout moe_layout_aic_gdn = {
    .name = "aiconfigurator gdn_perf",
    .help = "attention of variant linear (gated delta rule)",
    .columns = gdn_columns,
    .n_columns = N_GDN,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = moe_aic_begin,
    .row = read_gdn,
};

const moe_layout moe_layout_aic_mamba = {
    .name = "aiconfigurator mamba2_perf",
    .help = "attention of variant linear (state space)",
    .columns = mamba_columns,
    .n_columns = N_MAMBA,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = moe_aic_begin,
    .row = read_mamba,
};
