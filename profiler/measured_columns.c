/* The list of columns of measured tables, and the words that they know. */
#include "profiler/measured_columns.h"

#define F(field) offsetof(moe_measured_row, field)
#define BIT(kind) (1u << MOE_MEASURED_##kind)
#define ALL ((1u << MOE_MEASURED_KINDS) - 1)
#define ROUTED BIT(EXPERTS)
#define HEADS BIT(ATTENTION)
#define COMM BIT(COLLECTIVE)
#define SMALL BIT(OPERATION)
#define BYTES (BIT(COPY) | BIT(STREAM))

static const char *const kinds[] = {"launch", "stream",     "gemm",      "experts", "attention",
                                    "copy",   "collective", "operation", NULL};
static const char *const directions[] = {"", "h2d", "d2h", "d2d", "disk", NULL};
static const char *const memories[] = {"pinned", "pageable", NULL};
static const char *const truths[] = {"0", "1", NULL};
static const char *const modes[] = {"plain", "graph", NULL};
static const char *const parts[] = {"", "up", "down", NULL};
static const char *const variants[] = {"",       "mla",     "mla_module", "sparse", "sparse_module",
                                       "scores", "chunked", "linear",     NULL};
static const char *const collectives[] = {
    "",           "all_reduce",      "all_gather",     "reduce_scatter",
    "all_to_all", "broadcast",       "send_receive",   "dispatch",
    "combine",    "dispatch_notify", "combine_notify", NULL};
static const char *const operations[] = {
    "",           "embedding", "norm",          "qk_norm",  "rope",     "add",
    "activation", "router",    "top_k",         "shuffle",  "gate",     "softmax",
    "sampling",   "permute",   "head_products", "quantise", "qkv_norm", NULL};

#define COLUMN(name_, type_, offset_, choices_, max_, may_, must_)                                 \
    {                                                                                              \
        .name = name_, .type = MOE_COLUMN_##type_, .offset = offset_, .choices = choices_,         \
        .max = max_, .may = may_, .must = must_                                                    \
    }
/* How many devices share something: one where it is not said. */
#define SHARED(name_, offset_, may_)                                                               \
    {                                                                                              \
        .name = name_, .type = MOE_COLUMN_WHOLE, .offset = offset_, .max = 65536, .may = may_,     \
        .none = 1                                                                                  \
    }

