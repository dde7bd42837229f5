/* The axes of a sweep: `sweep` gives one axis per key (cartesian), `zip` one axis for keys that
 * move together. Private to sim/machine. */
#ifndef MOE_MACHINE_SWEEP_H
#define MOE_MACHINE_SWEEP_H

#include "sim/base/param.h"

typedef struct moe_axis {
    size_t n_keys, n_values;
    const char **keys;       /* as written; borrowed from the document */
    moe_loc *locs;           /* of the keys */
    const moe_yaml **values; /* [n_keys * n_values]: value v of key k at k * n_values + v */
} moe_axis;

typedef struct moe_sweep {
    GArray *axes; /* moe_axis; first varies slowest */
    size_t n_runs;
} moe_sweep;

/* Reads sections `sweep` and `zip` of `root`; keys in `fixed` (n of them, set on the command line)
 * are left out. More than 10^6 runs are an error unless `allow_many`. */
moe_sweep *moe_sweep_read(const moe_yaml *root, const char *const *fixed, size_t n, bool allow_many,
                          moe_diag *diag);
void moe_sweep_free(moe_sweep *sweep);
/* Index of run i's value on an axis. */
size_t moe_sweep_index(const moe_sweep *sweep, size_t run, size_t axis);

#endif
