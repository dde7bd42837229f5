/* Inside traces/requests: what importers of all formats do with a row.
 *
 * A row is a request as a file states it. `request_rows_add` puts it into the builder, or drops and
 * counts it (no output: a failed request; an empty prompt), or refuses it (times that fall, unless
 * the user said to sort). Numbers and times are read here too, so that every format says the same
 * about the same mistake. */
#ifndef MOE_TRACES_REQUESTS_ROWS_H
#define MOE_TRACES_REQUESTS_ROWS_H

#include "traces/import/import.h"
#include "traces/requests/requests.h"
#include "traces/text_lines.h"

/* What a column or a key says about a request. */
typedef enum request_role {
    REQUEST_TIME,
    REQUEST_PROMPT,
    REQUEST_OUTPUT,
    REQUEST_SESSION,
    REQUEST_MODEL,
    REQUEST_BLOCKS,  /* ids of prefix blocks */
    REQUEST_TOKENS,  /* ids of the prompt's tokens */
    REQUEST_CHAT,    /* number of the request among those of all sessions */
    REQUEST_PARENT,  /* number of the request before it in its session; -1: none */
    REQUEST_REFUSED, /* cannot be told by requests: `why` */
    REQUEST_ROLES,
} request_role;

typedef struct request_key {
    const char *name;
    request_role role;
    int64_t unit_ns; /* TIME: of a number; 0: a calendar time */
    const char *why;
} request_key;

/* How often something was dropped, and the first place. */
typedef struct request_drops {
    uint64_t n, line;
    const char *file;
} request_drops;

typedef struct request_rows {
    const moe_import_job *job;
    moe_requests_builder *builder;
    moe_text_lines lines; /* of the input at hand */
    unsigned errors;
    int64_t latest_ns; /* of the rows so far */
    uint64_t latest_line, n_rows;
    bool falls; /* it was said that times fall */
    request_drops no_output, no_prompt;
    uint64_t *blocks; /* of the row at hand */
    size_t n_blocks, max_blocks;
} request_rows;

/* Reads every input of the job, line by line: `row` takes the line at hand and returns false after
 * a message; `first`, if there is one, takes the first line of each input. Returns the builder, or
 * NULL after messages or with job->error set. */
typedef bool request_line(void *importer, request_rows *rows);
moe_requests_builder *request_rows_read(const moe_import_job *job, size_t max_line,
                                        request_line *first, request_line *row, void *importer);

/* A message about the line at hand; false. */
bool request_fail(request_rows *rows, const char *at, const char *fmt, ...) MOE_PRINTF(3, 4);

/* Reads what is at `at` and ends where *end says, which is set; `name` is for the message, made
 * when it is no such thing. */
bool request_read_time(request_rows *rows, const request_key *key, const char *at, const char **end,
                       int64_t *ns);
bool request_read_tokens(request_rows *rows, const char *name, const char *at, const char **end,
                         uint32_t *tokens);
/* Appends a block to the row at hand. */
bool request_block(request_rows *rows, uint64_t block);

/* The row at hand, with the blocks gathered since the row before. */
bool request_rows_add(request_rows *rows, moe_request *request);

#endif
