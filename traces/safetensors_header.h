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

#endif
