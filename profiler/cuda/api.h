/* The C ABI of libmoesim_cuda.so, which profiler/backend_cuda.c loads at run time. No GLib, and
 * nothing that wants a driver to be loaded: asking for a device is what finds out.
 *
 * Contract. One symbol, moe_cuda_api_get, hands out the table; another version is refused by
 * handing out NULL. A call that fails fills `failure` and answers other than MOE_CUDA_OK. Objects
 * are used by one thread at a time, but for slots_load, which a second thread may call while the
 * first computes. Host memory that is handed out is valid until the next call on its state.
 *
 * The stages of a state are those of profiler/backend.h, in its order; `forward` is all of them at
 * once. Stages are asked for and not waited for, unless they answer with host memory. */
#ifndef MOE_PROFILER_CUDA_API_H
#define MOE_PROFILER_CUDA_API_H

#include "profiler/cuda/attention.h"
#include "profiler/cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MOE_CUDA_API_VERSION 1
#define MOE_CUDA_API_SYMBOL "moe_cuda_api_get"
#define MOE_CUDA_MAX_LOOKAHEAD 8
#define MOE_CUDA_STAGES 7

typedef enum moe_cuda_result {
    MOE_CUDA_OK,
    MOE_CUDA_NO_DEVICE, /* no driver, or none that will do, or no device */
    MOE_CUDA_NO_MEMORY, /* `wanted` and `available` say how much */
    MOE_CUDA_REFUSED,   /* a shape beyond the kernels */
    MOE_CUDA_FAILED,
} moe_cuda_result;

typedef struct moe_cuda_failure {
    char text[512]; /* one line */
    uint64_t wanted, available;
    bool host; /* it is the host's memory that lacks */
} moe_cuda_failure;

typedef struct moe_cuda_info {
    char name[256];
    uint32_t major, minor, processors;
    uint32_t driver, runtime; /* versions as CUDA counts them: 13000 */
    uint64_t bytes;           /* of its memory */
} moe_cuda_info;

/* A matrix of the checkpoint, whose rows are asked for by moe_cuda_host.fill. source NULL: absent.
 * Vectors have one column. */
typedef struct moe_cuda_matrix {
    const void *source;
    uint32_t rows, cols;
} moe_cuda_matrix;

/* A feed-forward block. */
typedef struct moe_cuda_block {
    moe_cuda_matrix gate, up, down, gate_bias, up_bias, down_bias;
} moe_cuda_block;

typedef struct moe_cuda_layer {
    moe_cuda_attention attention; /* bf16 and context are left to the state */
    moe_cuda_matrix attention_norm, ffn_norm;
    moe_cuda_matrix q, k, v, o, q_bias, k_bias, v_bias, o_bias, q_norm, k_norm, sinks;
    moe_cuda_matrix q_a, q_a_norm, kv_a, kv_a_norm, kv_b;
    int32_t moe; /* its number among MoE layers; below 0: dense */
    moe_cuda_block dense;
    moe_cuda_matrix router, router_bias, correction, shared_gate;
    moe_cuda_block shared;
    const moe_cuda_block *experts; /* [router.experts] */
} moe_cuda_layer;

typedef struct moe_cuda_model {
    uint32_t n_layers, n_moe, hidden, vocab;
    const moe_cuda_layer *layers;
    moe_cuda_matrix embedding, final_norm, unembedding; /* one source: they are tied */
    float norm_eps, latent_norm_eps;
    uint32_t pairs;
    const double *inverse; /* [pairs] */
    float magnitude;
    moe_cuda_router router;
    moe_cuda_activation activation;
    float alpha, limit; /* of the clamped swiglu */
} moe_cuda_model;

typedef struct moe_cuda_config {
    uint32_t max_rows, max_logits, max_sequences, max_context, lookahead;
    moe_cuda_type type; /* of activations */
    bool served;        /* experts are in slots */
    bool eager;         /* no graphs */
    bool grouped_blas;  /* experts by cuBLAS's grouped GEMM, with counts fetched to the host */
} moe_cuda_config;

/* What a state asks of the host. */
typedef struct moe_cuda_host {
    void *context;
    /* Rows [first, first + n) of a matrix, as floats or bf16, one behind another. */
    void (*fill)(void *context, const void *source, uint32_t first, uint32_t n, moe_cuda_type type,
                 void *out);
    /* A stage's kernels are asked for between these. */
    void (*push)(void *context, uint32_t layer, uint32_t stage);
    void (*pop)(void *context);
} moe_cuda_host;

typedef struct moe_cuda_batch {
    uint32_t n;
    const uint32_t *token, *slot, *position; /* [n], host */
} moe_cuda_batch;

