/* What moesim says: results on standard output, messages on standard error. */
#ifndef MOE_CLI_OUTPUT_H
#define MOE_CLI_OUTPUT_H

#include "sim/base/diag.h"

/* Standard output; errors of writing are found by moe_out_finish. */
void moe_out(const char *fmt, ...) MOE_PRINTF(1, 2);
void moe_out_text(const char *text);
/* Writes a file, whole or not at all, and says so; false with an error. */
bool moe_out_file(const char *path, const GString *text, GError **error);
/* What a command writes stands nowhere yet: 0, or the exit code after a message that a regular file
 * is at `path` (NULL: nothing is written) which --force would replace. */
int moe_out_room(const char *path, bool force);
/* Standard error, as one line "moesim: …". */
void moe_say(const char *fmt, ...) MOE_PRINTF(1, 2);
/* Prints all messages; MOE_EXIT_INPUT if there is an error among them, else 0. */
int moe_say_diag(const moe_diag *diag);
/* Prints and frees the error; MOE_EXIT_ENVIRONMENT. */
int moe_say_error(GError *error);
/* "what; see 'path --help'"; MOE_EXIT_USAGE. */
int moe_say_usage(const char *path, const char *fmt, ...) MOE_PRINTF(2, 3);
/* Flushes standard output; the exit code is `code`, unless the output could not be written. */
int moe_out_finish(int code);

/* Texts in columns: cells are copied, numbers right-aligned. */
typedef struct moe_grid moe_grid;
moe_grid *moe_grid_new(size_t columns);
void moe_grid_free(moe_grid *grid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_grid, moe_grid_free)
/* The next cell, row by row. */
void moe_grid_add(moe_grid *grid, const char *text);
void moe_grid_addf(moe_grid *grid, const char *fmt, ...) MOE_PRINTF(2, 3);
size_t moe_grid_width(const moe_grid *grid); /* characters of a line, without indent */
/* Prints the rows, indented; the first row is a heading when `heading`. */
void moe_grid_print(const moe_grid *grid, bool heading, const char *indent);
/* Prints words wrapped at 96 columns, each line after the first indented by `indent` spaces; the
 * first line goes on at column `at`. */
void moe_out_wrapped(const char *text, size_t at, size_t indent);

#endif
