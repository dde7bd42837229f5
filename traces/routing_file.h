/* Inside traces: what owns a routing, and the checks every routing passes, read or built. */
#ifndef MOE_TRACES_ROUTING_FILE_H
#define MOE_TRACES_ROUTING_FILE_H

#include "traces/routing.h"
#include "traces/safetensors.h"

#define MOE_ROUTING_FORMAT "moesim-routing"
#define MOE_ROUTING_VERSION "1"
#define MOE_ROUTING_TIMES "time.stages"
#define MOE_ROUTING_STAGES "stages" /* metadata: what the stages are called */
#define MOE_ROUTING_SIMILARITY "similarity"
#define MOE_ROUTING_MAX_ERRORS 20 /* of one kind; more help nobody */

struct moe_routing_file {
    moe_routing routing;
    char *path;
    moe_safetensors *tensors;    /* NULL: built in memory */
    struct moe_columns *columns; /* NULL: opened from a file */
    struct moe_columns *times;
    GPtrArray *owned; /* buffers, freed with the file */
    moe_meta *meta;   /* in order of writing; texts owned by `owned` or `tensors` */
    size_t n_meta;
};

moe_routing_file *moe_routing_file_new(const char *path);
/* A buffer of n elements that lives as long as the file; NULL when there is no memory. */
void *moe_routing_file_buffer(moe_routing_file *file, uint64_t n, size_t size);

/* Names of domains and modalities from the metadata, and how many there are; without names the
 * largest of the tensor + 1. False after messages. */
bool moe_routing_names(moe_routing_file *file, moe_diag *diag);
/* Fills `absent` from the metadata, if it says so; false after messages. After the check of ids. */
bool moe_routing_absent(moe_routing_file *file, moe_diag *diag);
/* Ids of every row (routed and look-ahead), weights, logits, phases, domains, modalities; false
 * after messages. Wants moe_routing_names before. */
bool moe_routing_check(const moe_routing *routing, moe_diag *diag);
/* The names [*n_names] of a metadata key, a JSON list of at most `max` texts; false after a
 * message.
 */
bool moe_routing_names_of(moe_routing_file *file, const char *key, uint32_t max,
                          const char *const **names, uint32_t *n_names, moe_diag *diag);
/* The data of a tensor, where it can be read as its type: in place, or a copy. NULL after a
 * message. */
const void *moe_routing_data(moe_routing_file *file, const moe_tensor *tensor, moe_diag *diag);
/* F16 or F32 values as F32; NULL after a message. */
const float *moe_routing_floats(moe_routing_file *file, const moe_tensor *tensor, moe_diag *diag);
/* What is not of tokens (stage times, similarity): found in the file's tensors, and checked; false
 * after messages. */
bool moe_routing_whole(moe_routing_file *file, moe_diag *diag);
bool moe_routing_whole_check(moe_routing_file *file, moe_diag *diag);
/* Fills n_sequences, sequence_first, rows, sequence_ids, n_prefill. Positions that occur twice in
 * a sequence are messages. */
bool moe_routing_index(moe_routing_file *file, moe_diag *diag);

#endif
