/* A file that is written whole or not at all: without a name in the same folder (with a temporary
 * one where the file system wants names), synced, renamed. A path that exists and is no regular
 * file (a pipe, a device) is written in place. The first failure sticks and is told by
 * moe_output_finish. */
#ifndef MOE_TRACES_OUTPUT_H
#define MOE_TRACES_OUTPUT_H

#include "sim/base/base.h"

#include <glib.h>

typedef struct moe_output moe_output;

/* NULL with `error` set. */
moe_output *moe_output_new(const char *path, GError **error);
/* One after another; buffered. */
void moe_output_write(moe_output *output, const void *bytes, size_t n);
void moe_output_text(moe_output *output, const char *text);
void moe_output_format(moe_output *output, const char *fmt, ...) MOE_PRINTF(2, 3);
/* At a place of a regular file, whatever was written before. */
void moe_output_at(moe_output *output, uint64_t offset, const void *bytes, size_t n);
/* Whether places can be written: not of a pipe. */
bool moe_output_seekable(const moe_output *output);
bool moe_output_failed(const moe_output *output);
/* Completes the file, or removes it when something failed, and frees; false with `error` set. The
 * rename is made durable, too, where the folder can be synced. */
bool moe_output_finish(moe_output *output, GError **error);
/* Removes what was written, and frees. */
void moe_output_discard(moe_output *output);

#endif
