/* NetX-lab/Frontier's profiles: data_profiling_compute_DEVICE_MODEL_TABLE.csv, milliseconds,
 * medians of each operation in a column time_stats.NAME.median. The experts' loads are rebuilt from
 * what the row says of them: how many choices, over how many experts, the largest share and the
 * coefficient of variation; tables that say nothing are taken as even. Products take a head's width
 * as 128 where the model's is not said and would be less (Qwen3's is, whatever its hidden size).
 *
 * Two collectors wrote them. The older one's tables do not say what was measured (no column
 * measurement_type): its layers are of PyTorch's own operations, several kernels each, and call
 * their experts one after another: 60 small ones take twice as long as 30, whatever their tokens.
 * Its version is called in-turn.
 *
 * Times are of two kinds. Those of a profiler are sums of what kernels took on the device, counted
 * in whole nanoseconds: as of a graph. Those of CUDA events are singles, which are no whole number
 * of anything; the host launched one operation after another, and what is measured is the host
 * where the device waits for it. It does not wait where enough is queued: a layer with a head (0.4
 * ms and more for the vocabulary), a router behind 20 experts' products (`prefill_hot`) of enough
 * tokens. */
#include "profiler/tables.h"
#include "sim/base/elementary.h"

#include <math.h>
#include <string.h>

/* Whether the table has a column of how it was measured. */
static bool
says_method(const moe_foreign *f)
{
    for (size_t i = 0; i < f->layout->n_columns; i++)
        if (!strcmp(f->layout->columns[i].name, "measurement_type"))
            return f->at[i] >= 0;
    return false;
}

static bool
begin(moe_foreign *f)
{
    g_autofree char *stem = moe_foreign_stem(f);
    static const char prefix[] = "data_profiling_compute_";
    const char *rest = g_str_has_prefix(stem, prefix) ? stem + strlen(prefix) : stem;
    g_autofree char *device = g_strndup(rest, strcspn(rest, "_"));

    f->row.source = moe_measured_intern(f->table, "Frontier");
    f->row.framework = moe_measured_intern(f->table, "frontier");
    f->row.dtype = moe_measured_intern(f->table, "bf16");
    f->row.version = moe_measured_intern(f->table, says_method(f) ? "" : "in-turn");
    if (!g_utf8_validate(device, -1, NULL))
        return true;
    f->row.device = moe_measured_intern(f->table, device);
    moe_foreign_note(f, "device '%s' by the file's name", device);
    return true;
}

/* Columns of a time: its median, its least and its largest. */
#define TIME(at, name, must)                                                                       \
    [at] = {"time_stats." name ".median", must}, [(at) + 1] = {"time_stats." name ".min", false},  \
    [(at) + 2] = {"time_stats." name ".max", false}
enum { TIMES = 3 }; /* columns of each */

/* Whether a profiler counted it, in nanoseconds; false where the table does not say. */
static bool
is_counted(moe_foreign *f, int column)
{
    for (int i = 1; i < TIMES; i++) {
        double ns = 1e6 * moe_foreign_real(f, column + i, 0);
        if (!(ns > 0) || fabs(ns - rint(ns)) > 1e-10 * ns)
            return false;
    }
    return true;
}

/* A median in the column, if there is one; the column's name is that of the kernel. `queued`: the
 * device did not wait for the host. */
static bool
has_time(moe_foreign *f, int column, bool queued, double *time)
{
    const char *name = f->layout->columns[column].name;
    if (!moe_foreign_has(f, column))
        return false;
    if (f->row.kind != MOE_MEASURED_EXPERTS) {
        g_auto(GStrv) parts = g_strsplit(name, ".", -1);
        f->row.kernel = moe_measured_intern(f->table, parts[1]);
    }
    *time = moe_foreign_real(f, column, 0);
    f->row.graph = queued || is_counted(f, column);
    return !f->failed;
}

static void
add_operation(moe_foreign *f, int column, int operation, bool queued)
{
    double time = 0;
    f->row.kind = MOE_MEASURED_OPERATION;
    f->row.operation = operation;
    if (has_time(f, column, queued, &time))
        moe_foreign_add(f, time);
}

static void
add_product(moe_foreign *f, int column, int64_t m, int64_t n, int64_t k, bool queued)
{
    double time = 0;
    f->row.kind = MOE_MEASURED_GEMM;
    f->row.m = m;
    f->row.n = n;
    f->row.k = k;
    if (has_time(f, column, queued, &time))
        moe_foreign_add(f, time);
}

