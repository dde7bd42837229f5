/* Errors of the environment (files, disks, databases): GError in one domain, prefixed with the
 * path. `moesim` exits with 3 on them. Mistakes in the user's input are moe_diag's (exit 1). */
#ifndef MOE_BASE_ERROR_H
#define MOE_BASE_ERROR_H

#include "sim/base/base.h"

#include <glib.h>

typedef enum moe_error_code {
    MOE_ERROR_FILE,     /* cannot open, read or write */
    MOE_ERROR_DATABASE, /* not a database, another schema, busy, full */
    MOE_ERROR_PROGRAM,  /* a helper program is absent or failed */
    MOE_ERROR_MEMORY,   /* an input asks for more memory than there is */
} moe_error_code;

#define MOE_ERROR moe_error_quark()
GQuark moe_error_quark(void);

/* Sets *error to "path: what: strerror(errnum)"; errnum 0 leaves the last part out. */
void moe_error_path(GError **error, moe_error_code code, const char *path, int errnum,
                    const char *fmt, ...) MOE_PRINTF(5, 6);

#endif
