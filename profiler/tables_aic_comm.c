/* aiconfigurator: nccl_perf, custom_allreduce_perf (both count messages in elements) and DeepEP's
 * dispatch and combine (microseconds), and TensorRT-LLM's own (milliseconds). */
#include "profiler/tables_aic.h"

#include <math.h>
#include <string.h>

/* ---- NCCL ---- */

enum { NCCL_DTYPE = AIC_OWN, NCCL_RANKS, NCCL_MESSAGE, N_NCCL };

static const moe_layout_column nccl_columns[N_NCCL] = {
    AIC_COLUMNS,
    [AIC_LATENCY] = {"latency", true},
    [NCCL_DTYPE] = {"nccl_dtype", true},
    [NCCL_RANKS] = {"num_gpus", true},
    [NCCL_MESSAGE] = {"message_size", true},
};

static const struct {
    const char *name;
    int collective;
} collectives[] = {
    {"all_reduce", MOE_MEASURED_ALL_REDUCE}, {"allreduce", MOE_MEASURED_ALL_REDUCE},
    {"all_gather", MOE_MEASURED_ALL_GATHER}, {"allgather", MOE_MEASURED_ALL_GATHER},
    {"alltoall", MOE_MEASURED_ALL_TO_ALL},   {"all_to_all", MOE_MEASURED_ALL_TO_ALL},
    {"broadcast", MOE_MEASURED_BROADCAST},   {"reduce_scatter", MOE_MEASURED_REDUCE_SCATTER},
    {"sendrecv", MOE_MEASURED_SEND_RECEIVE},
};

static bool
set_collective(moe_foreign *f, const char *name)
{
    g_autoptr(GString) known = g_string_new(NULL);
    for (size_t i = 0; i < MOE_COUNT(collectives); i++) {
        g_string_append_printf(known, "%s%s", i ? ", " : "", collectives[i].name);
        if (!strcmp(collectives[i].name, name))
            f->row.collective = collectives[i].collective;
    }
    if (!f->row.collective)
        moe_foreign_fail(f, AIC_OP, "'%s' is no known collective: %s", name, known->str);
    return f->row.collective != 0;
}

/* Elements of a dtype as bytes. */
static bool
set_message(moe_foreign *f, int dtype_column, int ranks, int message)
{
    moe_foreign_type dtype = {0};
    f->row.kind = MOE_MEASURED_COLLECTIVE;
    if (!moe_foreign_dtype(f, dtype_column, &dtype))
        return false;
    double bytes = (double)moe_foreign_whole(f, message, 1, 1) * dtype.activation_bits / 8;
    f->row.bytes = (int64_t)ceil(bytes);
    f->row.dtype = moe_measured_intern(f->table, dtype.common);
    f->row.weight_bits = f->row.activation_bits = dtype.activation_bits;
    f->row.ranks = moe_foreign_whole(f, ranks, 1, 1);
    return true;
}

