/* A stream of JSON values, one event after another: one document, or many with white space in
 * between (JSONL). No tree, no recursion, nesting to 64 levels; memory is one text at a time.
 * Strict (RFC 8259) in structure and numbers; texts are not checked for UTF-8, as only keys and
 * base64 are looked at. */
#ifndef MOE_TRACES_IMPORT_JSON_STREAM_H
#define MOE_TRACES_IMPORT_JSON_STREAM_H

#include "traces/import/place.h"
#include "traces/text_source.h"

#define MOE_JSON_DEPTH 64
#define MOE_JSON_MAX_TEXT (UINT64_C(1) << 30)

typedef enum moe_json_event {
    MOE_JSON_OBJECT,
    MOE_JSON_ARRAY,
    MOE_JSON_CLOSE, /* of the innermost object or array */
    MOE_JSON_KEY,   /* its value follows */
    MOE_JSON_TEXT,
    MOE_JSON_NUMBER,
    MOE_JSON_WORD, /* true, false, null */
    MOE_JSON_END,  /* of the stream */
    MOE_JSON_WRONG /* after a message, or with the error set */
} moe_json_event;

typedef struct moe_json_stream moe_json_stream;

/* Takes the source. `file` (interned in diag) and lines locate messages. */
moe_json_stream *moe_json_stream_new(moe_text_source *source, const char *file, moe_diag *diag,
                                     GError **error);
void moe_json_stream_free(moe_json_stream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_json_stream, moe_json_stream_free)

moe_json_event moe_json_next(moe_json_stream *stream);
/* Of the last key, text, number or word: NUL-terminated, to be changed or stolen (g_free) by the
 * caller until the next event. */
char *moe_json_text(moe_json_stream *stream, size_t *n);
char *moe_json_steal(moe_json_stream *stream, size_t *n);
/* The last number as a whole one; false when it is not. */
bool moe_json_whole(const moe_json_stream *stream, int64_t *out);
/* How many objects and arrays are open. */
uint32_t moe_json_depth(const moe_json_stream *stream);
int moe_json_line(const moe_json_stream *stream);
/* Skips what was just opened to its end; false: wrong. */
bool moe_json_skip(moe_json_stream *stream);
void moe_json_progress(const moe_json_stream *stream, double *done, double *total);

/* Nested arrays of whole numbers that are as regular as an array. */
#define MOE_JSON_RANK 4
typedef struct moe_json_numbers {
    int32_t *values; /* from g_malloc; row-major */
    uint64_t n;
    uint32_t rank;
    uint64_t shape[MOE_JSON_RANK];
} moe_json_numbers;
/* After MOE_JSON_ARRAY, to its end. Returns NULL, or what is wrong with the content (values are
 * freed then); *broken is set when the stream is WRONG instead. */
const char *moe_json_numbers_read(moe_json_stream *stream, moe_json_numbers *out, bool *broken);

#endif
