/* Inside traces/safetensors: the header's JSON, parsed and checked as far as it goes by itself. */
#ifndef MOE_TRACES_SAFETENSORS_HEADER_H
#define MOE_TRACES_SAFETENSORS_HEADER_H

#include "traces/safetensors.h"

typedef struct moe_safetensors_header {
    moe_tensor *tensors; /* in order of writing; data is NULL */
    size_t n_tensors, max_tensors;
    moe_meta *meta;
    size_t n_meta, max_meta;
    char *store; /* the decoded texts */
} moe_safetensors_header;

/* Parses `length` bytes of header into the zeroed *header; false after at least one message. */
bool moe_safetensors_header_parse(moe_safetensors_header *header, const char *file,
                                  const char *text, size_t length, moe_diag *diag);
void moe_safetensors_header_clear(moe_safetensors_header *header);

/* A file that consists of others: tensors and metadata as in `first`, but with `n_rows` in
 * dimension 0 and the data of maps[i] (one for each tensor, in order of its data); a tensor whose
 * map has no bytes stays as it is. Takes `first` and the maps; NULL after a message. */
typedef struct moe_safetensors_map {
    void *data;
    size_t bytes;
} moe_safetensors_map;
/* Where the data part starts in the file. */
size_t moe_safetensors_data_start(const moe_safetensors *file);
moe_safetensors *moe_safetensors_join(const char *path, moe_safetensors *first, uint64_t n_rows,
                                      const moe_safetensors_map *maps, moe_diag *diag);

#endif
