/* The parts of a validation. Private to profiler/validate*.c. */
#ifndef MOE_PROFILER_VALIDATE_PRIVATE_H
#define MOE_PROFILER_VALIDATE_PRIVATE_H

#include "profiler/calibrate_private.h"
#include "profiler/validate.h"

struct moe_validation {
    const moe_measured *table;
    GArray *rows;         /* moe_validated_row */
    GArray *groups;       /* moe_validated_group */
    GArray *families;     /* moe_family */
    GStringChunk *labels; /* of regimes */
    GPtrArray *machines;  /* moe_hardware_set *, in use by the groups */
    GPtrArray *libraries; /* moe_kernels_set * */
    GPtrArray *known;     /* const moe_kernels *: these, and the machines' own */
    GPtrArray *joined;    /* moe_kernels *: several libraries as one */
};

/* Sorts rows into families and regimes. */
void moe_validate_score(moe_validation *v);

/* Loads a library ("": none), and behind it the others (may be NULL) and the machine's, `last` (may
 * be NULL), each once, as one library; both may be NULL. False after messages, or with `error`. */
bool moe_validate_libraries(moe_validation *v, const char *name, char *const *others,
                            const moe_kernels *last, const moe_kernels **first,
                            const moe_kernels **behind, moe_diag *diag, GError **error);
/* Says of a row which kernel foretells it. */
void moe_validate_name_kernel(const moe_validation *v, const moe_device *device,
                              moe_validated_row *row);

#endif
