/* Inside the traps: what is remembered between tokens. */
#ifndef MOE_TRACES_IMPORT_TRAPS_STATE_H
#define MOE_TRACES_IMPORT_TRAPS_STATE_H

#include "traces/import/traps.h"

#define TRAPS_LAGS 64 /* farthest neighbour that is compared */

/* How much tokens share with the tokens before them, by lag; of the first tokens, and of some
 * layers. */
#define TRAPS_LAG_LAYERS 4
typedef struct traps_lags {
    uint16_t *ring; /* [TRAPS_LAGS, n_layers, k]: of earlier tokens */
    uint32_t layers[TRAPS_LAG_LAYERS], n_layers, k;
    uint32_t sequence[TRAPS_LAGS];
    uint64_t seen, pairs[TRAPS_LAGS], shared[TRAPS_LAGS];
} traps_lags;

typedef struct traps_sequences {
    GArray *list;      /* traps_sequence */
    GHashTable *index; /* number -> place in the list + 1 */
    guint last;
    uint64_t n_tokens, n_prefill;
} traps_sequences;

typedef struct traps_weights {
    uint64_t rows, ones, negative, unsorted; /* ones: rows that sum to 1 */
    double low, high;                        /* smallest and largest sum */
} traps_weights;

struct moe_traps {
    const moe_import_job *job;
    moe_routing_builder *builder;
    uint32_t n_layers, k;
    uint32_t *layer_ids;
    bool *dense;    /* [n_layers]: the model has no experts there */
    bool sentinels; /* as in moe_traps_shape */
    uint32_t limit; /* ids are below it */
    bool limit_known;
    size_t input;
    uint64_t line;
    const char *part; /* of the input, NULL: none */
    uint64_t part_token;
    unsigned errors;
    bool failed; /* the builder; its error is set */

    uint64_t n_tokens, n_kept;
    uint64_t dummies, padding, unrouted;
    bool leading, kept, weighted;
    uint32_t max_id, stamp;
    uint32_t *stamps;     /* [65536] */
    uint16_t *ids;        /* [n_layers, k] */
    float *weights;       /* [n_layers, k] */
    uint64_t *zeros;      /* [n_layers]: kept tokens whose row is zeros */
    uint64_t *empty;      /* [n_layers]: kept tokens without an expert there */
    uint64_t *hashes;     /* [n_layers]: of all ids so far */
    uint64_t *row_hashes; /* [n_layers]: of the token at hand */
    uint8_t *rows;        /* [n_layers]: kinds of its rows */
    traps_weights sums;
    traps_lags lags;
    traps_sequences sequences;
};

/* A message about the token at hand (layer MOE_NONE: about all of it); false. */
bool traps_fail(moe_traps *traps, uint32_t layer, const char *fmt, ...) MOE_PRINTF(3, 4);

void traps_sequences_init(traps_sequences *sequences);
void traps_sequences_clear(traps_sequences *sequences);
/* A token that is kept; `hash` of its rows. */
void traps_sequences_add(traps_sequences *sequences, uint32_t number, uint32_t position,
                         moe_phase phase, uint64_t hash);
/* How many sequences are equal to one before, in all ids and positions, where `bits` a token make
 * that no chance; the numbers of the first such and of the other. At the end: the list is sorted.
 */
uint64_t traps_sequences_twice(traps_sequences *sequences, double bits, uint32_t pair[2]);

/* What the model says against the shape; fills dense and, where the file has none, layer_ids. */
bool traps_model(moe_traps *traps, const moe_traps_shape *shape);
/* Which layers stay; false after a message. */
bool traps_layers(moe_traps *traps, bool *keep);

void traps_lags_init(traps_lags *lags, uint32_t n_layers, uint32_t k);
void traps_lags_clear(traps_lags *lags);
/* ids[n_layers, k] of a token, all layers. */
void traps_lags_add(traps_lags *lags, uint32_t sequence, const uint16_t *ids);
/* The lag S at which tokens share clearly more than with their neighbours; 0: none. */
uint32_t traps_lags_found(const traps_lags *lags, double *at_one, double *at_found);

#endif
