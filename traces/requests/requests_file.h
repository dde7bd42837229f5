/* Inside traces/requests: what owns requests, and the checks that all of them pass. */
#ifndef MOE_TRACES_REQUESTS_REQUESTS_FILE_H
#define MOE_TRACES_REQUESTS_REQUESTS_FILE_H

#include "traces/columns.h"
#include "traces/requests/requests.h"
#include "traces/safetensors.h"

#define MOE_REQUESTS_MAX_ERRORS 20 /* of one kind; more help nobody */

struct moe_requests_file {
    moe_requests requests;
    char *path;
    moe_safetensors *tensors;                 /* NULL: built in memory */
    moe_columns *rows, *block_first, *blocks; /* if it was */
    GPtrArray *owned;                         /* buffers, freed with the file */
    moe_meta *meta;                           /* texts owned by `owned` or `tensors` */
    size_t n_meta;
};

moe_requests_file *moe_requests_file_new(const char *path);
/* Gives the file a buffer to free; returns it. */
void *moe_requests_file_own(moe_requests_file *file, void *buffer);
/* Whether the metadata key is the format's own, not free text. */
bool moe_requests_own_key(const char *key);
/* The names of the models as a JSON list; yours. */
char *moe_requests_model_list(const moe_requests *requests);
/* Times, lengths, blocks, sessions and models of every request, which are dense; fills n_blocks
 * and n_sessions. False after messages. */
bool moe_requests_check(moe_requests *requests, moe_diag *diag);

#endif
