/* Columns that grow together, one row at a time: flat arrays in memory while they are small, then
 * one unlinked temporary file each, so that memory does not grow with the rows. Files are written
 * by write(2), not through a mapping: a full disk is an error and not a signal.
 *
 * Failures (no memory, no file, disk full) stick: later calls do nothing, and
 * moe_columns_error says what happened. */
#ifndef MOE_TRACES_COLUMNS_H
#define MOE_TRACES_COLUMNS_H

#include "sim/base/base.h"

#include <glib.h>

#define MOE_COLUMNS_LIMIT (64u << 20) /* bytes in memory, of all columns together */

typedef struct moe_columns moe_columns;

moe_columns *moe_columns_new(uint32_t n_columns);
void moe_columns_free(moe_columns *columns);
/* Where the temporary files go (NULL: the system's folder for them) and from how many bytes on.
 * Before the first row. */
void moe_columns_spill(moe_columns *columns, const char *folder, uint64_t limit_bytes);
/* Turns a column on, before the first row or for the row added last if that is the first. */
void moe_columns_use(moe_columns *columns, uint32_t column, size_t row_bytes);
/* Bytes of a row; 0: the column is not in use. */
size_t moe_columns_row_bytes(const moe_columns *columns, uint32_t column);
uint64_t moe_columns_rows(const moe_columns *columns);
/* Appends a row of undefined content; false when that failed. Not after moe_columns_view. */
bool moe_columns_add(moe_columns *columns);
/* The cell of the row added last. */
void *moe_columns_cell(const moe_columns *columns, uint32_t column);
/* Gives a column rows of another size: `convert` writes each new cell from its old one. */
typedef void moe_columns_convert(const void *context, const void *from, void *to);
void moe_columns_reshape(moe_columns *columns, uint32_t column, size_t row_bytes,
                         moe_columns_convert *convert, const void *context);
/* All rows of a column as one array, borrowed; NULL when not in use or after a failure. */
const void *moe_columns_view(moe_columns *columns, uint32_t column);
/* Ends all views: rows can be added again. */
void moe_columns_resume(moe_columns *columns);
bool moe_columns_failed(const moe_columns *columns);
/* Sets `error` when something failed: "FOLDER: cannot write a temporary file: …", or, for want of
 * memory, "NAME: no memory for more than N rows". */
bool moe_columns_error(const moe_columns *columns, const char *name, GError **error);

#endif
