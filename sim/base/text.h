/* Showing text that came from outside: source lines with a caret, control characters made
 * visible; and walking UTF-8 by characters. All functions accept bytes that are not UTF-8. */
#ifndef MOE_BASE_TEXT_H
#define MOE_BASE_TEXT_H

#include "sim/base/diag.h"

/* One character of text[at..length): its code point (U+FFFD for a byte that is not UTF-8, with
 * *ok false) and how many bytes it takes, at least 1. `at` < length. */
gunichar moe_text_char(const char *text, size_t length, size_t at, size_t *bytes, bool *ok);

/* A copy in which control and direction-changing characters are shown as pictures (U+2400 on) or
 * U+FFFD; yours. */
char *moe_text_visible(const char *text, size_t length);

/* Appends line loc->line of the text, indented by 4, and a caret line under loc->column; only the
 * part around the column of a long line. Nothing when the text has no such line. */
void moe_text_excerpt(const char *text, size_t length, const moe_loc *loc, GString *out);

#endif
