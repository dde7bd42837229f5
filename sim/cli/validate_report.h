/* What `moesim validate` prints and draws. */
#ifndef MOE_CLI_VALIDATE_REPORT_H
#define MOE_CLI_VALIDATE_REPORT_H

#include "analysis/sheet.h"
#include "profiler/validate.h"

/* Families with their regimes, then the rows that are farthest off, `worst` of each family;
 * `brief`: families only. */
void moe_validate_print(const moe_validation *validation, const moe_measured *table, bool brief,
                        size_t worst);
/* The same as tables of Markdown. */
void moe_validate_markdown(const moe_validation *validation, GString *out);
/* Rows and errors into a database of results, in the place of earlier ones of the same families;
 * `fit`: how the numbers came to be. */
bool moe_validate_store(const moe_validation *validation, const moe_measured *table,
                        const char *fit, const char *path, GError **error);
moe_sheet *moe_validate_figures(const moe_validation *validation, const char *title);

#endif
