/* SHA-256 of texts and files, for run identities. */
#ifndef MOE_BASE_HASH_H
#define MOE_BASE_HASH_H

#include "sim/base/base.h"

#include <glib.h>

/* 64 lower-case hex digits; yours to free. */
char *moe_sha256_text(const char *text, size_t length);
/* The same of a file's bytes; within one process results are cached by inode, size and mtime
 * (thread-safe). NULL with `error` set when it cannot be read. */
char *moe_sha256_file(const char *path, GError **error);

#endif