/* See moe_forward and moe_forward_result. */
typedef struct moe_cuda_step {
    moe_cuda_batch batch;
    const uint32_t *rows;
    uint32_t n_rows, lookahead;
    bool router_logits, cosines, timed;
} moe_cuda_step;

typedef struct moe_cuda_answer {
    const float *logits;
    const uint16_t *ids;
    const float *weights, *router_logits;
    const uint16_t *ahead[MOE_CUDA_MAX_LOOKAHEAD];
    const float *ahead_weights[MOE_CUDA_MAX_LOOKAHEAD];
    const float *cosines[MOE_CUDA_MAX_LOOKAHEAD];
    const float *ns; /* [layers, MOE_CUDA_STAGES] */
    bool replayed;   /* from a graph */
} moe_cuda_answer;

/* Experts that pass through slots of the device's memory. */
typedef struct moe_cuda_slots_config {
    uint32_t hidden, width;
    bool biases;
    uint32_t slots;
    uint32_t
        kept; /* experts that are kept in pinned memory; 0: they are handed over to be loaded */
} moe_cuda_slots_config;

typedef struct moe_cuda_device moe_cuda_device;
typedef struct moe_cuda_state moe_cuda_state;
typedef struct moe_cuda_slots moe_cuda_slots;

typedef struct moe_cuda_api {
    uint32_t version;

    int (*device_open)(moe_cuda_device **device, moe_cuda_info *info, moe_cuda_failure *failure);
    void (*device_close)(moe_cuda_device *device);

    /* Bytes of the device that a state would take, weights included. */
    uint64_t (*memory)(const moe_cuda_model *model, const moe_cuda_config *config);
    /* Host and model are borrowed until the state is there; the device and `host` outlive it. */
    int (*open)(moe_cuda_device *device, const moe_cuda_model *model, const moe_cuda_config *config,
                const moe_cuda_host *host, moe_cuda_state **state, moe_cuda_failure *failure);
    void (*close)(moe_cuda_state *state);
    int (*embed)(moe_cuda_state *state, const moe_cuda_batch *batch, moe_cuda_failure *failure);
    int (*attention)(moe_cuda_state *state, uint32_t layer, moe_cuda_failure *failure);
    int (*dense)(moe_cuda_state *state, uint32_t layer, moe_cuda_failure *failure);
    int (*router)(moe_cuda_state *state, uint32_t layer, uint32_t gate, const float **logits,
                  moe_cuda_failure *failure);
    /* ids, weights [n, top_k] by falling weight, host; ids beyond the experts: none. */
    int (*dispatch)(moe_cuda_state *state, uint32_t layer, const uint16_t *ids,
                    const float *weights, moe_cuda_failure *failure);
    /* Of experts [n]: at[i] is a slot's address, NULL or at NULL: the layer's own. */
    int (*experts)(moe_cuda_state *state, uint32_t layer, const uint16_t *experts,
                   const void *const *at, uint32_t n, moe_cuda_failure *failure);
    int (*combine)(moe_cuda_state *state, uint32_t layer, moe_cuda_failure *failure);
    int (*unembed)(moe_cuda_state *state, const uint32_t *rows, uint32_t n_rows,
                   const float **logits, moe_cuda_failure *failure);
    int (*hidden)(moe_cuda_state *state, const float **hidden, moe_cuda_failure *failure);
    int (*forward)(moe_cuda_state *state, const moe_cuda_step *step, moe_cuda_answer *answer,
                   moe_cuda_failure *failure);
    int (*wait)(moe_cuda_state *state, moe_cuda_failure *failure);

    /* Bytes of a slot. */
    uint64_t (*slot_bytes)(const moe_cuda_slots_config *config);
    int (*slots_open)(moe_cuda_device *device, const moe_cuda_slots_config *config,
                      const moe_cuda_host *host, moe_cuda_slots **slots, moe_cuda_failure *failure);
    void (*slots_close)(moe_cuda_slots *slots);
    /* Expert number `kept` is kept in pinned memory. */
    int (*slots_keep)(moe_cuda_slots *slots, uint32_t kept, const moe_cuda_block *expert,
                      moe_cuda_failure *failure);
    /* Copies an expert into a slot, as soon as what was asked of it before is done, and waits:
     * number `kept`, or, if that is not NULL, `expert`. */
    int (*slots_load)(moe_cuda_slots *slots, uint32_t slot, uint32_t kept,
                      const moe_cuda_block *expert, moe_cuda_failure *failure);
    const void *(*slots_at)(const moe_cuda_slots *slots, uint32_t slot);
} moe_cuda_api;

/* NULL: of another version. */
const moe_cuda_api *moe_cuda_api_get(uint32_t version);

#ifdef __cplusplus
}
#endif
#endif
