/* Inside llamacpp: rows of experts as the micro-batches (ubatches) of llama.cpp evaluate them,
 * layer by layer, put together to tokens. */
#ifndef MOE_TRACES_IMPORT_LLAMACPP_H
#define MOE_TRACES_IMPORT_LLAMACPP_H

#include "traces/import/gather.h"

#define LLAMACPP_MAX_IDS (1u << 26) /* of one ubatch */

typedef enum llamacpp_phase { LLAMACPP_UNKNOWN, LLAMACPP_PROMPT, LLAMACPP_ANSWER } llamacpp_phase;

/* One layer's part of a ubatch. */
typedef struct llamacpp_part {
    uint32_t layer;
    uint64_t first, n; /* into ids */
    uint64_t line;     /* its first */
} llamacpp_part;

typedef struct llamacpp_batch {
    moe_import_job *job;
    size_t input;
    const char *file;
    moe_block_sink *sink;
    void *context;
    double done, total;

    GArray *parts; /* of llamacpp_part, layers ascending */
    GArray *ids;   /* of int32_t */
    uint32_t k;    /* experts per token; 0: not known yet */
    llamacpp_phase phase;
    uint64_t line; /* of the row at hand; 0: binary */

    uint32_t sequence, position;
    bool begun, answering; /* the sequence has tokens, and has left its prompt */
    uint32_t n_layers;     /* of the first ubatch */
    uint64_t n_cut;        /* tokens whose last layer was not run */
    /* of the scan for k */
    bool measuring;
    uint64_t shortest; /* ids in a row of one layer */
} llamacpp_batch;

/* The next row: `n` ids of `layer`. Falling or equal layers end a ubatch (`same`: rows of a layer
 * may follow one another). False when it cannot go on. */
bool llamacpp_row(llamacpp_batch *batch, uint32_t layer, const int32_t *ids, uint64_t n, bool same);
/* Hands out what is there as a block. */
bool llamacpp_flush(llamacpp_batch *batch);
/* The same at the end of an input, where a ubatch may be cut short: it is left out then. */
bool llamacpp_end(llamacpp_batch *batch);
/* "x.csv:12: …"; false. */
bool llamacpp_fail(const llamacpp_batch *batch, const char *fmt, ...) MOE_PRINTF(2, 3);

#endif
