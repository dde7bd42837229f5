/* Measured tables: what kernels and copies took on a real device, one row per measurement, as CSV.
 * Written by the benches of profiler/cuda and by whoever has numbers; read by `moesim calibrate`
 * and `moesim validate`. Tables of other projects become the same rows (profiler/tables.h).
 *
 * The first line names the columns (any of them, in any order); fields that say nothing about a
 * kind of row are left empty; lines that begin with '#' are comments; plain, .gz or .zst.
 *
 *   kind       experts | gemm | attention | copy | launch | stream | collective | operation
 *   device     the device's own name, e.g. "NVIDIA H100 80GB HBM3"
 *   source     who measured it: program, version, commit
 *   framework, version, kernel            whose kernels ran (vllm, 0.24.0) and which of them, by
 * the name that it has there dtype      the kernel's own name for its types (bf16, fp8, mxfp4)
 *   weight_bits, activation_bits          bits per weight and activation as stored; default 16
 *   time_us    median time of one call in microseconds, of everything that the call launches
 *   mode       plain | graph: how the kernels were launched; default plain
 *   kernels    how many kernels one call launches, where that is known
 *   odd        why the row is to be set aside, "" for all that is well
 *
 *   experts    the routed experts of one layer on one device (gate, up, activation, down, sum):
 *              hidden, width, matrices (2 or 3; default 3), experts (that the device holds), top_k,
 *              tokens (that enter the layer), and how they spread: loads ("3;0;5": tokens of each
 *              expert; "3;0;5|4;4;0": of several draws, of which the time is the mean) where it is
 *              known, else distinct (experts with a token, evenly loaded), else distribution
 *              balanced (as even as top_k of experts can be), single (all tokens choose the same
 *              top_k) or power_law_1.2 (profiler/routing_draws.h). Any other distribution wants
 *              loads or distinct. Where the experts are spread over `ep` devices (default 1),
 *              experts * ep is how many there are, tokens and top_k are still all that enter, and
 *              the device is the one that is loaded most; it may be without any token. tp: over how
 *              many devices each is cut; width is what this one has. part: up (gate and up only) or
 *              down; default: all of it. groups, kept: groups of experts, and how many of them the
 *              router keeps for a token. calls: of the layer in one CUDA graph, each draw in turn,
 *              so that a graph's start is a part of the time; default: not one is.
 *   gemm       y[m,n] = x[m,k] w[k,n]: m, n, k
 *   attention  scores, softmax and weighted values of one layer, without projections: heads,
 *              kv_heads, head_dim, sequences, queries (per sequence), context (keys that the last
 *              query of a sequence sees, its own included). queries 1 is a decode; a prompt has
 *              queries = context, causal. kv_bits, kv_dtype: of the KV cache (default: as
 *              weight_bits). window: a query sees so many keys at most. variant: mla (kv_rank and
 *              rope_dim of the shared latent; head_dim and value_dim of a head before it is
 *              absorbed; kv_heads 1 where it is, else heads), mla_module (the same with its
 *              projections: hidden, q_rank; weight_bits are of those), sparse (`selected` keys for
 *              each query), sparse_module, scores (the indexer that selects them), chunked (window
 *              is the chunk), linear
 *   copy       bytes; direction h2d | d2h | d2d | disk (to host memory); memory pinned | pageable
 *              (default pinned); concurrent 1 when the other direction was kept busy, default 0;
 *              of a disk, request: bytes of each read that the bytes are made of, at random places
 *              (default: all at once), and depth: how many of them are in flight (default 1)
 *   launch     kernels empty kernels, one after another: time_us of all
 *   stream     a kernel that reads `bytes` of device memory once
 *   collective collective all_reduce | all_gather | reduce_scatter | all_to_all | broadcast |
 *              send_receive: bytes (of the larger of one rank's buffers, as nccl-tests say it: what
 *              is reduced, gathered in all, scattered in all, or sent to all ranks together);
 *              dispatch | combine of tokens (per rank), hidden, top_k, experts (of all ranks),
 *              and their notify parts apart; ranks, nodes (default 1), algorithm (nccl, custom,
 *              deepep_normal, deepep_low_latency …), sms
 *   operation  a small kernel between the large ones: operation embedding | norm | rope …; tokens,
 *              and hidden, width, heads, experts, top_k where they say something */
#ifndef MOE_PROFILER_MEASURED_H
#define MOE_PROFILER_MEASURED_H

