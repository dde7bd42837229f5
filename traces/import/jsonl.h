/* Inside the import of JSON lines: records, and the tokens that are assembled from them.
 *
 * A line is a record: one layer of one token, or of several (rows). What it says is found by the
 * names of its keys, of which several stand for the same (jsonl_names.c). Tokens are open until
 * they have all layers: what the layers are is known as soon as the first layer comes again after
 * another one; then a whole token goes on at once, so that memory holds what is open: a token where
 * records go token by token, a step where they go layer by layer. Records that do not fit that are
 * read again from the start and all held until the end (`gather`). */
#ifndef MOE_TRACES_IMPORT_JSONL_H
#define MOE_TRACES_IMPORT_JSONL_H

#include "traces/import/traps.h"
#include "traces/json_scan.h"
#include "traces/routing_file.h"
#include "traces/text_lines.h"

#define JSONL_MAX_LINE (64u << 20)
#define JSONL_MAX_LAYER 65535u

typedef enum jsonl_field {
    JSONL_TYPE,
    JSONL_SEQUENCE,
    JSONL_PROBLEM, /* a sequence of the data set beside it */
    JSONL_POSITION,
    JSONL_LAYER,
    JSONL_IDS,
    JSONL_WEIGHTS,
    JSONL_PHASE,
    JSONL_STEP,
    JSONL_BATCH, /* rows are numbered within it */
    JSONL_ROWS,
    JSONL_DOMAIN,
    JSONL_TOKEN_ID,
    JSONL_FIELDS,
    JSONL_IGNORED = JSONL_FIELDS,
} jsonl_field;

/* Instead of a number of experts. */
#define JSONL_NOT_RUN (MOE_ROUTING_MAX_K + 1)

/* What a line says. Lists are the reader's, until the next line. */
typedef struct jsonl_record {
    unsigned seen; /* a bit for each field */
    bool other;    /* of another type than "route" */
    const char *type, *sequence_text, *domain;
    uint64_t sequence, position, layer, step, batch, token_id;
    moe_phase phase;
    bool many;       /* ids are a list of lists */
    uint32_t n_rows; /* 1 unless many */
} jsonl_record;

#define JSONL_KEYS 24 /* of a record that are remembered */

/* A key as the record before had it at the same place: nearly always it comes again. */
typedef struct jsonl_key {
    char quoted[30];
    uint8_t n; /* bytes of it; 0: none */
    uint8_t field;
} jsonl_key;

typedef struct jsonl_reader {
    moe_import_job *job;
    size_t input; /* at hand */
    moe_text_lines lines;
    moe_scan scan;
    GString *store;    /* of the scanner */
    GArray *ids;       /* int32_t: of all rows, one after another */
    GArray *lengths;   /* uint32_t: of each row, or JSONL_NOT_RUN */
    GArray *weights;   /* float, likewise */
    GArray *n_weights; /* uint32_t */
    GArray *rows;      /* uint64_t */
    jsonl_key keys[JSONL_KEYS];
    GHashTable *ignored; /* names of keys */
    uint64_t n_records, n_skipped;
    unsigned errors;
    uint32_t n_experts, top_k; /* as a record of type "meta" says; 0: it does not */
    char *model;               /* likewise; NULL: none */
    GPtrArray *meta;           /* key, value, …: likewise; NULL: none */
} jsonl_reader;

/* The record of the line at hand; false after a message. *skip: it is no routing. */
bool jsonl_record_read(jsonl_reader *reader, jsonl_record *record, bool *skip);
/* What a key means, by its name. */
jsonl_field jsonl_field_of(const char *name, size_t n);
/* How many keys of routing the first line has; 0: no object. */
int jsonl_keys_known(const char *head, size_t n);
/* "x.jsonl:12: …" of an input; false. */
bool jsonl_fail(jsonl_reader *reader, size_t input, uint64_t line, const char *fmt, ...)
    MOE_PRINTF(4, 5);

typedef struct jsonl_tokens jsonl_tokens;
jsonl_tokens *jsonl_tokens_new(jsonl_reader *reader, bool gather);
void jsonl_tokens_free(jsonl_tokens *tokens);
/* The rows of a record. False after a message, or when it gives up. */
bool jsonl_tokens_add(jsonl_tokens *tokens, const jsonl_record *record);
/* Records came in a way that cannot go on: gather. */
bool jsonl_tokens_gave_up(const jsonl_tokens *tokens);
/* NULL after messages, or when it gives up. */
moe_routing_builder *jsonl_tokens_finish(jsonl_tokens *tokens);

#endif
