/* Inside json_stream: where the stream stands. */
#ifndef MOE_TRACES_IMPORT_JSON_STREAM_STATE_H
#define MOE_TRACES_IMPORT_JSON_STREAM_STATE_H

#include "traces/import/json_stream.h"

/* What may come next. */
typedef enum json_state {
    JSON_VALUE,       /* a value */
    JSON_FIRST_VALUE, /* a value or ']' */
    JSON_KEY,         /* a key */
    JSON_FIRST_KEY,   /* a key or '}' */
    JSON_COLON,
    JSON_MORE, /* ',' or the closing bracket */
} json_state;

struct moe_json_stream {
    moe_text_source *source;
    moe_place place; /* loc.line is kept up to date */
    GError **error;
    char *block;
    const char *at, *end;
    bool ended, wrong;
    json_state state;
    uint32_t depth;
    char open[MOE_JSON_DEPTH]; /* '{' or '[' */
    char *text;
    size_t n_text, max_text;
};

#endif
