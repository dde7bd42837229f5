/* Inside traces: what a builder holds, between its appending half and its writing half. */
#ifndef MOE_TRACES_ROUTING_BUILDER_H
#define MOE_TRACES_ROUTING_BUILDER_H

#include "traces/columns.h"
#include "traces/routing_file.h"

/* The tensors of one value, or one row of values, per token. */
enum {
    COLUMN_IDS,
    COLUMN_SEQUENCE,
    COLUMN_POSITION,
    COLUMN_PHASE,
    COLUMN_WEIGHTS,
    COLUMN_STEP, /* from here on: for all tokens or for none */
    COLUMN_DOMAIN,
    COLUMN_MODALITY,
    COLUMN_TOKEN_ID,
    COLUMN_LOGITS,
    COLUMN_LOOKAHEAD,                                                    /* the first of them */
    COLUMN_AHEAD_WEIGHTS = COLUMN_LOOKAHEAD + MOE_ROUTING_MAX_LOOKAHEAD, /* likewise */
    COLUMNS = COLUMN_AHEAD_WEIGHTS + MOE_ROUTING_MAX_LOOKAHEAD,
};

extern const char *const moe_routing_column_names[COLUMN_LOOKAHEAD];

struct moe_routing_builder {
    uint32_t n_layers, n_experts, k, id_bytes;
    uint32_t n_lookahead, distance[MOE_ROUTING_MAX_LOOKAHEAD];
    uint32_t lookahead_k[MOE_ROUTING_MAX_LOOKAHEAD];
    uint64_t n_tokens;
    uint64_t counts[COLUMN_LOOKAHEAD]; /* of the optional columns: cells given */
    moe_columns *columns;
    uint32_t *layer_ids;
    moe_columns *times; /* a row for each step; NULL: none */
    uint32_t n_time_layers, n_stages;
    float *similarity; /* [n_layers * n_similarity]; NULL: none */
    uint32_t n_similarity;
    char *folder; /* of temporary files */
    uint64_t limit_bytes;
    GPtrArray *meta; /* key, value, key, value, … */
};

#endif
