/* Inside gather: what is learnt in the first walk and used in the second. */
#ifndef MOE_TRACES_IMPORT_GATHER_STATE_H
#define MOE_TRACES_IMPORT_GATHER_STATE_H

#include "traces/import/gather.h"

/* What the row of a token at a layer is: experts, nothing but -1, nothing but 0, or refused. */
typedef enum gather_kind { GATHER_IDS, GATHER_EMPTY, GATHER_ZERO, GATHER_WRONG } gather_kind;

typedef struct gather_layer {
    uint64_t rows, empty, zero; /* of tokens that have some expert; nothing but -1; nothing but 0 */
    uint64_t hash;              /* of all its ids, in order */
    uint32_t number;            /* in the model */
    bool kept;
} gather_layer;

typedef struct gather {
    moe_import_job *job;
    bool adding; /* the second walk */
    unsigned errors;

    /* the shape, from the first block */
    bool begun, logits, has_weights;
    uint32_t n_layers, k;
    const char *first_file;
    char *first_part;
    bool facts[MOE_TOKEN_FACTS]; /* all blocks have them */
    bool some[MOE_TOKEN_FACTS];  /* a block has them */
    bool phase_known, phase_some;

    uint32_t experts_wanted, top_k_wanted; /* 0: not said */
    gather_layer *layers;                  /* [n_layers] */
    int32_t max_id;
    uint32_t id_limit; /* ids are below it */
    uint32_t used;     /* slots that a row uses at most */
    uint64_t n_tokens, n_absent, n_unwritten, n_padding;
    uint64_t n_short, n_moved, n_not_run; /* rows */

    /* settled between the walks */
    uint32_t n_kept, n_experts, top_k;
    moe_routing_builder *builder;

    /* space for one token */
    int32_t *ids;     /* [n_layers * k] */
    float *weights;   /* [n_layers * k] */
    uint8_t *kinds;   /* [n_layers] */
    uint32_t *stamps; /* [id_limit] */
    uint32_t stamp;
    uint16_t *out_ids;
    float *out_weights, *out_logits;
    double progressed;
} gather;

/* Row `t` at layer `l` of a block, to ids or (of logits) weights. */
void gather_load(gather *g, const moe_block *b, uint64_t t, uint32_t l);
gather_kind gather_kind_of(const gather *g, const int32_t *ids);
bool gather_padding(const moe_block *b, uint64_t t);
/* A token in the first walk and in the second. */
void gather_measure(gather *g, const moe_block *b, uint64_t t);
void gather_add(gather *g, const moe_block *b, uint64_t t);
/* Decides which layers, slots and experts there are, and makes the builder; false after messages.
 */
bool gather_settle(gather *g);
/* What was dropped and noticed, after the second walk. */
void gather_report(const gather *g);

#endif
