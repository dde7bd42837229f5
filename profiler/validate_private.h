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
};

/* Sorts rows into families and regimes. */
void moe_validate_score(moe_validation *v);

#endif