const moe_column moe_columns[] = {
    COLUMN("kind", CHOICE, F(kind), kinds, 0, ALL, ALL),
    COLUMN("device", TEXT, F(device), NULL, 0, ALL, 0),
    COLUMN("source", TEXT, F(source), NULL, 0, ALL, 0),
    COLUMN("framework", TEXT, F(framework), NULL, 0, ALL, 0),
    COLUMN("version", TEXT, F(version), NULL, 0, ALL, 0),
    COLUMN("kernel", TEXT, F(kernel), NULL, 0, ALL, 0),
    COLUMN("dtype", TEXT, F(dtype), NULL, 0, ALL, 0),
    COLUMN("kv_dtype", TEXT, F(kv_dtype), NULL, 0, HEADS, 0),
    COLUMN("weight_bits", REAL, F(weight_bits), NULL, 64, ALL, 0),
    COLUMN("activation_bits", REAL, F(activation_bits), NULL, 64, ALL, 0),
    COLUMN("kv_bits", REAL, F(kv_bits), NULL, 64, HEADS, 0),
    COLUMN("part", CHOICE, F(part), parts, 0, ROUTED, 0),
    COLUMN("hidden", WHOLE, F(hidden), NULL, 1 << 20, ROUTED | HEADS | COMM | SMALL, ROUTED),
    COLUMN("width", WHOLE, F(width), NULL, 1 << 22, ROUTED | SMALL, ROUTED),
    COLUMN("matrices", WHOLE, F(matrices), NULL, 3, ROUTED, 0),
    COLUMN("experts", WHOLE, F(experts), NULL, MOE_MEASURED_MOST_EXPERTS, ROUTED | COMM | SMALL, 0),
    COLUMN("top_k", WHOLE, F(top_k), NULL, MOE_MEASURED_MOST_EXPERTS, ROUTED | COMM | SMALL, 0),
    SHARED("ep", F(ep), ROUTED),
    SHARED("tp", F(tp), ROUTED | HEADS | SMALL),
    COLUMN("tokens", WHOLE, F(tokens), NULL, MOE_MEASURED_MOST_TOKENS, ROUTED | COMM | SMALL,
           SMALL),
    COLUMN("distribution", TEXT, F(distribution), NULL, 0, ROUTED, 0),
    COLUMN("distinct", WHOLE, F(distinct), NULL, MOE_MEASURED_MOST_EXPERTS, ROUTED, 0),
    COLUMN("loads", LOADS, F(loads), NULL, MOE_MEASURED_MOST_TOKENS, ROUTED, 0),
    COLUMN("groups", WHOLE, F(groups), NULL, MOE_MEASURED_MOST_EXPERTS, ROUTED, 0),
    COLUMN("kept", WHOLE, F(kept), NULL, MOE_MEASURED_MOST_EXPERTS, ROUTED, 0),
    COLUMN("calls", WHOLE, F(calls), NULL, 65536, ROUTED, 0),
    COLUMN("m", WHOLE, F(m), NULL, 1 << 30, BIT(GEMM), BIT(GEMM)),
    COLUMN("n", WHOLE, F(n), NULL, 1 << 30, BIT(GEMM), BIT(GEMM)),
    COLUMN("k", WHOLE, F(k), NULL, 1 << 30, BIT(GEMM), BIT(GEMM)),
    COLUMN("heads", WHOLE, F(heads), NULL, 65536, HEADS | SMALL, HEADS),
    COLUMN("kv_heads", WHOLE, F(kv_heads), NULL, 65536, HEADS | SMALL, HEADS),
    COLUMN("head_dim", WHOLE, F(head_dim), NULL, 65536, HEADS | SMALL, HEADS),
    COLUMN("variant", CHOICE, F(variant), variants, 0, HEADS, 0),
    COLUMN("kv_rank", WHOLE, F(kv_rank), NULL, 65536, HEADS, 0),
    COLUMN("rope_dim", WHOLE, F(rope_dim), NULL, 65536, HEADS, 0),
    COLUMN("value_dim", WHOLE, F(value_dim), NULL, 65536, HEADS, 0),
    COLUMN("q_rank", WHOLE, F(q_rank), NULL, 65536, HEADS, 0),
    COLUMN("window", WHOLE, F(window), NULL, 1 << 30, HEADS, 0),
    COLUMN("selected", WHOLE, F(selected), NULL, 1 << 30, HEADS, 0),
    COLUMN("queries", WHOLE, F(queries), NULL, MOE_MEASURED_MOST_TOKENS, HEADS, HEADS),
    COLUMN("context", WHOLE, F(context), NULL, 1 << 30, HEADS, HEADS),
    COLUMN("sequences", WHOLE, F(sequences), NULL, 1 << 20, HEADS, HEADS),
    COLUMN("collective", CHOICE, F(collective), collectives, 0, COMM, COMM),
    COLUMN("algorithm", TEXT, F(algorithm), NULL, 0, COMM, 0),
    COLUMN("ranks", WHOLE, F(ranks), NULL, 1 << 20, COMM, COMM),
    SHARED("nodes", F(nodes), COMM),
    COLUMN("sms", WHOLE, F(sms), NULL, 65536, COMM, 0),
    COLUMN("operation", CHOICE, F(operation), operations, 0, SMALL, SMALL),
    COLUMN("direction", CHOICE, F(direction), directions, 0, BIT(COPY), BIT(COPY)),
    COLUMN("memory", WORD, F(pageable), memories, 0, BIT(COPY), 0),
    COLUMN("bytes", WHOLE, F(bytes), NULL, 1e15, BYTES | COMM, BYTES),
    COLUMN("request", WHOLE, F(request), NULL, 1e15, BIT(COPY), 0),
    COLUMN("depth", WHOLE, F(depth), NULL, 65536, BIT(COPY), 0),
    COLUMN("concurrent", WORD, F(concurrent), truths, 0, BIT(COPY), 0),
    COLUMN("mode", WORD, F(graph), modes, 0, ALL, 0),
    COLUMN("kernels", WHOLE, F(kernels), NULL, 1e6, ALL, BIT(LAUNCH)),
    COLUMN("odd", TEXT, F(odd), NULL, 0, ALL, 0),
    COLUMN("time_us", REAL, F(time_us), NULL, 1e300, ALL, ALL),
};
const size_t moe_n_columns = MOE_COUNT(moe_columns);

const char *
moe_measured_kind_name(int kind)
{
    return kinds[kind];
}

const char *
moe_measured_variant_name(int variant)
{
    return variants[variant];
}

const char *
moe_measured_collective_name(int collective)
{
    return collectives[collective];
}

const char *
moe_measured_operation_name(int operation)
{
    return operations[operation];
}
