/* Capture: sequences of tokens run through the execution core, and what their routing was goes to a
 * trace.
 *
 * Sequences run in batches of so many together, in their order. The prompts of a batch are
 * prefilled first, in steps of at most `chunk` rows: one prompt behind another, a long one in
 * several steps. Then each step decodes one token of every sequence that goes on: the given ones
 * where the sequence has more tokens than its prompt, else what the model says, until `decode`
 * tokens were decoded or the model says that the text ends. A step of the trace is a step of the
 * decoder; its rows are in order of the step.
 *
 * The same weights, tokens and config make the same trace, byte for byte; with the exact backend on
 * any machine and any number of threads. Batch and chunk change which tokens ran together, and the
 * order of rows; with the exact backend nothing else. Draws are of (seed, sequence, position). */
#ifndef MOE_PROFILER_CAPTURE_H
#define MOE_PROFILER_CAPTURE_H

#include "profiler/decoder.h"
#include "profiler/tokens.h"
#include "traces/routing.h"

typedef struct moe_capture_config {
    uint32_t decode;                /* tokens of a sequence that has no more than its prompt */
    uint32_t batch;                 /* sequences that run together */
    uint32_t chunk;                 /* rows of a step, at most; batch if that is more */
    uint32_t lookahead;             /* layers ahead, 0 .. MOE_DECODER_MAX_LOOKAHEAD */
    uint32_t threads;               /* 0: as many as there are processors */
    const moe_backend_ops *backend; /* NULL: the processor's */
    void *device;                   /* of that backend, or NULL */
    bool exact;
    bool logits;     /* record the router's logits of all experts */
    bool times;      /* measure and record stages */
    bool ignore_end; /* decode beyond the end of text */
    float temperature;
    uint64_t seed;
    bool dry; /* record nothing, nor look ahead without a source: what the computing takes alone */
    const moe_expert_source *source; /* NULL: the mapped weights */
    const char *scratch; /* folder of temporary files beyond scratch_bytes (0: the default) */
    uint64_t scratch_bytes;
} moe_capture_config;

/* How far it has come. */
typedef struct moe_capture_state {
    uint64_t prompt_tokens, decode_tokens;      /* run so far */
    uint64_t prompt_total, decode_total;        /* if no text ends early */
    gint64 prompt_us, decode_us;                /* time spent in steps of either kind */
    uint32_t sequences, sequences_ended, steps; /* begun; by their end of text */
} moe_capture_state;

typedef struct moe_capture moe_capture;

/* What would not fit the model is a message: token ids, sequences longer than its context. The
 * weights, tokens and config outlive it. NULL after messages or with `error` set (no memory, which
 * says how much is wanted). */
moe_capture *moe_capture_new(const moe_weights *weights, const moe_tokens *tokens,
                             const moe_capture_config *config, moe_diag *diag, GError **error);
void moe_capture_free(moe_capture *capture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_capture, moe_capture_free)

/* The trace to be, for metadata and for writing it between steps; NULL when dry. */
moe_routing_builder *moe_capture_builder(moe_capture *capture);
/* Runs the next step. *more: there are further ones. */
bool moe_capture_step(moe_capture *capture, bool *more, GError **error);
const moe_capture_state *moe_capture_get(const moe_capture *capture);
/* Completes what the builder knows about the steps so far as a whole; before it is written. */
void moe_capture_settle(moe_capture *capture);
/* Share of the experts of a MoE layer (MOE_NONE: of all) that the gate named `distance` layers
 * before; NAN where there is no such layer, or nothing yet. */
double moe_capture_recall(const moe_capture *capture, uint32_t distance, uint32_t layer);
/* Mean cosine between what a MoE layer's router meets and what that `distance` layers before met;
 * NAN likewise. */
double moe_capture_similarity(const moe_capture *capture, uint32_t distance, uint32_t layer);

#endif
