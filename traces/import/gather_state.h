/* Inside gather: what is known between blocks. */
#ifndef MOE_TRACES_IMPORT_GATHER_STATE_H
#define MOE_TRACES_IMPORT_GATHER_STATE_H

#include "traces/import/gather.h"
#include "traces/import/traps.h"

typedef struct gather {
    moe_import_job *job;
    moe_traps *traps; /* NULL: nothing came so far */

    /* the shape, from the first block */
    bool logits, has_weights;
    uint32_t n_layers, from; /* slots of a row as it comes; of logits: experts */
    uint32_t k, wanted;      /* slots as they are given on; 0: nobody says */
    uint32_t experts;        /* 0: nobody says */
    uint32_t *numbers;       /* [n_layers], or NULL */
    char *first;             /* the first block's place */
    bool facts[MOE_TOKEN_FACTS];
    bool phase_known, phase_some;
    uint64_t n_tokens, n_padding, n_moved;

    /* space for one token */
    int32_t *raw;   /* [n_layers, from] */
    float *reals;   /* [n_layers, from]: weights or logits */
    int32_t *ids;   /* [n_layers, k] */
    float *weights; /* [n_layers, k] */
    double progressed;
} gather;

/* Reads the rows of a token to raw and reals; how many slots its fullest row uses. */
uint32_t gather_load(gather *g, const moe_block *b, uint64_t t);
/* A token's rows, ready in ids and weights; false after a message. */
bool gather_rows(gather *g, const moe_block *b, uint64_t t);

#endif