/* ---- experts ---- */

enum {
    GROUPED,
    UP_EACH = GROUPED + TIMES,
    DOWN_EACH = UP_EACH + TIMES,
    GATE = DOWN_EACH + TIMES,
    TOP_K_TIME = GATE + TIMES,
    ROUTER = TOP_K_TIME + TIMES,
    SHUFFLE = ROUTER + TIMES,
    TOKENS = SHUFFLE + TIMES,
    EXPERTS,
    LOCAL,
    TOP_K,
    HIDDEN,
    WIDTH,
    GATED,
    TP,
    ROUTED,
    UTILISATION,
    VARIATION,
    LARGEST,
    PRECISION,
    BACKEND,
    PATH,
    CONTEXT,
    METHOD,
    N_MOE
};

static const moe_layout_column moe_list[N_MOE] = {
    TIME(GROUPED, "moe_grouped_gemm", true),
    TIME(UP_EACH, "moe_expert_up_proj", false),
    TIME(DOWN_EACH, "moe_expert_down_proj", false),
    TIME(GATE, "moe_gating_linear", false),
    TIME(TOP_K_TIME, "moe_gating_routing_topk", false),
    TIME(ROUTER, "moe_gating", false),
    TIME(SHUFFLE, "moe_shuffling", false),
    [TOKENS] = {"num_tokens", true},
    [EXPERTS] = {"num_experts", true},
    [LOCAL] = {"num_experts_per_device", true},
    [TOP_K] = {"router_topk", true},
    [HIDDEN] = {"hidden_dim", true},
    [WIDTH] = {"expert_hidden_dim", true},
    [GATED] = {"use_gated", false},
    [TP] = {"num_tensor_parallel_workers", true},
    [ROUTED] = {"total_routed_tokens", false},
    [UTILISATION] = {"expert_utilization", false},
    [VARIATION] = {"load_imbalance_cv", false},
    [LARGEST] = {"max_load_ratio", false},
    [PRECISION] = {"profiling_precision", false},
    [BACKEND] = {"moe_grouped_gemm_backend", false},
    [PATH] = {"routing_runtime_path", false},
    [CONTEXT] = {"gating_runtime_context", false},
    [METHOD] = {"measurement_type", false},
};

typedef struct imbalance {
    int64_t sum, experts, used; /* choices, of how many experts, of which some have any */
    double variation, largest;  /* of all experts: standard deviation and largest over the mean */
} imbalance;

static double
ln_odds(double p)
{
    return moe_ln(p / (1 - p));
}

/* Tokens from which 20 experts' products take longer on an A800 than launching them. */
enum { HOT_FROM = 640 };

/* The first expert has the most; the others lie around their mean as quantiles of a logistic
 * distribution do, as wide as the variation that is left says. The sum is exact. */
static void
rebuild(const imbalance *s, uint32_t *loads)
{
    double mean = (double)s->sum / (double)s->experts, rest = (double)(s->used - 1);
    double most = fmin(fmax(rint(s->largest * mean), ceil((double)s->sum / (double)s->used)),
                       (double)(s->sum - (s->used - 1)));
    double middle = rest > 0 ? ((double)s->sum - most) / rest : 0;
    double squares = s->variation * s->variation * mean * mean * (double)s->experts -
                     (most - mean) * (most - mean) - (double)(s->experts - s->used) * mean * mean -
                     rest * (middle - mean) * (middle - mean);
    double spread = 0, wide = 0;
    for (int64_t i = 1; i < s->used; i++) {
        double x = ln_odds(((double)i - 0.5) / rest);
        wide += x * x;
    }
    if (wide > 0 && squares > 0)
        spread = sqrt(squares / wide);
    int64_t left = s->sum - (int64_t)most;

    loads[0] = (uint32_t)most;
    for (int64_t i = 1; i < s->used; i++) {
        int64_t others = s->used - 1 - i; /* each of them has one at the least */
        double load = middle - spread * ln_odds(((double)i - 0.5) / rest);
        int64_t n = (int64_t)rint(fmin(fmax(load, 1), most));
        n = MIN(MAX(n, 1), left - others);
        loads[i] = (uint32_t)(others ? n : left);
        left -= loads[i];
    }
}

