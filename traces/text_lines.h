/* The lines of a text, a block at a time, with the number of each: for importers of CSV and JSON
 * lines. Packed text is unpacked on the way (traces/text_source.h); a byte order mark at the front
 * is skipped; lines end with "\n" or "\r\n", the last one with nothing too. Blank lines are fine at
 * the end only, and not given out. Memory is one block, which grows to the longest line. */
#ifndef MOE_TRACES_TEXT_LINES_H
#define MOE_TRACES_TEXT_LINES_H

#include "sim/base/diag.h"
#include "traces/text_source.h"

typedef struct moe_text_lines {
    const char *file; /* interned in diag */
    moe_diag *diag;
    uint64_t line;    /* of `text`, from 1 */
    const char *text; /* the line at hand; text[length] is '\n' or "\r\n" */
    size_t length;

    moe_text_source *source;                                    /* owned */
    void (*progress)(void *context, double done, double total); /* may be NULL */
    void *context;
    char *block;
    size_t max, n, at, max_line;
    bool ended;
} moe_text_lines;

typedef enum moe_text_step { MOE_TEXT_LINE, MOE_TEXT_END, MOE_TEXT_FAILED } moe_text_step;

/* Takes the source. Lines above max_line bytes are messages. */
void moe_text_lines_init(moe_text_lines *lines, moe_text_source *source, const char *name,
                         size_t max_line, moe_diag *diag);
/* Moves to the next line. Failed: `error` is set, or a message was made. */
moe_text_step moe_text_lines_next(moe_text_lines *lines, GError **error);
/* "FILE:LINE:COLUMN: …" at a place of the line at hand, NULL: the line as a whole; false. */
bool moe_text_lines_fail(const moe_text_lines *lines, const char *at, const char *fmt, ...)
    MOE_PRINTF(3, 4);
void moe_text_lines_clear(moe_text_lines *lines);

#endif
