/* Measured tables given on the command line, for calibrate and validate. */
#ifndef MOE_CLI_TABLES_H
#define MOE_CLI_TABLES_H

#include "profiler/measured.h"

/* Reads the tables; a folder stands for the tables in it and below it, in order of their names.
 * False after messages, or with `error`. */
bool moe_tables_read(moe_measured *table, const char *const *paths, size_t n, moe_diag *diag,
                     GError **error);
/* Keeps (drops) the rows for which COLUMN=TEXT holds, text by text; 0, or the exit code after a
 * message. */
int moe_tables_choose(const char *command, moe_measured *table, const GPtrArray *texts, bool keep);

#endif