static bool
set_loads(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    imbalance s = {.sum = moe_foreign_whole(f, ROUTED, 1, row->tokens * row->top_k),
                   .experts = row->experts,
                   .variation = moe_foreign_real(f, VARIATION, 0),
                   .largest = moe_foreign_real(f, LARGEST, 1)};
    s.used = (int64_t)rint(moe_foreign_real(f, UTILISATION, 1) * (double)s.experts);
    if (f->failed)
        return false;
    if (s.experts > MOE_MEASURED_MOST_EXPERTS || s.sum > s.experts * MOE_MEASURED_MOST_TOKENS ||
        row->tokens > MOE_MEASURED_MOST_TOKENS) {
        moe_foreign_fail(f, TOKENS, "more experts or tokens than there can be");
        return false;
    }
    s.used = MIN(MAX(s.used, 1), MIN(s.experts, s.sum));
    uint32_t *loads = moe_measured_loads(f->table, (uint32_t)s.used);
    rebuild(&s, loads);
    row->loads = loads;
    row->n_loads = (uint32_t)s.used;
    row->draws = 1;
    return true;
}

/* Routing that a table names is a kernel of its own. */
static void
add_top_k(moe_foreign *f, bool hot)
{
    double time = 0;
    const char *path = moe_foreign_text(f, PATH);
    f->row.kind = MOE_MEASURED_OPERATION;
    f->row.operation = MOE_MEASURED_TOP_K;
    if (!has_time(f, TOP_K_TIME, hot, &time))
        return;
    if (*path)
        f->row.kernel = path;
    moe_foreign_add(f, time);
}

/* What the row says beside its experts. The products of one expert are timed over an even share of
 * the tokens. */
static void
add_others(moe_foreign *f, int64_t experts)
{
    moe_measured_row row = f->row, plain = f->base;
    int64_t each = MAX(row.tokens * row.top_k / row.experts, 1);

    plain.line = row.line;
    plain.tokens = row.tokens;
    plain.hidden = row.hidden;
    plain.experts = experts;
    plain.top_k = row.top_k;
    f->row = plain;
    bool hot = !strcmp(moe_foreign_text(f, CONTEXT), "prefill_hot") && row.tokens >= HOT_FROM;
    bool in_turn = f->at[METHOD] < 0;
    add_top_k(f, hot);
    add_operation(f, ROUTER, MOE_MEASURED_ROUTER, false);
    add_operation(f, SHUFFLE, in_turn ? MOE_MEASURED_PERMUTE : MOE_MEASURED_SHUFFLE, false);
    f->row = f->base;
    f->row.line = row.line;
    add_product(f, GATE, row.tokens, experts, row.hidden, hot);
    add_product(f, UP_EACH, each, (row.matrices - 1) * row.width, row.hidden, false);
    add_product(f, DOWN_EACH, each, row.hidden, row.width, false);
}

static void
read_moe(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    moe_foreign_type dtype = {0};
    double time = 0;

    row->kind = MOE_MEASURED_EXPERTS;
    if (moe_foreign_has(f, PRECISION) && moe_foreign_dtype(f, PRECISION, &dtype)) {
        row->dtype = moe_measured_intern(f->table, dtype.common);
        row->weight_bits = dtype.weight_bits;
        row->activation_bits = dtype.activation_bits;
    }
    row->tokens = moe_foreign_whole(f, TOKENS, 1, 1);
    row->top_k = moe_foreign_whole(f, TOP_K, 1, 1);
    row->hidden = moe_foreign_whole(f, HIDDEN, 1, 1);
    row->tp = moe_foreign_whole(f, TP, 1, 1);
    row->experts = moe_foreign_whole(f, LOCAL, 1, 1);
    row->width = (moe_foreign_whole(f, WIDTH, 1, 1) + row->tp - 1) / row->tp;
    row->matrices =
        moe_foreign_has(f, GATED) && !strcmp(moe_foreign_text(f, GATED), "False") ? 2 : 3;
    row->kernel = moe_foreign_text(f, BACKEND);
    int64_t experts = moe_foreign_whole(f, EXPERTS, 1, 1);
    if (f->failed || !set_loads(f))
        return;
    if (has_time(f, GROUPED, false, &time))
        moe_foreign_add(f, time);
    add_others(f, experts);
}

const moe_layout moe_layout_frontier_moe = {
    .name = "Frontier moe",
    .help = "experts with rebuilt loads; router, top_k, shuffle; products of a router and of one "
            "expert",
    .columns = moe_list,
    .n_columns = N_MOE,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = begin,
    .row = read_moe,
};

/* ---- everything else ---- */

