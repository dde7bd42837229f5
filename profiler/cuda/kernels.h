/* What a decoder needs computed on the device, attention aside (profiler/cuda/attention.h).
 *
 * Contract. Everything is asked for on one stream and nothing waits; a launcher answers cudaSuccess
 * (0) or the cudaError_t of a launch. Pointers of arrays are the device's unless they say "host",
 * and are borrowed for as long as the work runs. Launches depend on the numbers given here alone,
 * never on what is routed where: offsets are read on the device, so that a whole step can be
 * captured in a graph; the first call of each kind loads its kernels, which belongs before it. The
 * same input gives the same bits: no sum depends on the order in which blocks run.
 *
 * Two precisions of activations. f32: CUDA cores, every product and sum in float. bf16: tensor
 * cores, sums in float. Weights of matrices are bf16, those of routers float; norms and biases are
 * float; the residual stream is float. Matrices are [rows, cols], row-major: y = x W^T + b. The
 * bf16 path wants rows that are 16-byte aligned: cols and strides multiples of 8 (others are
 * computed on CUDA cores), and each matrix of an expert at such an address. */
#ifndef MOE_PROFILER_CUDA_KERNELS_H
#define MOE_PROFILER_CUDA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;

typedef uint16_t moe_bf16; /* the bits */

typedef enum moe_cuda_type {
    MOE_CUDA_F32,
    MOE_CUDA_BF16,
} moe_cuda_type;

/* out [n, hidden] = rows token[i] of table [vocab, hidden]. */
int moe_cuda_embed(struct CUstream_st *stream, const moe_bf16 *table, uint32_t hidden,
                   const uint32_t *token, uint32_t n, float *out);

/* Row i of out is row pick[i] of x (pick NULL: i), normalised: x / sqrt(mean of squares + eps) *
 * weight. Either of out and out_bf16 may be NULL. */
int moe_cuda_norm(struct CUstream_st *stream, const float *x, const uint32_t *pick, uint32_t n,
                  uint32_t hidden, const float *weight, float eps, float *out, moe_bf16 *out_bf16);

/* out [n, hidden] = rows pick[i] of x. */
int moe_cuda_gather(struct CUstream_st *stream, const float *x, const uint32_t *pick, uint32_t n,
                    uint32_t hidden, float *out);

/* y = x W^T + bias; `add`: y += that. bf16 x wants bf16 w. */
typedef struct moe_cuda_product {
    uint32_t n, rows, cols; /* x [n, cols], w [rows, cols], y [n, rows] */
    moe_cuda_type x_type, w_type, y_type;
    const void *x, *w;
    const float *bias; /* NULL: none */
    void *y;
    uint32_t x_stride, w_stride, y_stride; /* elements from row to row; 0: one behind another */
    bool add;                              /* float y only */
} moe_cuda_product;
int moe_cuda_multiply(struct CUstream_st *stream, const moe_cuda_product *product);

/* ---- routing ---- */

/* See moe_router_rule: the same choice, and the same bits of weights, as moe_route's. Limits:
 * experts <= 1024, top_k <= 64, groups <= 64. */
typedef enum moe_cuda_score {
    MOE_CUDA_SCORE_SOFTMAX,
    MOE_CUDA_SCORE_SIGMOID,
    MOE_CUDA_SCORE_TOPK_SOFTMAX,
} moe_cuda_score;

typedef struct moe_cuda_router {
    moe_cuda_score score;
    uint32_t experts, top_k;
    uint32_t groups, top_groups; /* groups 0 or 1: none */
    bool group_top_two, normalise;
    float scale;
} moe_cuda_router;

/* ids, weights [n, top_k] by falling weight, of logits [n, experts]; correction NULL: none. */
int moe_cuda_route(struct CUstream_st *stream, const moe_cuda_router *router, const float *logits,
                   const float *correction, uint32_t n, uint16_t *ids, float *weights);

/* ---- dispatch ---- */

#define MOE_CUDA_MAX_ROWS 65536
#define MOE_CUDA_MAX_EXPERTS 1024
#define MOE_CUDA_MAX_TOP_K 64

/* A run of entries that one tile computes. */
typedef struct moe_cuda_item {
    uint32_t expert, first, n;
} moe_cuda_item;

