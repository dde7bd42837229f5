/* Bytes in memory without being memory: an input mapped, or what it unpacks to, written to an
 * unlinked temporary file and mapped from there. */
#ifndef MOE_TRACES_IMPORT_MAPPED_H
#define MOE_TRACES_IMPORT_MAPPED_H

#include "traces/import/import.h"

typedef struct moe_mapped {
    const uint8_t *bytes;
    size_t n_bytes;
    moe_import_map input; /* of an input as it is */
    void *scratch;        /* of a temporary file */
} moe_mapped;

/* The content of input `i`, unpacked when it is gzip or zstd. False after a message or with the
 * job's error set. */
bool moe_mapped_open(moe_mapped *mapped, const moe_import_job *job, size_t i);
void moe_mapped_close(moe_mapped *mapped);

/* A temporary file that is written from front to end, then mapped. */
typedef struct moe_scratch {
    int fd;
    uint64_t n_bytes;
} moe_scratch;

/* In `folder`, NULL: the system's folder for such files. */
bool moe_scratch_open(moe_scratch *scratch, const char *folder, GError **error);
bool moe_scratch_write(moe_scratch *scratch, const void *bytes, size_t n_bytes, GError **error);
/* What was written; closes the scratch, as moe_scratch_close does. */
bool moe_scratch_map(moe_scratch *scratch, moe_mapped *mapped, GError **error);
void moe_scratch_close(moe_scratch *scratch);

#endif
