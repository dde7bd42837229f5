/* aiconfigurator: context and generation attention, MLA kernels, and MLA modules with their
 * projections. A prompt of isl tokens stands behind `step` tokens in the cache; a decode reads isl
 * + step. The tables of MLA do not say its widths: they are DeepSeek-V3's. */
#include "profiler/tables_aic.h"

#include <string.h>

enum { MLA_ALL_HEADS = 128 };
enum { MLA_LATENT = 512, MLA_ROPE = 64, MLA_HEAD = 128, MLA_Q = 1536, MLA_HIDDEN = 7168 };
enum { SPARSE_KEYS = 2048 }; /* of DeepSeek-V3.2's sparse attention */

/* queries, context and sequences of the line at hand. */
static void
set_lengths(moe_foreign *f, bool prompt, int batch, int isl, int step)
{
    int64_t fresh = moe_foreign_whole(f, isl, 1, 1);
    f->row.sequences = moe_foreign_whole(f, batch, 1, 1);
    f->row.context = fresh + moe_foreign_whole(f, step, 0, 0);
    f->row.queries = prompt ? fresh : 1;
}

static bool
is_prompt(const moe_foreign *f, const char *op)
{
    return strstr(op, "context") != NULL;
}

static bool
set_dtypes(moe_foreign *f, int computed, int cached)
{
    moe_foreign_type dtype = {0}, kv = {0};
    if (!moe_foreign_dtype(f, computed, &dtype) || !moe_foreign_dtype(f, cached, &kv))
        return false;
    f->row.kind = MOE_MEASURED_ATTENTION;
    f->row.dtype = moe_measured_intern(f->table, dtype.common);
    f->row.kv_dtype = moe_measured_intern(f->table, kv.common);
    f->row.weight_bits = f->row.kv_bits = kv.weight_bits;
    f->row.activation_bits = dtype.activation_bits;
    return true;
}

/* ---- heads with their own keys ---- */

enum {
    ATTN_DTYPE = AIC_OWN,
    ATTN_KV_DTYPE,
    ATTN_BATCH,
    ATTN_ISL,
    ATTN_STEP,
    ATTN_HEADS,
    ATTN_KV_HEADS,
    ATTN_HEAD_DIM,
    ATTN_WINDOW,
    ATTN_BEAM,
    N_ATTN
};

static const moe_layout_column attention_columns[N_ATTN] = {
    AIC_COLUMNS,
    [AIC_LATENCY] = {"latency", true},
    [ATTN_DTYPE] = {"attn_dtype", true},
    [ATTN_KV_DTYPE] = {"kv_cache_dtype", true},
    [ATTN_BATCH] = {"batch_size", true},
    [ATTN_ISL] = {"isl", true},
    [ATTN_STEP] = {"step", true},
    [ATTN_HEADS] = {"num_heads", true},
    [ATTN_KV_HEADS] = {"num_key_value_heads", true},
    [ATTN_HEAD_DIM] = {"head_dim", true},
    [ATTN_WINDOW] = {"window_size", false},
    [ATTN_BEAM] = {"beam_width", false},
};

