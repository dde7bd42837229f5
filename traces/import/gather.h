/* From blocks of routing to a builder: what the importers of engines share.
 *
 * An importer knows how its format is laid out. It says so by a walk: a function that hands out
 * blocks, each a stretch of tokens with their ids (or router logits) as views into the input,
 * nothing copied. Token by token they go through the traps (traces/import/traps.h) into the
 * builder, so that memory holds one block's views, whatever the input's size. What is done here:
 *   empty slots (-1, or a row of nothing but the largest unsigned number) move to the end of a row
 *   slots beyond what rows use (a buffer wider than k) are left out
 *   logits become the k most probable experts, their gate weights, and logits in the trace
 *   the shapes of all blocks agree, facts about tokens are there for all or for none */
#ifndef MOE_TRACES_IMPORT_GATHER_H
#define MOE_TRACES_IMPORT_GATHER_H

#include "traces/import/array.h"
#include "traces/import/import.h"
#include "traces/import/place.h"

/* Facts about single tokens that a format may hold; arrays [tokens] of whole numbers. */
typedef enum moe_token_fact {
    MOE_TOKEN_SEQUENCE,
    MOE_TOKEN_POSITION,
    MOE_TOKEN_PHASE,
    MOE_TOKEN_STEP,
    MOE_TOKEN_ID,
    MOE_TOKEN_DOMAIN,
    MOE_TOKEN_MODALITY,
    MOE_TOKEN_KEPT, /* 0: padding, dropped */
    MOE_TOKEN_FACTS,
} moe_token_fact;
extern const char *const moe_token_fact_names[MOE_TOKEN_FACTS]; /* "sequence", … */

#define MOE_BLOCK_NOT_RUN (-2) /* in all slots: the layer did not run for the token */

typedef struct moe_block {
    moe_place place;
    size_t input; /* of the job */
    uint64_t n_tokens;
    uint32_t n_layers, k;     /* of logits: k is the number of experts */
    const moe_array *layers;  /* [n_layers], each [n_tokens, k] */
    const moe_array *weights; /* gate weights, the same; or NULL */
    bool logits;              /* layers are router logits */
    const uint32_t *numbers;  /* [n_layers] ascending: layer numbers; NULL: not known, 0, 1, … */
    uint32_t sequence, position; /* of the first token; the others follow */
    uint64_t n_prefill;          /* tokens of the sequence that are prompt; position counts */
    bool phase_known;
    bool not_run;                            /* ids may be MOE_BLOCK_NOT_RUN */
    const moe_array *facts[MOE_TOKEN_FACTS]; /* NULL: as the fields above say, or absent */
    double done, total; /* bytes of the input read after this block, of all; for progress */
} moe_block;

typedef bool moe_block_sink(void *context, const moe_block *block);
/* Hands all blocks to `sink`, in order; false when it cannot go on (after a message or with the
 * job's error set), or as soon as the sink returns false. */
typedef bool moe_block_walk(void *source, moe_block_sink *sink, void *context);

/* The builder, NULL after messages or with the job's error set. `engine` is metadata. */
moe_routing_builder *moe_gather(moe_import_job *job, const char *engine, moe_block_walk *walk,
                                void *source);

/* The views of an array [tokens, layers, k] (layer_axis 1) or [layers, tokens, k] (0), to
 * views[layers]. */
void moe_block_views(const moe_array *array, uint32_t layer_axis, moe_array *views);

#endif
