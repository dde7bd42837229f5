/* Inside traces/requests: what a builder holds. */
#ifndef MOE_TRACES_REQUESTS_REQUESTS_BUILDER_H
#define MOE_TRACES_REQUESTS_REQUESTS_BUILDER_H

#include "traces/columns.h"
#include "traces/index_map.h"
#include "traces/requests/names.h"
#include "traces/requests/requests_file.h"

/* Columns of `rows`. */
enum {
    REQUESTS_ARRIVAL, /* I64: since the request added first */
    REQUESTS_PROMPT,
    REQUESTS_OUTPUT,
    REQUESTS_SESSION,
    REQUESTS_MODEL, /* U16 */
    REQUESTS_COLUMNS,
};

/* Everything per request, in order; numbers in order of first appearance. */
typedef struct requests_store {
    moe_columns *rows;
    moe_columns *block_first; /* U64 [requests + 1]; no rows as long as there are no blocks */
    moe_columns *blocks;      /* U32 */
} requests_store;

void requests_store_init(requests_store *store, const char *folder, uint64_t limit_bytes);
void requests_store_clear(requests_store *store);

/* A row of the store. */
typedef struct requests_row {
    int64_t arrival;
    uint32_t prompt, output, session;
    uint16_t model;
} requests_row;

void requests_store_add(requests_store *store, const requests_row *row);
/* Turns blocks on: the requests so far have none. */
void requests_store_use_blocks(requests_store *store);
/* A block of the row that will be added next, then the end of its blocks. */
void requests_store_block(requests_store *store, uint32_t block);
void requests_store_end_blocks(requests_store *store);

struct moe_requests_builder {
    moe_request_clock clock;
    bool has_clock, has_session, has_model, no_memory;
    uint32_t block_tokens;
    requests_store store;
    char *folder;
    uint64_t limit_bytes;
    uint64_t late;
    int64_t first, latest; /* times */
    moe_names sessions, models;
    moe_index_map block_ids;
    GPtrArray *meta; /* key, value, key, value, … */
};

#endif
