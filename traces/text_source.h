/* A stream of bytes from a file or from memory, unpacked on the way: plain, gzip (of any number of
 * members) or zstd (of any number of frames), told apart by the first bytes, never by the name. */
#ifndef MOE_TRACES_TEXT_SOURCE_H
#define MOE_TRACES_TEXT_SOURCE_H

#include "sim/base/base.h"

#include <glib.h>

typedef struct moe_text_source moe_text_source;

/* NULL with `error` when the file cannot be opened. */
moe_text_source *moe_text_source_open(const char *path, GError **error);
/* The bytes must outlive the source. */
moe_text_source *moe_text_source_memory(const char *name, const void *bytes, size_t n_bytes);
void moe_text_source_close(moe_text_source *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_text_source, moe_text_source_close)

/* Up to `max` bytes; *n = 0 at the end. False when it cannot go on: either the file cannot be read
 * (`error` is set) or its packing is damaged (*damage says how, `error` is not set). */
bool moe_text_source_read(moe_text_source *source, char *buffer, size_t max, size_t *n,
                          const char **damage, GError **error);
/* Packed bytes consumed, and in all (0: unknown). */
void moe_text_source_progress(const moe_text_source *source, double *done, double *total);

#endif
