/* A raw log as a file: whole chunks or none. */
#ifndef MOE_PROFILER_INJECT_CHUNK_H
#define MOE_PROFILER_INJECT_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "profiler/inject/rawlog.h"

typedef struct moe_chunk_file {
    int fd;
    int reserve;  /* a file without a name that keeps some room on the disk */
    off_t good;   /* bytes of whole chunks */
    bool refused; /* a chunk could not be written: no further one is tried */
    int error;    /* why: errno */
    dev_t device; /* which file it is */
    ino_t inode;
    char path[4096];
} moe_chunk_file;

/* The same file under a high number: a program may count on the low ones. */
int moe_chunk_move_up(int fd);
/* Makes FOLDER/PID.raw, or PID.1.raw … when the process has one from before an exec. False: error
 * says why. When the disk is full later, a little room is left for the last chunks. */
bool moe_chunk_open(moe_chunk_file *file, const char *folder);
void moe_chunk_close(moe_chunk_file *file);
bool moe_chunk_write_magic(moe_chunk_file *file);
/* The payload is data followed by body (NULL: none). The thread blocks all signals, or a full disk
 * may end the process by SIGXFSZ. */
bool moe_chunk_write(moe_chunk_file *file, moe_raw_type type, const void *data, size_t bytes,
                     const void *body, size_t body_bytes);

#endif
