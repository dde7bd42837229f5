/* backend: who computes the stages of a decoder layer.
 *
 * Contract. A backend holds the residual stream of one batch of rows and the KV caches of its
 * sequences. The decoder calls, in this order and never concurrently:
 *
 *     embed
 *     for each layer: attention, then either dense, or
 *                     router (once for the layer itself, then once for each layer looked ahead),
 *                     dispatch, experts (once per wave), combine
 *     unembed
 *
 * Rows of a batch belong to sequences; rows of one sequence stand together, in order of position,
 * and continue what its cache holds. Whatever is handed out by a stage is host memory, valid until
 * the next call. `layer` and `gate` are layers of the model. A stage that fails (no memory, a
 * device error) sets `error`. */
#ifndef MOE_PROFILER_BACKEND_H
#define MOE_PROFILER_BACKEND_H

#include "profiler/weights.h"

/* What a decoder asks of its backend. */
typedef struct moe_backend_config {
    uint32_t max_rows;      /* in one batch */
    uint32_t max_logits;    /* rows whose logits are asked for at once; 0: max_rows */
    uint32_t max_sequences; /* cache slots */
    uint32_t max_context;   /* positions of each */
    uint32_t threads;       /* 0: as many as there are processors */
    bool exact;             /* the same bits on every machine: no BLAS, fixed order of every sum */
    uint32_t lookahead;     /* layers ahead; set by the decoder */
    bool served;            /* experts come from a source; set by the decoder */
    void *device;           /* of the backend's own making (profiler/backend_cuda.h), or NULL */
} moe_backend_config;

/* What runs together: for who looks on, no stage depends on it. */
typedef enum moe_batch_phase {
    MOE_BATCH_PREFILL,
    MOE_BATCH_DECODE,
    MOE_BATCH_BOTH
} moe_batch_phase;

typedef struct moe_batch {
    uint32_t n;
    const uint32_t *token;    /* [n] */
    const uint32_t *slot;     /* [n]: cache slot of the row's sequence */
    const uint32_t *position; /* [n]: 0 starts the slot anew */
    moe_batch_phase phase;
} moe_batch;

/* Routed rows of a layer by expert: the rows of experts[i] are row[first[i] .. first[i + 1]),
 * weights alike. Experts stand in order of first appearance (row by row, by falling weight). */
typedef struct moe_dispatch {
    uint32_t n_experts; /* distinct */
    const uint16_t *expert;
    const uint32_t *first, *row;
    const float *weight;
} moe_dispatch;

/* A whole step without a word to the host in between. `rows`: those whose logits are wanted. */
typedef struct moe_forward {
    const moe_batch *batch;
    const uint32_t *rows;
    uint32_t n_rows;
    uint32_t lookahead; /* layers ahead */
    bool router_logits; /* wanted */
    bool cosines;       /* likewise */
    bool timed;         /* `ns` is wanted */
} moe_forward;

/* What came out, host memory until the next call. Layers are MoE layers from 0. */
typedef struct moe_forward_result {
    const float *logits;        /* [n_rows, vocab] */
    const uint16_t *ids;        /* [layers, n, k] by falling weight */
    const float *weights;       /* [layers, n, k] */
    const float *router_logits; /* [layers, n, experts], NULL unless asked for */
    /* [d - 1]: [layers, n, k] of what layer l's stream says of layer l + d; past the last layer
     * undefined. */
    const uint16_t *ahead[8];
    const float *ahead_weights[8];
    /* [d - 1]: [layers, n]: between what the routers of layers l and l - d meet; before layer d
     * undefined. NULL unless asked for. */
    const float *cosines[8];
    const float *ns; /* [layers of the model, MOE_STAGES] */
} moe_forward_result;

typedef struct moe_backend_ops {
    const char *name;
    /* NULL with `error` set. Weights outlive the state. */
    void *(*open)(const moe_weights *weights, const moe_backend_config *config, GError **error);
    void (*close)(void *state);
    /* Bytes that `open` would take besides the mapped weights. */
    uint64_t (*memory)(const moe_weights *weights, const moe_backend_config *config);
    bool (*embed)(void *state, const moe_batch *batch, GError **error);
    /* hidden += attention(norm(hidden)); the rows join their sequences' caches. */
    bool (*attention)(void *state, const moe_batch *batch, uint32_t layer, GError **error);
    /* hidden += mlp(norm(hidden)) of a layer without experts. */
    bool (*dense)(void *state, const moe_batch *batch, uint32_t layer, GError **error);
    /* Logits [n, experts] of the router of `gate` on the residual stream as it is now, normalised
     * as layer `gate` does. For the layer itself this also fixes the experts' input. */
    const float *(*router)(void *state, const moe_batch *batch, uint32_t layer, uint32_t gate,
                           GError **error);
    /* Takes the layer's dispatch, which stays valid until combine. */
    bool (*dispatch)(void *state, const moe_batch *batch, uint32_t layer,
                     const moe_dispatch *dispatch, GError **error);
    /* Computes members[0 .. n) of the dispatch with weights[i] (NULL: the layer's own). */
    bool (*experts)(void *state, uint32_t layer, const uint32_t *members,
                    const moe_mlp *const *weights, uint32_t n, GError **error);
    /* hidden += sum of weight * expert, in order of falling weight per row, + shared experts. */
    bool (*combine)(void *state, const moe_batch *batch, uint32_t layer, GError **error);
    /* Logits [n_rows, vocab] of the given rows of the batch. */
    const float *(*unembed)(void *state, const moe_batch *batch, const uint32_t *rows,
                            uint32_t n_rows, GError **error);
    /* The residual stream [n, hidden] as it is now. */
    const float *(*hidden)(void *state, const moe_batch *batch, GError **error);
    /* All of a step at once, instead of the calls above; NULL: the backend has no such way. Taken
     * when nobody serves experts and nobody asks for the residual stream. Ranges of stages
     * (profiler/ranges.h) are the backend's affair then. */
    bool (*forward)(void *state, const moe_forward *step, moe_forward_result *result,
                    GError **error);
    /* Until all that was asked for is done; NULL: it always is. Called around timed stages. */
    bool (*wait)(void *state, GError **error);
} moe_backend_ops;

extern const moe_backend_ops moe_backend_cpu;

#endif
