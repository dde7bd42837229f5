/* Where in a user's input something stands: a file, perhaps a line, and a part of it by name, such
 * as "member ids.npy" or "choices[1].routed_experts". */
#ifndef MOE_TRACES_IMPORT_PLACE_H
#define MOE_TRACES_IMPORT_PLACE_H

#include "sim/base/diag.h"

typedef struct moe_place {
    moe_loc loc;
    const char *part; /* NULL or "": the file or line as a whole */
    moe_diag *diag;
} moe_place;

/* "x.npz: error: member ids.npy: …"; always false, so that a failing function can return it. */
bool moe_place_error(const moe_place *place, const char *fmt, ...) MOE_PRINTF(2, 3);

#endif
