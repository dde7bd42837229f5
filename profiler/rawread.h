/* Reads raw logs (inject/rawlog.h): finds the chunks of a file up to the first damage, the texts,
 * and what HELLO says. The file is mapped; chunks are borrowed from it. */
#ifndef MOE_PROFILER_RAWREAD_H
#define MOE_PROFILER_RAWREAD_H

#include "profiler/inject/rawlog.h"
#include "sim/base/base.h"

#include <glib.h>

typedef enum moe_raw_ending {
    MOE_RAW_WHOLE,   /* ends with CLOSE, or between two chunks */
    MOE_RAW_CUT,     /* ends within a chunk */
    MOE_RAW_DAMAGED, /* holds what is no chunk, or one whose sum is wrong */
    MOE_RAW_FOREIGN, /* no raw log at all */
} moe_raw_ending;

typedef struct moe_raw_chunk {
    uint32_t type; /* moe_raw_type, or one that is not known */
    uint32_t bytes;
    const uint8_t *payload; /* aligned to 8 */
} moe_raw_chunk;

typedef struct moe_raw_file moe_raw_file;

/* NULL with `error`: it cannot be read. Damage is no error. */
moe_raw_file *moe_rawread_open(const char *path, GError **error);
/* The bytes, aligned to 8, must outlive the result. */
moe_raw_file *moe_rawread_open_memory(const void *bytes, size_t n);
void moe_rawread_close(moe_raw_file *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_raw_file, moe_rawread_close)

const moe_raw_chunk *moe_rawread_chunks(const moe_raw_file *file, size_t *n);
/* How the file ends; bytes: what is unread. Behind damage the next good chunk is read on from. */
moe_raw_ending moe_rawread_end(const moe_raw_file *file, uint64_t *bytes);
/* Entries of STRINGS, SIZES and the like that make no sense. */
uint64_t moe_rawread_odd(const moe_raw_file *file);

/* A text, *n bytes and a zero not counted; NULL for id 0 and for one that the file does not hold.
 */
const char *moe_rawread_text(const moe_raw_file *file, uint32_t id, size_t *n);
/* The value of a key of HELLO, of the last chunk that has it; NULL: none. */
const char *moe_rawread_hello(const moe_raw_file *file, const char *key);

#endif
