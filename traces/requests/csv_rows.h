/* Inside traces/requests: CSV whose columns are named by a header line, as a table says them. */
#ifndef MOE_TRACES_REQUESTS_CSV_ROWS_H
#define MOE_TRACES_REQUESTS_CSV_ROWS_H

#include "traces/requests/rows.h"

/* Several names may stand for one role; a file has one of them. TIME, PROMPT and OUTPUT must be
 * there. A column `blocks_of_N` holds ids of blocks of N tokens, separated by spaces. */
typedef struct request_csv {
    const request_key *keys;
    size_t n_keys;
    const char *header; /* what the header line looks like, for messages */
} request_csv;

/* 0 .. 100: `sure` when the first line names a time, a prompt and an output. */
int request_csv_sniff(const request_csv *csv, const char *head, size_t n, int sure);
moe_requests_builder *request_csv_read(const request_csv *csv, moe_import_job *job);

#endif
