/* Inside traces/requests: JSON lines, one object per request, whose keys a table says. */
#ifndef MOE_TRACES_REQUESTS_JSON_ROWS_H
#define MOE_TRACES_REQUESTS_JSON_ROWS_H

#include "traces/requests/rows.h"

typedef struct request_json {
    const request_key *keys;
    size_t n_keys;
    uint32_t block_tokens; /* 0: as the user says, for blocks made from TOKENS */
    bool alone;            /* equal BLOCKS have equal content, whatever came before */
    const char *object;    /* what a line looks like, for messages */
} request_json;

/* `sure` when the first line is an object with the keys of a time, a prompt, an output and, if the
 * table has one, a chat. */
int request_json_sniff(const request_json *json, const char *head, size_t n, int sure);
moe_requests_builder *request_json_read(const request_json *json, moe_import_job *job);

#endif
