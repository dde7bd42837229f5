/* Lexical primitives for the strict JSON of trace files: whitespace, literal characters, texts,
 * whole numbers. The grammar of a safetensors header is flat and known, so its readers ask for
 * what must come next; there is no tree, no recursion, and a whole number above
 * 2^64 - 1, a NUL in a text, a lone surrogate or a raw control character is an error.
 *
 * The first failure sticks: `why` says what was wanted, `at` where; later calls fail at once. */
#ifndef MOE_TRACES_JSON_SCAN_H
#define MOE_TRACES_JSON_SCAN_H

#include "sim/base/base.h"

#include <glib.h>

typedef struct moe_scan {
    const char *begin, *at, *end;
    char *store; /* where the next decoded text goes; (end - begin) + 1 bytes are always enough */
    const char *why; /* NULL: no failure so far */
} moe_scan;

/* Skips whitespace, then consumes `c`; a failure when something else comes. */
bool moe_scan_take(moe_scan *scan, char c);
/* Skips whitespace; true (and consumed) when `c` comes next, false without a failure otherwise. */
bool moe_scan_maybe(moe_scan *scan, char c);
/* A text in double quotes, decoded, NUL-terminated, in the store; NULL on failure. */
const char *moe_scan_text(moe_scan *scan);
/* A whole number 0 .. 2^64 - 1. */
bool moe_scan_whole(moe_scan *scan, uint64_t *out);
/* A number as RFC 8259 has it, to the nearest double. */
bool moe_scan_real(moe_scan *scan, double *out);
/* Any value, whose content does not matter; up to 64 objects and lists in one another. */
bool moe_scan_skip(moe_scan *scan);
/* Skips whitespace; the next byte, consumed by none, or '\0' at the end. */
char moe_scan_peek(moe_scan *scan);
/* A list of at most `max` texts; false on failure. */
bool moe_scan_texts(moe_scan *scan, const char **texts, uint32_t max, uint32_t *n);
/* Nothing but whitespace is left. */
bool moe_scan_end(moe_scan *scan);
/* Records a failure at the current place, if none is recorded yet; returns false. */
bool moe_scan_fail(moe_scan *scan, const char *why);

/* Appends a text with its quotes, as moe_scan_text reads it. */
void moe_json_put_text(GString *out, const char *text);

#endif
