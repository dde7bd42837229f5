/* Inside response: one record, read from the stream of JSON. */
#ifndef MOE_TRACES_IMPORT_RESPONSE_RECORD_H
#define MOE_TRACES_IMPORT_RESPONSE_RECORD_H

#include "traces/import/array.h"
#include "traces/import/json_stream.h"

/* Rows of routing as they came. */
typedef struct response_rows {
    bool there;
    bool raw; /* base64 of int32 without a shape: the array has rank 1 */
    int line;
    moe_array array;
    void *bytes;   /* that the array looks at; owned */
    int64_t start; /* rows left out before; -1: not said */
} response_rows;

typedef struct response_ids {
    int32_t *ids;
    uint64_t n;
    bool there;
} response_ids;

typedef struct response_choice {
    response_rows rows;
    response_ids ids;        /* generated */
    response_ids prompt_ids; /* chat servers put them here */
} response_choice;

typedef struct response_record {
    int line;
    GArray *choices; /* of response_choice; the record's own values are choice 0 if there is none */
    response_choice own;
    response_rows prompt;
    int64_t prompt_tokens, completion_tokens, start; /* -1: not said */
    char *model;
    char *
        error; /* what the server says in place of an answer, made visible and cut; NULL: nothing */
} response_record;

typedef struct response_reader {
    moe_json_stream *stream;
    const char *file;
    moe_diag *diag;
    response_record record;
} response_reader;

/* The next record into reader->record, after the last was cleared. 1: there is one, 0: the end,
 * -1: after a message or with the error set. */
int response_next(response_reader *reader);
void response_clear(response_record *record);

#endif
