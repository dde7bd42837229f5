/* What the CPU backend holds, shared by the files of this folder. */
#ifndef MOE_PROFILER_CPU_STATE_H
#define MOE_PROFILER_CPU_STATE_H

#include "profiler/backend.h"
#include "profiler/cpu/kernels.h"
#include "profiler/cpu/threads.h"

/* The cache of a layer: for each slot keys [heads, ring, key_dim] and values [heads, ring,
 * value_dim]; position p in place p % ring. MLA: one head, whose values are the first part of its
 * keys. */
typedef struct moe_cpu_cache {
    float *keys, *values;
    uint32_t heads, ring, key_dim, value_dim; /* value_dim 0: MLA */
} moe_cpu_cache;

/* y = W x + b of all rows. */
typedef struct moe_cpu_product {
    const moe_matrix *weight, *bias;
    moe_rows in;
    float *out; /* row i at out + i * stride */
    size_t stride;
    uint32_t first_task; /* set by moe_cpu_multiply */
} moe_cpu_product;

/* Outputs of a task. */
#define MOE_CPU_BLOCK 64

/* The largest of each shape over the layers. */
typedef struct moe_cpu_shape {
    uint32_t layers, hidden, vocab, heads, query, key, value, attended, latent, q_lora;
    uint32_t dense, experts, top_k, width, shared, cols, pairs;
} moe_cpu_shape;

typedef struct moe_cpu {
    const moe_weights *weights;
    const moe_arch *arch;
    const moe_layer *layers;
    moe_backend_config config; /* threads and max_logits as they are */
    moe_cpu_shape shape;
    const moe_kernels *kernels;
    moe_threads *threads;
    bool blas;
    void *memory;

    moe_cpu_cache *cache; /* [layers] */
    uint32_t *length;     /* [slots]: positions held */

    /* Rows of the batch under way. */
    float *hidden; /* the residual stream */
    float *input;  /* of the attention or the feed-forward block: normalised */
    float *other;  /* normalised for a look-ahead or the unembedding */
    float *query, *key, *value, *attended, *q_low, *latent;
    float *cosine, *sine; /* [rows, pairs] */
    float *router_logits; /* [rows, experts] */
    float *logits;        /* [max_logits, vocab] */
    float *gate, *up;     /* [rows * top_k, width]; of shared experts and dense layers too */
    float *outputs;       /* [rows * top_k, hidden] */
    float *added;         /* [rows, hidden]: what joins the residual stream */
    float *shared_gate;   /* [rows] */
    uint32_t *entry;      /* [rows, top_k]: of the dispatch, by falling weight; MOE_NONE: no more */
    moe_cpu_product *products; /* what moe_cpu_multiply computes next */
    uint32_t n_products;
    moe_matrix *parts; /* [heads] */

    /* Working space. */
    float *vector;                    /* norm weights */
    float *scores, *scratch, *gather; /* of each thread */
    size_t scratch_size, gather_size;

    /* The stage under way, for its tasks. */
    const moe_batch *batch;
    const moe_dispatch *dispatch;
    uint32_t layer;
} moe_cpu;

/* Bytes besides the mapped weights. */
uint64_t moe_cpu_memory(const moe_weights *weights, const moe_backend_config *config);
void *moe_cpu_open(const moe_weights *weights, const moe_backend_config *config, GError **error);
void moe_cpu_close(void *state);

/* ---- for the stages ---- */
/* Runs tasks (context: cpu) on the threads, or on the caller alone if `work`, in multiply-adds, is
 * too little. */
void moe_cpu_run(moe_cpu *cpu, moe_threads_task *task, uint32_t n, double work);
/* Computes products[0 .. n). */
void moe_cpu_multiply(moe_cpu *cpu, uint32_t n);
/* out [n, hidden]: rows of the residual stream, normalised; pick: which, or NULL. */
void moe_cpu_norm(moe_cpu *cpu, const moe_matrix *weight, const uint32_t *pick, uint32_t n,
                  float *out);
/* A matrix of one column as floats. */
void moe_cpu_vector(const moe_cpu *cpu, const moe_matrix *column, float *out);
/* The residual stream += x [rows, hidden]. */
void moe_cpu_add(moe_cpu *cpu, const float *x);
/* Rows start .. start + rows - 1. */
moe_matrix moe_cpu_part(const moe_matrix *matrix, uint32_t start, uint32_t rows);
/* gate = act(gate) * up */
void moe_cpu_activate(const moe_cpu *cpu, float *gate, const float *up, uint32_t n);

/* ---- for attention ---- */
/* Turns pairs of x by the angles of row `row` of the batch. */
void moe_cpu_rotate(const moe_cpu *cpu, uint32_t row, float *x);
/* Where the key of that row goes in the cache. */
float *moe_cpu_key(const moe_cpu *cpu, uint32_t row, uint32_t head);
/* What that row sees of the cache; query and out are left to be set. */
void moe_cpu_view(const moe_cpu *cpu, uint32_t row, uint32_t head, uint32_t thread,
                  moe_attend *out);
double moe_cpu_attend_work(const moe_cpu *cpu, double per_position);
/* From `input` to `attended`. */
void moe_cpu_latent_attention(moe_cpu *cpu);

/* ---- stages, see backend.h ---- */
bool moe_cpu_attention(void *state, const moe_batch *batch, uint32_t layer, GError **error);
bool moe_cpu_dense(void *state, const moe_batch *batch, uint32_t layer, GError **error);
bool moe_cpu_dispatch(void *state, const moe_batch *batch, uint32_t layer,
                      const moe_dispatch *dispatch, GError **error);
bool moe_cpu_experts(void *state, uint32_t layer, const uint32_t *members,
                     const moe_mlp *const *weights, uint32_t n, GError **error);
bool moe_cpu_combine(void *state, const moe_batch *batch, uint32_t layer, GError **error);

#endif
