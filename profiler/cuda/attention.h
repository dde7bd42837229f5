/* Attention on the device: from the projections of a batch's rows to what the output matrix takes.
 *
 * Contract. Everything is asked for on one stream and nothing waits; every launcher answers
 * cudaSuccess (0) or the cudaError_t of a launch. Pointers of arrays are the device's unless they
 * say "host"; arrays are borrowed for as long as the work runs. Positions and slots are read on the
 * device, and launches depend on the shape and the plan alone: a captured decode step can be
 * replayed as long as the number of its rows stays. The same input gives the same bits.
 *
 * Two precisions. f32: CUDA cores, everything in float. bf16: cache, rotated queries and results
 * are bf16, products run on tensor cores, sums and the softmax in float. Projections (q, k, v,
 * kv_a) are float in both.
 *
 * The cache of a layer holds for each slot keys [kv_heads, context, key stride], then values of the
 * same form; position p of a slot at row p. MLA: one head, and no values: they are the first
 * kv_lora elements of its keys. Rows are padded to a multiple of 8 elements. Nothing has to be
 * cleared: what a row sees was written by it and those before it. */
#ifndef MOE_PROFILER_CUDA_ATTENTION_H
#define MOE_PROFILER_CUDA_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;

/* Of queries and keys, over each head or over all; see moe_qk_norm. */
typedef enum moe_cuda_head_norm {
    MOE_CUDA_HEAD_NORM_NONE,
    MOE_CUDA_HEAD_NORM_HEAD,
    MOE_CUDA_HEAD_NORM_FULL,
} moe_cuda_head_norm;

/* What a layer's attention is. Limits: head_dim <= 256; MLA: kv_lora + rope_dim <= 576,
 * kv_lora <= 512, nope_dim and value_dim <= 256; heads a multiple of kv_heads. */
typedef struct moe_cuda_attention {
    bool bf16;
    bool latent; /* MLA: kv_heads and head_dim are unused */
    uint32_t heads, kv_heads, head_dim;
    uint32_t kv_lora, nope_dim, rope_dim, value_dim; /* MLA */
    uint32_t rotated; /* elements of a head that are turned: 2 * pairs; MLA: of its
                         rope part */
    bool interleaved; /* pairs are (2i, 2i + 1) instead of (i, i + pairs) */
    uint32_t window;  /* positions seen, the row's own counted; 0: all */
    uint32_t context; /* positions of a slot */
    moe_cuda_head_norm norm;
    float eps;   /* of that norm; MLA: of the latent's */
    float clip;  /* of q, k, v after the norm; 0: none */
    float scale; /* of queries times keys */
} moe_cuda_attention;

/* How the rows of a batch lie: rows that stand alone in their sequence, and runs of several. Made
 * on the host once for each batch; `list` [n] lies on both sides and is uploaded by the caller. It
 * depends on slots alone, so for a batch of decode rows it is the same at every step. */
typedef struct moe_cuda_plan {
    uint32_t n, singles, runs;
    const uint32_t *host;   /* singles: row; then runs: first row, rows */
    const uint32_t *device; /* the same, set by the caller */
} moe_cuda_plan;

/* The rows of a batch. */
typedef struct moe_cuda_rows {
    moe_cuda_plan plan;
    const uint32_t *slot, *position; /* [n] */
    const float *cosine, *sine;      /* [n, rotated / 2], see moe_cuda_angles */
} moe_cuda_rows;

/* What a layer's attention reads. Absent: NULL. Projections may lie in wider rows. */
typedef struct moe_cuda_attention_in {
    const float *q;               /* [n, heads, head_dim]; MLA: [n, heads, nope_dim + rope_dim] */
    const float *k, *v;           /* [n, kv_heads, head_dim] */
    const float *q_norm, *k_norm; /* [head_dim], or of all heads */
    const float *sinks;           /* [heads] */
    const float *kv_a;            /* MLA: [n, kv_lora + rope_dim] */
    const float *kv_a_norm;       /* MLA: [kv_lora] */
    const void *kv_b;             /* MLA: bf16 [heads, nope_dim + value_dim, kv_lora] */
    uint32_t q_row, k_row, v_row, kv_a_row; /* floats from row to row; 0: one behind another */
} moe_cuda_attention_in;

/* Host: the plan of n rows; fills list [n], host memory. */
moe_cuda_plan moe_cuda_attention_plan(uint32_t n, const uint32_t *slot, uint32_t *list);

/* Bytes of a layer's cache for so many slots. */
uint64_t moe_cuda_attention_cache_bytes(const moe_cuda_attention *a, uint32_t slots);
/* Bytes of working space for batches of up to max_rows rows; may be shared by layers. */
uint64_t moe_cuda_attention_work_bytes(const moe_cuda_attention *a, uint32_t max_rows);
/* Columns of `attended`: heads * head_dim, or heads * value_dim. */
uint32_t moe_cuda_attention_columns(const moe_cuda_attention *a);
/* NULL, or what about the shape is beyond the kernels (static text). */
const char *moe_cuda_attention_refusal(const moe_cuda_attention *a);

/* cosine, sine [n, pairs] of position * inverse[pair] (in double), times magnitude: once for each
 * batch, for all layers. */
int moe_cuda_angles(struct CUstream_st *stream, uint32_t n, const uint32_t *position,
                    const double *inverse, uint32_t pairs, float magnitude, float *cosine,
                    float *sine);

/* Norm, clip and rotation of queries and keys; keys and values join the cache; attended
 * [n, columns], bf16 or float, is what each head attends to. `work`: 256-byte aligned, as is
 * `cache`. */
int moe_cuda_attend(struct CUstream_st *stream, const moe_cuda_attention *a,
                    const moe_cuda_rows *rows, const moe_cuda_attention_in *in, void *cache,
                    void *work, void *attended);

#ifdef __cplusplus
}
#endif
#endif