#include "sim/base/diag.h"

typedef enum moe_measured_kind {
    MOE_MEASURED_LAUNCH,
    MOE_MEASURED_STREAM,
    MOE_MEASURED_GEMM,
    MOE_MEASURED_EXPERTS,
    MOE_MEASURED_ATTENTION,
    MOE_MEASURED_COPY,
    MOE_MEASURED_COLLECTIVE,
    MOE_MEASURED_OPERATION,
    MOE_MEASURED_KINDS
} moe_measured_kind;

typedef enum moe_measured_direction {
    MOE_MEASURED_NO_DIRECTION,
    MOE_MEASURED_H2D,
    MOE_MEASURED_D2H,
    MOE_MEASURED_D2D,
    MOE_MEASURED_DISK,
} moe_measured_direction;

typedef enum moe_measured_part {
    MOE_MEASURED_WHOLE,
    MOE_MEASURED_UP, /* gate and up: hidden to (matrices - 1) * width */
    MOE_MEASURED_DOWN,
} moe_measured_part;

typedef enum moe_measured_variant {
    MOE_MEASURED_PLAIN, /* MHA, GQA, MQA */
    MOE_MEASURED_MLA,
    MOE_MEASURED_MLA_MODULE,
    MOE_MEASURED_SPARSE,
    MOE_MEASURED_SPARSE_MODULE,
    MOE_MEASURED_SCORES,
    MOE_MEASURED_CHUNKED,
    MOE_MEASURED_LINEAR,
} moe_measured_variant;

typedef enum moe_measured_collective {
    MOE_MEASURED_NO_COLLECTIVE,
    MOE_MEASURED_ALL_REDUCE,
    MOE_MEASURED_ALL_GATHER,
    MOE_MEASURED_REDUCE_SCATTER,
    MOE_MEASURED_ALL_TO_ALL,
    MOE_MEASURED_BROADCAST,
    MOE_MEASURED_SEND_RECEIVE,
    MOE_MEASURED_DISPATCH,
    MOE_MEASURED_COMBINE,
    MOE_MEASURED_DISPATCH_NOTIFY,
    MOE_MEASURED_COMBINE_NOTIFY,
} moe_measured_collective;

typedef enum moe_measured_operation {
    MOE_MEASURED_NO_OPERATION,
    MOE_MEASURED_EMBEDDING,
    MOE_MEASURED_NORM,
    MOE_MEASURED_QK_NORM,
    MOE_MEASURED_ROPE,
    MOE_MEASURED_ADD,
    MOE_MEASURED_ACTIVATION,
    MOE_MEASURED_ROUTER,  /* product, softmax and top-k */
    MOE_MEASURED_TOP_K,   /* softmax and top-k */
    MOE_MEASURED_SHUFFLE, /* tokens sorted by expert */
    MOE_MEASURED_GATE,    /* the router's product */
    MOE_MEASURED_SOFTMAX,
    MOE_MEASURED_SAMPLING,
    MOE_MEASURED_PERMUTE,       /* tokens' hidden vectors copied in the order of their experts */
    MOE_MEASURED_HEAD_PRODUCTS, /* of head_dim to `width` columns, each head by its own matrix */
    MOE_MEASURED_QUANTISE,      /* activations of 16 bits, to those of activation_bits */
    MOE_MEASURED_QKV_NORM, /* the product for queries, keys and values; norms of the first two */
} moe_measured_operation;

/* One row; 0 and "" where the column is empty. */
typedef struct moe_measured_row {
    int kind; /* moe_measured_kind */
    /* the table's, never NULL */
    const char *device, *source, *framework, *version, *kernel, *dtype, *kv_dtype, *distribution;
    const char *algorithm, *odd;
    double weight_bits, activation_bits, kv_bits;
    int part; /* moe_measured_part */
    int64_t hidden, width, matrices, experts, top_k, tokens, distinct;
    int64_t ep, tp; /* never 0 */
    int64_t groups, kept, calls;
    int64_t m, n, k;
    int variant; /* moe_measured_variant */
    int64_t heads, kv_heads, head_dim, queries, context, sequences;
    int64_t kv_rank, rope_dim, value_dim, q_rank, window, selected;
    int collective; /* moe_measured_collective */
    int64_t ranks, nodes, sms;
    int operation; /* moe_measured_operation */
    int64_t bytes, kernels;
    int direction; /* moe_measured_direction */
    int64_t request, depth;
    bool pageable, concurrent, graph;
    double time_us;
    /* Tokens of each expert that has some, the table's: those of the first draw, of the second …;
       moe_measured_draw gives one of them. n_loads is that of all together. */
    const uint32_t *loads;
    uint32_t n_loads;
    uint32_t draws;       /* 0: it has no loads */
    const uint32_t *ends; /* of each draw in `loads`; NULL: there is one */
    /* Of each load's expert, how long ago its weights were read (profiler/routing_draws.h); NULL:
       by the call before, which read what this one reads. */
    const uint32_t *since;
    bool ordered;  /* a power law is drawn by the first rule (profiler/routing_draws.h) */
    bool strays;   /* draws are of the tokens that reach the device, with all of their choices */
    bool drawn;    /* the distribution says it all: loads need not be written */
    int64_t group; /* rows with different groups are held back apart; 0: the shape says it all */
    uint64_t line; /* in its file; 0: not from a file */
    uint32_t file; /* index into the table's files */
} moe_measured_row;

