/* Inside libmoesim_cuda.so: what a state holds on the device, shared by state*.cu. C++ of nvcc, and
 * of the host's compiler for emulation; written as C is. */
#ifndef MOE_PROFILER_CUDA_STATE_H
#define MOE_PROFILER_CUDA_STATE_H

#include "profiler/cuda/api.h"

#ifdef __cplusplus
#include <cuda_runtime.h>

#include <cstddef>

/* Answers for a call of the runtime or of a launcher; `failure` is the function's. */
#define MOE_TRY(call)                                                                              \
    do {                                                                                           \
        int error_ = (int)(call);                                                                  \
        if (error_ != cudaSuccess)                                                                 \
            return moe_cuda_failed(failure, error_, #call);                                        \
    } while (0)
#define MOE_PASS(call)                                                                             \
    do {                                                                                           \
        int result_ = (call);                                                                      \
        if (result_ != MOE_CUDA_OK)                                                                \
            return result_;                                                                        \
    } while (0)

int moe_cuda_failed(moe_cuda_failure *failure, int error, const char *call);
int moe_cuda_fail(moe_cuda_failure *failure, int result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct moe_cuda_device {
    moe_cuda_info info;
    cudaStream_t compute, copy;
    cudaEvent_t computed; /* the last experts that were asked for */
};

int moe_cuda_device_open(moe_cuda_device **device, moe_cuda_info *info, moe_cuda_failure *failure);
void moe_cuda_device_close(moe_cuda_device *device);

/* ---- parts of one block of memory ---- */

/* Handed out one behind another, 256-byte aligned; without a base they are counted. */
struct moe_cuda_arena {
    char *base;
    uint64_t used;
};
void *moe_cuda_take(moe_cuda_arena *arena, uint64_t count, uint64_t size);

/* Where the matrices of an expert lie in its block. */
struct moe_cuda_image {
    uint64_t gate, up, down, gate_bias, up_bias, down_bias, bytes;
    bool biases;
};
moe_cuda_image moe_cuda_image_of(uint32_t hidden, uint32_t width, bool biases);
moe_cuda_mlp moe_cuda_image_at(const moe_cuda_image *image, const void *block);

/* ---- a state ---- */

/* A layer's weights, on the device. */
struct moe_cuda_layer_state {
    moe_cuda_attention attention;
    void *cache;
    const float *attention_norm, *ffn_norm, *q_norm, *k_norm, *sinks, *q_a_norm, *kv_a_norm;
    /* heads: q, k and v one behind another; MLA: q, or q_b; kv_a; q_a */
    moe_bf16 *qkv, *o, *q_a, *kv_a, *kv_b;
    float *qkv_bias, *o_bias;
    uint32_t q_rows, kv_rows, q_a_rows, kv_a_rows, columns;
    int32_t moe;
    uint32_t width; /* of experts, or of a dense layer */
    uint32_t shared_width;
    moe_cuda_mlp ffn, shared; /* ffn: dense */
    float *router, *router_bias, *correction, *shared_gate;
    moe_cuda_image image;
    char *experts;       /* [experts] images; NULL: served */
    moe_cuda_mlp *table; /* [experts]: all of them */
};

/* The end of an interval on the device: a stage's, or, below 0, nobody's. */
struct moe_cuda_marks {
    cudaEvent_t *events;
    int32_t *stage; /* layer * MOE_CUDA_STAGES + stage */
    uint32_t n, most;
    bool on, capturing, gap; /* gap: what comes next does not begin where the last one ended */
};

struct moe_cuda_graph {
    uint32_t n, n_rows, lookahead;
    bool router_logits, cosines, timed;
    cudaGraphExec_t exec; /* NULL: met once */
    int32_t *stage;       /* of its marks */
    uint32_t n_marks;
    uint64_t used;
};
#define MOE_CUDA_GRAPHS 64

struct moe_cuda_state {
    moe_cuda_device *device;
    moe_cuda_config config;
    moe_cuda_host host;
    cudaStream_t stream;
    bool bf16;
    /* the model */
    uint32_t n_layers, n_moe, hidden, vocab, pairs, experts, top_k, query, kv, widest;
    uint32_t q_lora, kv_a, columns, shared;
    float norm_eps, latent_norm_eps, magnitude;
    moe_cuda_router router;
    moe_cuda_activation activation;
    float alpha, limit;
    moe_cuda_layer_state *layers;
    uint32_t *moe_layer; /* [n_moe] */
    moe_bf16 *embedding, *unembedding;
    float *final_norm;
    double *inverse;

    char *block; /* all of the device's memory but what follows */
    uint64_t bytes;
    float *all_logits; /* [n_moe, max_rows, experts], once asked for */
    float *ring;       /* [lookahead + 1, max_rows, hidden], likewise */
    char *pinned;      /* the host's */
    uint64_t pinned_bytes;
    float *host_all_logits;

    /* rows of the batch under way */
    uint32_t n;
    uint32_t *words, *host_words; /* token, slot, position, list [n each], rows [n_rows] */
    moe_cuda_rows rows;
    float *residual, *x32, *other, *query_rows, *kv_a_rows, *q_a_rows, *cosine, *sine;
    void *x, *attended, *work, *inner, *outputs, *shared_out; /* of the type of activations */
    moe_bf16 *x16, *q_a16;
    float *router_logits, *ahead_logits, *shared_gate, *logits;
    uint16_t *ids, *ahead_ids; /* [n_moe, n, k]; [lookahead][n_moe * max_rows * k] */
    float *weights, *ahead_weights;
    float *cosines; /* [lookahead][n_moe * max_rows] */
    moe_cuda_dispatch dispatch;
    moe_cuda_mlp *wave, *host_wave; /* [experts] */

    /* the host's copies, pinned */
    float *host_logits, *host_weights, *host_ahead_weights, *host_cosines, *host_rows;
    uint16_t *host_ids, *host_ahead_ids;

    moe_cuda_marks marks;
    float *ns; /* [layers, MOE_CUDA_STAGES] */
    moe_cuda_graph graphs[MOE_CUDA_GRAPHS];
    uint32_t n_graphs;
    uint64_t steps;
    struct moe_cuda_grouped *grouped; /* cuBLAS, NULL without */
};

static inline size_t
moe_cuda_size(const moe_cuda_state *s)
{
    return s->bf16 ? 2 : 4;
}

/* state.cu */
uint64_t moe_cuda_memory(const moe_cuda_model *model, const moe_cuda_config *config);
int moe_cuda_open(moe_cuda_device *device, const moe_cuda_model *model,
                  const moe_cuda_config *config, const moe_cuda_host *host, moe_cuda_state **state,
                  moe_cuda_failure *failure);
void moe_cuda_close(moe_cuda_state *state);

/* state_upload.cu */
int moe_cuda_upload(moe_cuda_state *s, const moe_cuda_model *model, moe_cuda_failure *failure);

/* state_stages.cu: what a stage asks of the device. */
int moe_cuda_rows_begin(moe_cuda_state *s, const moe_cuda_batch *batch, const uint32_t *rows,
                        uint32_t n_rows, moe_cuda_failure *failure);
int moe_cuda_run_embed(moe_cuda_state *s, moe_cuda_failure *failure);
int moe_cuda_run_attention(moe_cuda_state *s, uint32_t layer, moe_cuda_failure *failure);
int moe_cuda_run_dense(moe_cuda_state *s, uint32_t layer, moe_cuda_failure *failure);
/* What the gate of layer `gate` says in layer `layer`: logits [n, experts]. */
int moe_cuda_run_router(moe_cuda_state *s, uint32_t layer, uint32_t gate, float *logits,
                        moe_cuda_failure *failure);
/* Experts of `table` on the dispatch. */
int moe_cuda_run_experts(moe_cuda_state *s, uint32_t layer, const moe_cuda_mlp *table,
                         moe_cuda_failure *failure);
int moe_cuda_run_combine(moe_cuda_state *s, uint32_t layer, const float *weights,
                         moe_cuda_failure *failure);
/* Of rows words[4 n ..]. */
int moe_cuda_run_unembed(moe_cuda_state *s, uint32_t n_rows, moe_cuda_failure *failure);

/* state_forward.cu */
int moe_cuda_forward(moe_cuda_state *s, const moe_cuda_step *step, moe_cuda_answer *answer,
                     moe_cuda_failure *failure);
void moe_cuda_graphs_clear(moe_cuda_state *s);

/* state_slots.cu */
uint64_t moe_cuda_slot_bytes(const moe_cuda_slots_config *config);
int moe_cuda_slots_open(moe_cuda_device *device, const moe_cuda_slots_config *config,
                        const moe_cuda_host *host, moe_cuda_slots **slots,
                        moe_cuda_failure *failure);
void moe_cuda_slots_close(moe_cuda_slots *slots);
int moe_cuda_slots_keep(moe_cuda_slots *slots, uint32_t kept, const moe_cuda_block *expert,
                        moe_cuda_failure *failure);
int moe_cuda_slots_load(moe_cuda_slots *slots, uint32_t slot, uint32_t kept,
                        const moe_cuda_block *expert, moe_cuda_failure *failure);
const void *moe_cuda_slots_at(const moe_cuda_slots *slots, uint32_t slot);

/* state_grouped.cu: experts by cuBLAS. */
int moe_cuda_grouped_open(moe_cuda_state *s, moe_cuda_failure *failure);
void moe_cuda_grouped_close(moe_cuda_state *s);
int moe_cuda_grouped_run(moe_cuda_state *s, uint32_t layer, moe_cuda_failure *failure);

/* cosines.cu: out[(d - 1) * out_stride + row] between x [n, hidden] and what stood here d calls
 * before, for d up to `ahead`; x joins the ring of ahead + 1 places of ring_stride floats. */
int moe_cuda_cosines(cudaStream_t stream, const float *x, uint32_t n, uint32_t hidden, float *ring,
                     size_t ring_stride, uint32_t call, uint32_t ahead, float *out,
                     size_t out_stride);

#endif
#endif