enum {
    EMB,
    NORM = EMB + TIMES,
    POST_NORM = NORM + TIMES,
    PRE_PROJ = POST_NORM + TIMES,
    POST_PROJ = PRE_PROJ + TIMES,
    ROPE = POST_PROJ + TIMES,
    UP = ROPE + TIMES,
    ACT = UP + TIMES,
    DOWN = ACT + TIMES,
    ADD = DOWN + TIMES,
    HEAD = ADD + TIMES,
    D_TOKENS = HEAD + TIMES,
    D_TP,
    D_HEADS,
    D_KV_HEADS,
    D_HIDDEN,
    D_WIDTH,
    D_VOCAB,
    D_GATED,
    D_QK_NORM,
    D_METHOD,
    N_DENSE
};

static const moe_layout_column dense_list[N_DENSE] = {
    TIME(EMB, "emb", false),
    TIME(NORM, "input_layernorm", false),
    TIME(POST_NORM, "post_attention_layernorm", false),
    TIME(PRE_PROJ, "attn_pre_proj", true),
    TIME(POST_PROJ, "attn_post_proj", false),
    TIME(ROPE, "attn_rope", false),
    TIME(UP, "mlp_up_proj", false),
    TIME(ACT, "mlp_act", false),
    TIME(DOWN, "mlp_down_proj", false),
    TIME(ADD, "add", false),
    TIME(HEAD, "lm_head_linear", false),
    [D_TOKENS] = {"num_tokens", true},
    [D_TP] = {"num_tensor_parallel_workers", true},
    [D_HEADS] = {"n_head", true},
    [D_KV_HEADS] = {"n_kv_head", true},
    [D_HIDDEN] = {"n_embd", true},
    [D_WIDTH] = {"n_expanded_embd", true},
    [D_VOCAB] = {"vocab_size", true},
    [D_GATED] = {"use_gated_mlp", false},
    [D_QK_NORM] = {"use_qk_norm", false},
    [D_METHOD] = {"measurement_type", false},
};

static int64_t
share(int64_t n, int64_t tp)
{
    return MAX((n + tp - 1) / tp, 1);
}

static void
read_dense(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    int64_t tokens = moe_foreign_whole(f, D_TOKENS, 1, 1), tp = moe_foreign_whole(f, D_TP, 1, 1);
    int64_t heads = moe_foreign_whole(f, D_HEADS, 1, 1);
    int64_t kv_heads = moe_foreign_whole(f, D_KV_HEADS, 1, 1);
    int64_t hidden = moe_foreign_whole(f, D_HIDDEN, 1, 1);
    int64_t width = share(moe_foreign_whole(f, D_WIDTH, 1, 1), tp);
    int64_t vocab = moe_foreign_whole(f, D_VOCAB, 1, 1);
    int64_t head = MAX(hidden / heads, 128), q = share(heads, tp), kv = share(kv_heads, tp);
    bool gated = strcmp(moe_foreign_text(f, D_GATED), "False") != 0;

    if (f->failed)
        return;
    bool queued = moe_foreign_has(f, HEAD);
    bool norms = !strcmp(moe_foreign_text(f, D_QK_NORM), "True");
    if (!norms)
        add_product(f, PRE_PROJ, tokens, (q + 2 * kv) * head, hidden, queued);
    add_product(f, POST_PROJ, tokens, hidden, q * head, queued);
    add_product(f, UP, tokens, (gated ? 2 : 1) * width, hidden, queued);
    add_product(f, DOWN, tokens, hidden, width, queued);
    add_product(f, HEAD, tokens, share(vocab, tp), hidden, queued);
    row->m = row->n = row->k = 0;
    row->tokens = tokens;
    row->hidden = hidden;
    row->tp = tp;
    add_operation(f, EMB, MOE_MEASURED_EMBEDDING, queued);
    add_operation(f, NORM, MOE_MEASURED_NORM, queued);
    add_operation(f, POST_NORM, MOE_MEASURED_NORM, queued);
    add_operation(f, ADD, MOE_MEASURED_ADD, queued);
    row->width = width;
    add_operation(f, ACT, MOE_MEASURED_ACTIVATION, queued);
    row->width = 0;
    row->heads = q;
    row->kv_heads = kv;
    row->head_dim = head;
    add_operation(f, ROPE, MOE_MEASURED_ROPE, queued);
    if (norms)
        add_operation(f, PRE_PROJ, MOE_MEASURED_QKV_NORM, queued);
}

const moe_layout moe_layout_frontier_dense = {
    .name = "Frontier linear_op, mlp",
    .help = "products and small operations of a layer without its attention and experts",
    .columns = dense_list,
    .n_columns = N_DENSE,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = begin,
    .row = read_dense,
};
