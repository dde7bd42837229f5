/* Measured tables: what kernels and copies took on a real device, one row per measurement, as CSV.
 * Written by the benches of profiler/cuda and by whoever has numbers; read by `moesim calibrate`.
 *
 * The first line names the columns (any of them, in any order); fields that say nothing about a
 * kind of row are left empty; lines that begin with '#' are comments; plain, .gz or .zst.
 *
 *   kind       experts | gemm | attention | copy | launch | stream
 *   device     the device's own name, e.g. "NVIDIA H100 80GB HBM3"
 *   source     who measured it: program, version, commit
 *   dtype      the kernel's own name for its types (bf16, fp8, mxfp4); for reading and choosing
 * only weight_bits, activation_bits     bits per weight and activation as stored; default 16
 *   time_us    median time of one call in microseconds, of everything that the call launches
 *   mode       plain | graph: how the kernels were launched; default plain
 *   kernels    how many kernels one call launches, where that is known
 *
 *   experts    all routed experts of one layer on one device (gate, up, activation, down, sum):
 *              hidden, width, matrices (2 or 3; default 3), experts (that the device holds), top_k,
 *              tokens (that enter the layer), and how they spread: loads ("3;0;5": tokens of each
 *              expert) where it is known, else distinct (experts with a token, evenly loaded), else
 *              distribution balanced (as even as top_k of experts can be) or single (all tokens
 *              choose the same top_k). Any other distribution wants loads or distinct. Where the
 *              device holds some of the experts, tokens and top_k are still all that enter.
 *   gemm       y[m,n] = x[m,k] w[k,n]: m, n, k
 *   attention  scores, softmax and weighted values of one layer, without projections (MHA, GQA,
 * MQA; MLA has no columns yet): heads, kv_heads, head_dim, sequences, queries (per sequence),
 * context (keys that the last query of a sequence sees, its own included). queries 1 is a decode; a
 * prompt has queries = context, causal. weight_bits: of the KV cache.
 *   copy       bytes; direction h2d | d2h | d2d | disk (to host memory); memory pinned | pageable
 *              (default pinned); concurrent 1 when the other direction was kept busy, default 0;
 *              of a disk, request: bytes of each read that the bytes are made of, at random places
 *              (default: all at once), and depth: how many of them are in flight (default 1)
 *   launch     kernels empty kernels, one after another: time_us of all
 *   stream     a kernel that reads `bytes` of device memory once */
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
    MOE_MEASURED_KINDS
} moe_measured_kind;

typedef enum moe_measured_direction {
    MOE_MEASURED_NO_DIRECTION,
    MOE_MEASURED_H2D,
    MOE_MEASURED_D2H,
    MOE_MEASURED_D2D,
    MOE_MEASURED_DISK,
} moe_measured_direction;

/* One row; 0 and "" where the column is empty. */
typedef struct moe_measured_row {
    int kind;                                           /* moe_measured_kind */
    const char *device, *source, *dtype, *distribution; /* the table's, never NULL */
    double weight_bits, activation_bits;
    int64_t hidden, width, matrices, experts, top_k, tokens, distinct;
    int64_t m, n, k;
    int64_t heads, kv_heads, head_dim, queries, context, sequences;
    int64_t bytes, request, depth, kernels;
    int direction; /* moe_measured_direction */
    bool pageable, concurrent, graph;
    double time_us;
    const uint32_t *loads; /* tokens of each expert that has some, n_loads of them; the table's */
    uint32_t n_loads;
    int64_t group; /* rows with different groups are held back apart; 0: the shape says it all */
    uint64_t line; /* in its file; 0: not from a file */
    uint32_t file; /* index into the table's files */
} moe_measured_row;

typedef struct moe_measured moe_measured;

moe_measured *moe_measured_new(void);
void moe_measured_free(moe_measured *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_measured, moe_measured_free)

/* Appends the rows of a file. False after messages: unknown columns, values that cannot be, times
 * whose unit must be another (faster than any device; longer than a minute). */
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

const char *moe_measured_kind_name(int kind); /* "experts" */
/* The header line, with its line end. */
void moe_measured_header(GString *out);
/* A row as a line of CSV, with its line end; reads back as the same row. */
void moe_measured_write(const moe_measured_row *row, GString *out);
/* "hidden=4096 width=14336 …": what was computed, without tokens and time, for messages. */
void moe_measured_describe(const moe_measured_row *row, GString *out);

#endif
