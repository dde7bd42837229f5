/* Located diagnostics: what is wrong with the user's input, where, and what was probably meant.
 *
 * A moe_diag collects every error of a load; nothing is printed by libraries. Ownership: the diag
 * is yours (moe_diag_new / moe_diag_free, g_autoptr works); texts given to it, file names of a
 * moe_loc included, are copied. Control characters in them are shown as pictures.
 *
 * Rendering: sorted by file, line, column, then order of arrival; duplicates dropped; at most
 * 20 errors and 20 warnings shown, then "and N more". FILE[:LINE[:COLUMN]]: comes first, nothing
 * without a file. With the source text registered, the line and a caret follow:
 *   c.yaml:2:1: error: unknown key 'sede'; did you mean 'seed'?
 *       sede: 7
 *       ^^^^
 * A tab in the source line is kept as a tab in the caret line; columns count characters. */
#ifndef MOE_BASE_DIAG_H
#define MOE_BASE_DIAG_H

#include "sim/base/base.h"

#include <glib.h>

typedef struct moe_loc {
    const char *file; /* NULL: no place */
    int line;         /* 1-based; 0: the file as a whole */
    int column;       /* 1-based, in characters; 0: the line as a whole */
    int length;       /* characters to underline; 0: one */
} moe_loc;

typedef struct moe_diag moe_diag;

moe_diag *moe_diag_new(void);
void moe_diag_free(moe_diag *diag);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_diag, moe_diag_free)

/* Keeps a copy of `text` for as long as the diag lives; equal texts share one copy. */
const char *moe_diag_intern(moe_diag *diag, const char *text);
/* Registers the source text of `file` (copied) so that rendering can show lines. */
void moe_diag_source(moe_diag *diag, const char *file, const char *text, size_t length);

void moe_diag_error(moe_diag *diag, moe_loc loc, const char *fmt, ...) MOE_PRINTF(3, 4);
/* Says that the last error is one of how a program was called, not of what is in its input. */
void moe_diag_misused(moe_diag *diag);
bool moe_diag_is_misuse(const moe_diag *diag); /* of any error */
void moe_diag_warning(moe_diag *diag, moe_loc loc, const char *fmt, ...) MOE_PRINTF(3, 4);

/* Reports in `diag` what `other` kept, in order of arrival. */
void moe_diag_append(moe_diag *diag, const moe_diag *other);

/* How many were reported, repetitions included: a caller sees by them whether a call failed. */
unsigned moe_diag_errors(const moe_diag *diag);
unsigned moe_diag_warnings(const moe_diag *diag);

/* The text of the first error, without its place; "" when there is none. Yours to free. */
char *moe_diag_first(const moe_diag *diag);

/* All collected messages as text, each ending in a newline; yours to free. "" when there are
 * none. */
char *moe_diag_render(const moe_diag *diag);

/* The candidate closest to `word` (Damerau-Levenshtein, at most a third of its length and never
 * more than 3), or NULL. Candidates are borrowed; ties go to the first. */
const char *moe_suggest(const char *word, const char *const *candidates, size_t n);

#endif
