/* The execution core: runs batches of tokens through a checkpoint on a backend, stage by stage, and
 * shows what happens to whoever listens. One batch is one step. No framework: the order of stages
 * in backend.h, routing by arch.h's rule, nothing else. */
#ifndef MOE_PROFILER_DECODER_H
#define MOE_PROFILER_DECODER_H

#include "profiler/backend.h"

typedef enum moe_stage {
    MOE_STAGE_EMBED,
    MOE_STAGE_ATTENTION,
    MOE_STAGE_ROUTER,
    MOE_STAGE_DISPATCH,
    MOE_STAGE_EXPERTS,
    MOE_STAGE_COMBINE, /* shared experts included; a dense layer's feed-forward */
    MOE_STAGE_UNEMBED,
    MOE_STAGES,
} moe_stage;
extern const char *const moe_stage_names[MOE_STAGES];

#define MOE_DECODER_MAX_LOOKAHEAD 8

/* The routing of one MoE layer (numbered among MoE layers from 0), as soon as its gate is known.
 * ids [n, k] by falling weight, weights [n, k], logits [n, experts] (NULL: they may be
 * spared, and were). lookahead[d - 1] says the same of MoE layer `layer` + d, on this layer's
 * residual stream; NULL past the last layer. */
typedef struct moe_routed {
    const moe_batch *batch;
    uint32_t step, layer;
    const uint16_t *ids;
    const float *weights, *logits;
    const uint16_t *lookahead[MOE_DECODER_MAX_LOOKAHEAD];
    const float *lookahead_weights[MOE_DECODER_MAX_LOOKAHEAD];
} moe_routed;

/* Who listens; each may be NULL. False with `error` set ends the step. */
typedef struct moe_decoder_observer {
    void *context;
    bool (*routed)(void *context, const moe_routed *routed, GError **error);
    /* The residual stream [n, hidden] that MoE layer `layer` (from 0, as above) gets, before its
     * `routed`. */
    bool (*hidden)(void *context, const moe_batch *batch, uint32_t layer, const float *hidden,
                   GError **error);
    /* Instead of `hidden`, where the backend computes a step at once: [n] cosines between what the
     * routers of MoE layers `layer` and `layer` - `distance` meet, for each distance up to the
     * look-ahead. */
    void (*alike)(void *context, const moe_batch *batch, uint32_t layer, uint32_t distance,
                  const float *cosines);
    bool spare_logits; /* `routed` may come without logits, where that saves work */
} moe_decoder_observer;

/* Where experts come from, when not from the mapped weights (profiler/offload.h). */
typedef struct moe_expert_source {
    void *context;
    /* The gate of MoE layer `routed->layer` is known; `dispatch` holds its distinct experts. */
    bool (*begin)(void *context, const moe_routed *routed, const moe_dispatch *dispatch,
                  GError **error);
    /* The next wave: up to dispatch->n_experts members with their weights; the wave before has been
     * computed. *n 0: there are none left. */
    bool (*next)(void *context, uint32_t *members, const moe_mlp **weights, uint32_t *n,
                 GError **error);
    /* All layers of the step are done. */
    bool (*end_step)(void *context, GError **error);
} moe_expert_source;

typedef struct moe_decoder_config {
    moe_backend_config backend;
    uint32_t lookahead;                   /* layers ahead, 0 .. MOE_DECODER_MAX_LOOKAHEAD */
    bool timed;                           /* measure stages */
    bool by_stages;                       /* never whole steps at once (for comparison) */
    const moe_decoder_observer *observer; /* NULL: none */
    const moe_expert_source *source;      /* NULL: the mapped weights */
} moe_decoder_config;

typedef struct moe_decoder moe_decoder;

/* NULL with `error` set: not enough memory, saying how much is wanted. Weights outlive it. */
moe_decoder *moe_decoder_new(const moe_weights *weights, const moe_backend_ops *backend,
                             const moe_decoder_config *config, GError **error);
void moe_decoder_free(moe_decoder *decoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_decoder, moe_decoder_free)

/* Runs one batch. logits: [n_rows, vocab] of the rows asked for, valid until the next call. Token
 * ids and positions must be in range (assertion). After a step that failed its sequences can only
 * be begun anew. */
bool moe_decoder_step(moe_decoder *decoder, const moe_batch *batch, const uint32_t *rows,
                      uint32_t n_rows, const float **logits, GError **error);
/* Nanoseconds of the last step by (layer of the model, stage): [n_layers, MOE_STAGES]. Embed counts
 * to the first layer, unembed to the last. Looking ahead, observers and the expert source count to
 * no stage: they are no part of the model. Without `timed` all zero. A backend that computes later
 * than it is asked is waited for at both ends of a stage, or measures by itself (`forward`). */
const float *moe_decoder_times(const moe_decoder *decoder);

/* Experts and weights of one row of logits by `rule`: ids by falling weight, ties to the lower id.
 * bias: the correction bias [experts] or NULL. choice [experts] is working space. */
void moe_route(const moe_router_rule *rule, const float *logits, const float *bias, float *choice,
               uint16_t *ids, float *weights);

/* The next token: the largest logit (temperature 0, ties to the lower id), or drawn from
 * softmax(logits / temperature) with the given uniform number in [0, 1). Logits are finite. */
uint32_t moe_sample(const float *logits, uint32_t vocab, float temperature, double uniform);

#endif
