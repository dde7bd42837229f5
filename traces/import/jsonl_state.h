/* Inside the assembly of tokens: the ones that are open, and how they go on. */
#ifndef MOE_TRACES_IMPORT_JSONL_STATE_H
#define MOE_TRACES_IMPORT_JSONL_STATE_H

#include "traces/import/jsonl.h"
#include "traces/index_map.h"

/* A token that is not whole yet; its rows stand one after another in `data`: layer, line, number of
 * experts, ids, weights. */
typedef struct jsonl_token {
    uint64_t key;  /* group << 32 | row */
    uint64_t line; /* of its first record, in `input` */
    uint32_t input;
    uint32_t sequence, position;
    uint32_t step, token_id;
    uint16_t domain;
    uint8_t phase;
    uint32_t n_rows, used, max;
    int32_t *data;
} jsonl_token;

/* What is known of each token, if it is of the first: all or none. */
#define TOKEN_FACTS                                                                                \
    (1u << JSONL_STEP | 1u << JSONL_DOMAIN | 1u << JSONL_TOKEN_ID | 1u << JSONL_SEQUENCE |         \
     1u << JSONL_PROBLEM | 1u << JSONL_BATCH | 1u << JSONL_ROWS)

struct jsonl_tokens {
    jsonl_reader *reader;
    bool gather, gave_up, no_memory;
    bool started, others; /* others: a layer that is not the first was seen */
    unsigned facts;
    bool weighted;
    uint32_t first_layer;

    GHashTable *open; /* key -> jsonl_token */
    GPtrArray *order; /* of the open tokens, until the layers are known */
    GPtrArray *spare;
    jsonl_token *last;

    uint8_t *layers; /* [JSONL_MAX_LAYER + 1]: seen */
    uint32_t n_layers, k;

    moe_traps *traps; /* NULL until the layers are known */
    uint16_t *column; /* [JSONL_MAX_LAYER + 1] */
    uint32_t *layer_ids;
    uint64_t *seen; /* [n_layers]: serial of the token that last had a row there */
    uint64_t serial;
    int32_t *ids; /* [n_layers, k] */
    float *weights;

    GHashTable *names;    /* of sequences, of domains: text -> number + 1 */
    bool named, numbered; /* sequences have texts; have numbers */
    GHashTable *domain_numbers;
    GPtrArray *domains;      /* texts, borrowed from the table */
    moe_index_map groups;    /* sequence << 32 | batch -> group */
    moe_index_map sequences; /* of tokens that went on */
    GArray *positions;       /* uint32_t: the last of each */
    moe_index_map counted;
    GArray *counts; /* uint32_t: tokens of each sequence, where rows do not number them */
};

/* Both return false: rows have come in a way that cannot go on; there is no memory. */
bool tokens_give_up(jsonl_tokens *tokens);
bool tokens_no_memory(jsonl_tokens *tokens);
/* Takes a whole token out of the open ones and hands it on; false after a message, or gives up. */
bool token_close(jsonl_tokens *tokens, jsonl_token *token);
/* The first layer has come again after another: layers are known, whole tokens go on. */
bool tokens_wrap(jsonl_tokens *tokens);
/* Rows of up to k experts follow. */
void tokens_widen(jsonl_tokens *tokens, uint32_t k);

#endif
