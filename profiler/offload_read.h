/* Reading runs of bytes from files, past the page cache if it can be. One thread each. */
#ifndef MOE_PROFILER_OFFLOAD_READ_H
#define MOE_PROFILER_OFFLOAD_READ_H

#include "profiler/weights.h"

typedef struct moe_reader moe_reader;

moe_reader *moe_reader_new(void);
/* Opens the files of the spans: whatever becomes of their paths, these are read. False with `error`
 * where one is not the file of its stamp any more. */
bool moe_reader_open(moe_reader *reader, const moe_span *spans, size_t n, GError **error);
void moe_reader_free(moe_reader *reader);
/* Reads the spans one behind another into `out`; opens what is not open yet. False with `error`: it
 * names the file. */
bool moe_reader_read(moe_reader *reader, const moe_span *spans, size_t n, void *out,
                     GError **error);
/* Whether every read so far went past the page cache. */
bool moe_reader_direct(const moe_reader *reader);

#endif