static void
read_nccl(moe_foreign *f)
{
    moe_aic_row(f);
    if (!set_message(f, NCCL_DTYPE, NCCL_RANKS, NCCL_MESSAGE) ||
        !set_collective(f, moe_foreign_text(f, AIC_OP)))
        return;
    f->row.algorithm = moe_measured_intern(f->table, "nccl");
    moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

const moe_layout moe_layout_aic_nccl = {
    .name = "aiconfigurator nccl_perf",
    .help = "collectives of NCCL; message_size is in elements",
    .columns = nccl_columns,
    .n_columns = N_NCCL,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = moe_aic_begin,
    .row = read_nccl,
};

/* ---- custom all-reduce ---- */

enum { AR_DTYPE = AIC_OWN, AR_RANKS, AR_MESSAGE, AR_BACKEND, AR_IMPLEMENTATION, N_AR };

static const moe_layout_column allreduce_columns[N_AR] = {
    AIC_COLUMNS,
    [AIC_LATENCY] = {"latency", true},
    [AR_DTYPE] = {"allreduce_dtype", true},
    [AR_RANKS] = {"num_gpus", true},
    [AR_MESSAGE] = {"message_size", true},
    [AR_BACKEND] = {"backend", false},
    [AR_IMPLEMENTATION] = {"implementation", false},
};

static void
read_allreduce(moe_foreign *f)
{
    moe_aic_row(f);
    if (!set_message(f, AR_DTYPE, AR_RANKS, AR_MESSAGE) ||
        !set_collective(f, moe_foreign_text(f, AIC_OP)))
        return;
    const char *said = moe_foreign_has(f, AR_BACKEND) ? moe_foreign_text(f, AR_BACKEND)
                                                      : moe_foreign_text(f, AR_IMPLEMENTATION);
    f->row.algorithm = moe_measured_intern(f->table, "custom");
    f->row.graph = !strstr(said, "eager") && !strstr(f->row.kernel, "eager");
    moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

const moe_layout moe_layout_aic_allreduce = {
    .name = "aiconfigurator custom_allreduce_perf",
    .help = "all_reduce of the framework's own kernel, algorithm custom; from a graph unless it "
            "says eager",
    .columns = allreduce_columns,
    .n_columns = N_AR,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = moe_aic_begin,
    .row = read_allreduce,
};

/* ---- DeepEP ---- */

enum { EP_FRAMEWORK, EP_VERSION, EP_DEVICE, EP_OP, EP_KERNEL };
enum {
    EP_NODES = EP_KERNEL + 1,
    EP_HIDDEN,
    EP_TOKENS,
    EP_TOP_K,
    EP_EXPERTS,
    EP_DISPATCH,
    EP_COMBINE,
    N_LL,
    EP_DISPATCH_NOTIFY = N_LL,
    EP_COMBINE_NOTIFY,
    EP_DISPATCH_SMS,
    EP_COMBINE_SMS,
    N_NORMAL
};

#define EP_COLUMNS                                                                                 \
    AIC_COLUMNS, [EP_NODES] = {"node_num", true}, [EP_HIDDEN] = {"hidden_size", true},             \
                 [EP_TOKENS] = {"num_token", true}, [EP_TOP_K] = {"num_topk", true},               \
                 [EP_EXPERTS] = {"num_experts", true}

/* The tables do not say how many devices a node has: eight, but four where a node is a tray. */
static int64_t
devices_per_node(const moe_measured_row *row)
{
    return strstr(row->device, "GB200") || strstr(row->device, "GB300") ? 4 : 8;
}

static void
set_tokens(moe_foreign *f, const char *algorithm)
{
    moe_measured_row *row = &f->row;
    moe_aic_row(f);
    row->kind = MOE_MEASURED_COLLECTIVE;
    row->graph = false;
    row->algorithm = moe_measured_intern(f->table, algorithm);
    row->nodes = moe_foreign_whole(f, EP_NODES, 1, 1);
    row->ranks = row->nodes * devices_per_node(row);
    row->hidden = moe_foreign_whole(f, EP_HIDDEN, 1, 1);
    row->tokens = moe_foreign_whole(f, EP_TOKENS, 1, 1);
    row->top_k = moe_foreign_whole(f, EP_TOP_K, 1, 1);
    row->experts = moe_foreign_whole(f, EP_EXPERTS, 1, 1);
}

/* Dispatch sends FP8 with scales, combine BF16 (so the low-latency tables' own bandwidths). */
static void
add_phase(moe_foreign *f, int collective, int64_t sms, double bits, double time)
{
    f->row.collective = collective;
    f->row.sms = sms;
    f->row.weight_bits = f->row.activation_bits = bits;
    f->row.dtype = moe_measured_intern(f->table, bits == 8 ? "fp8" : "bf16");
    moe_foreign_add(f, time);
}

static const moe_layout_column normal_columns[N_NORMAL] = {
    EP_COLUMNS,
    [EP_DISPATCH] = {"dispatch_transmit_us", true},
    [EP_COMBINE] = {"combine_transmit_us", true},
    [EP_DISPATCH_NOTIFY] = {"dispatch_notify_us", false},
    [EP_COMBINE_NOTIFY] = {"combine_notify_us", false},
    [EP_DISPATCH_SMS] = {"dispatch_sms", true},
    [EP_COMBINE_SMS] = {"combine_sms", true},
};

static void
read_normal(moe_foreign *f)
{
    set_tokens(f, "deepep_normal");
    int64_t sms = moe_foreign_whole(f, EP_DISPATCH_SMS, 0, 0);
    double notify = moe_foreign_real(f, EP_DISPATCH_NOTIFY, 0);
    add_phase(f, MOE_MEASURED_DISPATCH, sms, 8, moe_foreign_real(f, EP_DISPATCH, 0));
    if (notify > 0)
        add_phase(f, MOE_MEASURED_DISPATCH_NOTIFY, sms, 8, notify);
    sms = moe_foreign_whole(f, EP_COMBINE_SMS, 0, 0);
    notify = moe_foreign_real(f, EP_COMBINE_NOTIFY, 0);
    add_phase(f, MOE_MEASURED_COMBINE, sms, 16, moe_foreign_real(f, EP_COMBINE, 0));
    if (notify > 0)
        add_phase(f, MOE_MEASURED_COMBINE_NOTIFY, sms, 16, notify);
}

const moe_layout moe_layout_aic_deepep_normal = {
    .name = "aiconfigurator wideep_deepep_normal_perf",
    .help = "dispatch and combine of DeepEP's normal kernels, and their notify parts",
    .columns = normal_columns,
    .n_columns = N_NORMAL,
    .unit = "microseconds",
    .microseconds = 1,
    .begin = moe_aic_begin,
    .row = read_normal,
};

static const moe_layout_column ll_columns[N_LL] = {
    EP_COLUMNS,
    [EP_DISPATCH] = {"dispatch_avg_t_us", true},
    [EP_COMBINE] = {"combine_avg_t_us", true},
};

static void
read_ll(moe_foreign *f)
{
    set_tokens(f, "deepep_low_latency");
    add_phase(f, MOE_MEASURED_DISPATCH, 0, 8, moe_foreign_real(f, EP_DISPATCH, 0));
    add_phase(f, MOE_MEASURED_COMBINE, 0, 16, moe_foreign_real(f, EP_COMBINE, 0));
}

const moe_layout moe_layout_aic_deepep_ll = {
    .name = "aiconfigurator wideep_deepep_ll_perf",
    .help = "dispatch and combine of DeepEP's low-latency kernels",
    .columns = ll_columns,
    .n_columns = N_LL,
    .unit = "microseconds",
    .microseconds = 1,
    .begin = moe_aic_begin,
    .row = read_ll,
};

/* ---- TensorRT-LLM's exchanges ---- */

enum {
    A2A_DTYPE = AIC_OWN,
    A2A_TOKENS,
    A2A_HIDDEN,
    A2A_TOP_K,
    A2A_EXPERTS,
    A2A_RANKS,
    A2A_NODES,
    N_A2A
};

static const moe_layout_column alltoall_columns[N_A2A] = {
    AIC_COLUMNS,
    [AIC_LATENCY] = {"latency", true},
    [A2A_DTYPE] = {"moe_dtype", true},
    [A2A_TOKENS] = {"num_tokens", true},
    [A2A_HIDDEN] = {"hidden_size", true},
    [A2A_TOP_K] = {"topk", true},
    [A2A_EXPERTS] = {"num_experts", true},
    [A2A_RANKS] = {"moe_ep_size", true},
    [A2A_NODES] = {"num_nodes", false},
};

/* Its algorithm is that of its kernel, so that nothing that is another's foretells it. */
static void
read_alltoall(moe_foreign *f)
{
    moe_measured_row *row = &f->row;
    moe_foreign_type dtype = {0};
    const char *op = moe_foreign_text(f, AIC_OP);
    bool dispatch = strstr(op, "dispatch") != NULL;

    moe_aic_row(f);
    if (!dispatch && !strstr(op, "combine")) {
        moe_foreign_skip(f, "what an exchange prepares");
        return;
    }
    if (!moe_foreign_dtype(f, A2A_DTYPE, &dtype))
        return;
    row->kind = MOE_MEASURED_COLLECTIVE;
    row->collective = dispatch ? MOE_MEASURED_DISPATCH : MOE_MEASURED_COMBINE;
    row->algorithm = *row->kernel ? row->kernel : moe_measured_intern(f->table, "NVLinkTwoSided");
    row->dtype = moe_measured_intern(f->table, dispatch ? dtype.common : "bf16");
    row->weight_bits = row->activation_bits = dispatch ? dtype.activation_bits : 16;
    row->ranks = moe_foreign_whole(f, A2A_RANKS, 1, 1);
    row->nodes = MAX(moe_foreign_whole(f, A2A_NODES, 0, 0), 1);
    row->tokens = moe_foreign_whole(f, A2A_TOKENS, 1, 1);
    row->hidden = moe_foreign_whole(f, A2A_HIDDEN, 1, 1);
    row->top_k = moe_foreign_whole(f, A2A_TOP_K, 1, 1);
    row->experts = moe_foreign_whole(f, A2A_EXPERTS, 1, 1);
    moe_foreign_add(f, moe_foreign_real(f, AIC_LATENCY, 0));
}

const moe_layout moe_layout_aic_alltoall = {
    .name = "aiconfigurator trtllm_alltoall_perf",
    .help = "dispatch and combine of TensorRT-LLM's exchanges, by their own algorithm",
    .columns = alltoall_columns,
    .n_columns = N_A2A,
    .unit = "milliseconds",
    .microseconds = 1000,
    .begin = moe_aic_begin,
    .row = read_alltoall,
};