/* The loads of draw i < draws; *n of them, which may be none. */
static inline const uint32_t *
moe_measured_draw(const moe_measured_row *row, uint32_t i, uint32_t *n)
{
    uint32_t first = i && row->ends ? row->ends[i - 1] : 0;
    *n = (row->ends ? row->ends[i] : row->n_loads) - first;
    return row->loads + first;
}

typedef struct moe_measured moe_measured;

moe_measured *moe_measured_new(void);
void moe_measured_free(moe_measured *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_measured, moe_measured_free)

/* Appends the rows of a file, in this layout or in one of another project (profiler/tables.h).
 * False after messages: unknown columns, values that cannot be, times whose unit must be another
 * (faster than any device; longer than a minute). */
bool moe_measured_read(moe_measured *table, const char *path, moe_diag *diag, GError **error);
/* The same of bytes in memory, for tests; `name` is what messages call them. */
bool moe_measured_parse(moe_measured *table, const char *name, const void *bytes, size_t n_bytes,
                        moe_diag *diag);
/* Appends a copy of a row, checked as if it had been read: false, with *why (static text), when it
 * is impossible or lacks something. `file` of the row is set to the one begun last. */
bool moe_measured_add(moe_measured *table, const moe_measured_row *row, const char **why);
/* Begins a further source of rows, by name; rows added belong to it. */
void moe_measured_begin(moe_measured *table, const char *name);

/* Keeps the rows whose column says `text` ("" for empty), or drops them; false when there is no
 * such column, no row says so, or none is left: *closest is then what may have been meant
 * (borrowed, NULL: nothing near). */
bool moe_measured_choose(moe_measured *table, const char *column, const char *text, bool keep,
                         const char **closest);

size_t moe_measured_count(const moe_measured *table);
const moe_measured_row *moe_measured_at(const moe_measured *table, size_t i);
const char *moe_measured_file(const moe_measured *table, uint32_t file);
uint32_t moe_measured_files(const moe_measured *table);

/* What was understood, assumed and left out of tables of other layouts, "FILE: …"; borrowed. */
const char *const *moe_measured_notes(const moe_measured *table, size_t *n);
/* Whether the first line of a file names the columns of a table that can be read: for folders in
 * which other files lie, too. Where it nearly does, *lacks is what it lacks, in words (yours). */
bool moe_measured_understands(const char *path, char **lacks);
/* The name of the i-th layout of another project that is understood, and what its rows become; NULL
 * behind the last one. */
const char *moe_measured_layout(size_t i, const char **help);

/* Why a row that is measured twice, with times far apart, is to be set aside; NULL: it is not, the
 * median stands for it. */
const char *moe_known_odd_repeated(const moe_measured_row *row);
/* What the row cannot do without: FLOPs, and bytes of weights, caches, messages; once each. */
void moe_measured_amounts(const moe_measured_row *row, double *flops, double *bytes);

const char *moe_measured_kind_name(int kind); /* "experts" */
const char *moe_measured_variant_name(int variant);
const char *moe_measured_collective_name(int collective);
const char *moe_measured_operation_name(int operation);
/* The header line, with its line end. */
void moe_measured_header(GString *out);
/* A row as a line of CSV, with its line end; reads back as the same row. */
void moe_measured_write(const moe_measured_row *row, GString *out);
/* "hidden=4096 width=14336 …": what was computed, without tokens and time, for messages. */
void moe_measured_describe(const moe_measured_row *row, GString *out);

#endif