/* Entries (row, one of its experts) by expert, in order of rows: those of expert e are
 * offset[e] .. offset[e + 1]. All arrays are the device's, parts of one block. */
typedef struct moe_cuda_dispatch {
    uint32_t max_rows, experts, top_k;
    uint32_t *offset;        /* [experts + 1] */
    uint32_t *row;           /* [entries]: the row that an entry takes */
    uint32_t *place;         /* [rows, top_k]: the entry of a row's j-th expert */
    uint32_t *items;         /* how many of each: streamed, tiled */
    moe_cuda_item *streamed; /* experts with few entries: [experts] */
    moe_cuda_item *tiled;    /* tiles of the others: [entries / 128 + experts] */
    uint32_t *counts;        /* working space */
} moe_cuda_dispatch;

/* Host: bytes of the block, and its parts. The block is 256-byte aligned. */
size_t moe_cuda_dispatch_bytes(uint32_t max_rows, uint32_t experts, uint32_t top_k);
moe_cuda_dispatch moe_cuda_dispatch_at(void *block, uint32_t max_rows, uint32_t experts,
                                       uint32_t top_k);
/* Fills it from ids [n, top_k], those of a row distinct; ids >= experts are no expert: their place
 * is UINT32_MAX. */
int moe_cuda_dispatch_fill(struct CUstream_st *stream, const moe_cuda_dispatch *dispatch,
                           const uint16_t *ids, uint32_t n);

/* ---- experts ---- */

typedef enum moe_cuda_activation {
    MOE_CUDA_SILU,
    MOE_CUDA_CLAMPED_SWIGLU, /* see MOE_ACTIVATION_CLAMPED_SWIGLU */
} moe_cuda_activation;

typedef struct moe_cuda_mlp_shape {
    uint32_t hidden, width;
    moe_cuda_activation activation;
    float alpha, limit; /* of the clamped swiglu */
    moe_cuda_type type; /* of x, of what lies between and of the experts' outputs */
} moe_cuda_mlp_shape;

/* gate, up [width, hidden], down [hidden, width], rows one behind another. Biases NULL: none. */
typedef struct moe_cuda_mlp {
    const moe_bf16 *gate, *up, *down;
    const float *gate_bias, *up_bias, *down_bias;
} moe_cuda_mlp;

/* inner [entries, width] = act(gate x, up x) of the entries' rows of x [n, hidden]. experts
 * [experts]: a table on the device, read when the work runs; experts with gate NULL are left out
 * (they are computed by another call, once they are there). */
int moe_cuda_experts_inner(struct CUstream_st *stream, const moe_cuda_mlp_shape *shape,
                           const moe_cuda_dispatch *dispatch, const moe_cuda_mlp *experts,
                           uint32_t n, const void *x, void *inner);
/* outputs [entries, hidden] = down inner + bias, without the weights of the routing. */
int moe_cuda_experts_outer(struct CUstream_st *stream, const moe_cuda_mlp_shape *shape,
                           const moe_cuda_dispatch *dispatch, const moe_cuda_mlp *experts,
                           uint32_t n, const void *inner, void *outputs);
/* inner [n, width] of one block and all rows; its down matrix is a moe_cuda_multiply. `mlp`: host.
 */
int moe_cuda_mlp_inner(struct CUstream_st *stream, const moe_cuda_mlp_shape *shape,
                       const moe_cuda_mlp *mlp, uint32_t n, const void *x, void *inner);

/* What joins the residual stream behind the experts. */
typedef struct moe_cuda_combine {
    uint32_t n, hidden, top_k;
    moe_cuda_type type;       /* of outputs and shared */
    const void *outputs;      /* [entries, hidden] */
    const uint32_t *place;    /* [n, top_k] */
    const float *weights;     /* [n, top_k] */
    const void *shared;       /* [n, hidden]; NULL: none */
    const float *shared_gate; /* [n]: logits of a sigmoid on `shared`; NULL: 1 */
    float *residual;          /* [n, hidden] */
} moe_cuda_combine;
/* residual += (sum of weight * output, in the order of weights) + sigmoid * shared. */
int moe_cuda_combine_add(struct CUstream_st *stream, const moe_cuda_combine *combine);

#ifdef __cplusplus
}
#endif
#endif