static void
read_attention(moe_foreign *f)
{
    moe_measured_row *row = &f->row;

    moe_aic_row(f);
    if (!set_dtypes(f, ATTN_DTYPE, ATTN_KV_DTYPE))
        return;
    set_lengths(f, is_prompt(f, moe_foreign_text(f, AIC_OP)), ATTN_BATCH, ATTN_ISL, ATTN_STEP);
    row->heads = moe_foreign_whole(f, ATTN_HEADS, 1, 1);
    row->kv_heads = moe_foreign_whole(f, ATTN_KV_HEADS, 0, 1);
    row->kv_heads = row->kv_heads ? row->kv_heads : row->heads;
    row->head_dim = moe_foreign_whole(f, ATTN_HEAD_DIM, 1, 1);
    row->window = moe_foreign_whole(f, ATTN_WINDOW, 0, 0);
    if (moe_foreign_whole(f, ATTN_BEAM, 0, 1) > 1)
        moe_foreign_skip(f, "beam search");
    else
        moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

const moe_layout moe_layout_aic_attention = {
    .name = "aiconfigurator context_attention_perf, generation_attention_perf",
    .help = "attention",
    .columns = attention_columns,
    .n_columns = N_ATTN,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = moe_aic_begin,
    .row = read_attention,
};

/* ---- MLA ---- */

enum {
    MLA_DTYPE = AIC_OWN,
    MLA_KV_DTYPE,
    MLA_BATCH,
    MLA_ISL,
    MLA_STEP,
    MLA_HEADS,
    MLA_TP,
    N_MLA,
    MLA_GEMM_DTYPE = N_MLA,
    MLA_MODEL,
    MLA_ARCHITECTURE,
    N_MODULE
};

#define MLA_COLUMNS                                                                                \
    AIC_COLUMNS, [AIC_LATENCY] = {"latency", true}, [MLA_DTYPE] = {"mla_dtype", true},             \
                 [MLA_KV_DTYPE] = {"kv_cache_dtype", true}, [MLA_BATCH] = {"batch_size", true},    \
                 [MLA_ISL] = {"isl", true}, [MLA_STEP] = {"step", true},                           \
                 [MLA_HEADS] = {"num_heads", false}, [MLA_TP] = {"tp_size", false}

static const moe_layout_column mla_columns[N_MLA] = {MLA_COLUMNS};

static bool
begin_mla(moe_foreign *f)
{
    f->row.kv_rank = MLA_LATENT;
    f->row.rope_dim = MLA_ROPE;
    f->row.head_dim = f->row.value_dim = MLA_HEAD;
    f->row.q_rank = MLA_Q;
    f->row.hidden = MLA_HIDDEN;
    return moe_aic_begin(f);
}

/* A prompt's keys and values are those of every head, a decode's stay latent. Old tables say how
 * many devices share DeepSeek-V3's heads, not how many each has. */
static void
set_mla(moe_foreign *f, const char *op)
{
    bool prompt = is_prompt(f, op);
    set_lengths(f, prompt, MLA_BATCH, MLA_ISL, MLA_STEP);
    f->row.tp = MAX(moe_foreign_whole(f, MLA_TP, 0, 1), 1);
    f->row.heads = moe_foreign_whole(f, MLA_HEADS, 1, MAX(MLA_ALL_HEADS / f->row.tp, 1));
    f->row.kv_heads = prompt ? f->row.heads : 1;
}

/* Kernels of attention have no scales for blocks of weights: tables that say so are of SGLang's
 * module (wideep_context_mla_perf, wideep_generation_mla_perf), whose first projection they leave
 * out; prompts are not in a graph. */
static void
make_module(moe_foreign *f, bool prompt)
{
    f->row.variant = MOE_MEASURED_MLA_MODULE;
    f->row.weight_bits = f->row.activation_bits;
    f->row.activation_bits = 16;
    f->row.graph = !prompt;
    if (moe_foreign_first(f, 1))
        moe_foreign_note(f, "fp8_block: a module with its projections, the first of which it has "
                            "not, but is foretold with");
}

static void
read_mla(moe_foreign *f)
{
    moe_aic_row(f);
    if (!set_dtypes(f, MLA_DTYPE, MLA_KV_DTYPE))
        return;
    bool prompt = is_prompt(f, moe_foreign_text(f, AIC_OP));
    set_mla(f, moe_foreign_text(f, AIC_OP));
    f->row.variant = MOE_MEASURED_MLA;
    /* vLLM's calls were not in a graph: none takes less than 240 us, as long as Python does */
    f->row.graph = strcmp(f->row.framework, "vllm") != 0;
    if (!strcmp(f->row.dtype, "fp8_block"))
        make_module(f, prompt);
    moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

const moe_layout moe_layout_aic_mla = {
    .name = "aiconfigurator context_mla_perf, generation_mla_perf",
    .help = "attention of variant mla, with DeepSeek-V3's widths",
    .columns = mla_columns,
    .n_columns = N_MLA,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = begin_mla,
    .row = read_mla,
};

static const moe_layout_column module_columns[N_MODULE] = {
    MLA_COLUMNS,
    [MLA_GEMM_DTYPE] = {"gemm_type", true},
    [MLA_MODEL] = {"model", false},
    [MLA_ARCHITECTURE] = {"architecture", false},
};

/* GLM's heads are of other widths than DeepSeek-V3's. */
static void
set_architecture(moe_foreign *f)
{
    const char *name = moe_foreign_text(f, MLA_ARCHITECTURE);
    if (!g_str_has_prefix(name, "GlmMoeDsa"))
        return;
    f->row.hidden = 6144;
    f->row.q_rank = 2048;
    f->row.head_dim = 192;
    f->row.value_dim = 256;
}

/* What looks like a module of MLA, but is not; NULL: it is. */
static const char *
other_module(const char *op)
{
    if (strstr(op, "dsv4"))
        return "DeepSeek-V4's attention over compressed keys";
    if (strstr(op, "skip_indexer"))
        return "a layer that selects its keys as the layer before did";
    return NULL;
}

static void
read_module(moe_foreign *f)
{
    moe_foreign_type gemm = {0};
    const char *op = moe_foreign_text(f, AIC_OP);
    bool sparse = g_str_has_prefix(op, "dsa");

    moe_aic_row(f);
    if (other_module(op)) {
        moe_foreign_skip(f, other_module(op));
        return;
    }
    set_architecture(f);
    if (!set_dtypes(f, MLA_DTYPE, MLA_KV_DTYPE) || !moe_foreign_dtype(f, MLA_GEMM_DTYPE, &gemm))
        return;
    set_mla(f, op);
    f->row.dtype = moe_measured_intern(f->table, gemm.common);
    f->row.weight_bits = gemm.weight_bits;
    f->row.variant = sparse ? MOE_MEASURED_SPARSE_MODULE : MOE_MEASURED_MLA_MODULE;
    f->row.selected = sparse ? SPARSE_KEYS : 0;
    moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

const moe_layout moe_layout_aic_mla_module = {
    .name = "aiconfigurator mla_context_module_perf, mla_generation_module_perf",
    .help = "attention of variant mla_module (sparse_module), with DeepSeek-V3's widths",
    .columns = module_columns,
    .n_columns = N_MODULE,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = begin_mla,
    .row = read_module,
};
