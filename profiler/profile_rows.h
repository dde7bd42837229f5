/* Which sequence the rows of a step belong to, at which position: as the engine told, else derived.
 *
 * Derived: a step of phase prefill begins sequences, one, or n of the same length if the engine
 * counts n sequences in the step; a step of phase decode goes on in those, one row each, as long as
 * their number is that of its rows, and begins new ones of one row each where it is not. A step of
 * unknown phase is a decode step when it has as many rows as sequences go on. */
#ifndef MOE_PROFILER_PROFILE_ROWS_H
#define MOE_PROFILER_PROFILE_ROWS_H

#include "sim/base/base.h"

#include <glib.h>

typedef struct moe_rows moe_rows;

/* *next: the number of the next sequence that is derived, or renumbered; shared by processes that
 * have sequences of their own. own: keep the engine's numbers. */
moe_rows *moe_rows_new(uint32_t *next, bool own);
void moe_rows_free(moe_rows *rows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_rows, moe_rows_free)

typedef struct moe_row {
    uint32_t sequence, position;
    bool decode;
    bool again; /* the sequence had that position before */
} moe_row;

typedef struct moe_rows_step {
    int phase;         /* 0 prefill, 1 decode, 2 both, -1 unknown */
    int64_t sequences; /* of the step; below 1: unknown */
    uint32_t n;
    const int32_t *sequence, *position; /* [n]; -1: not told */
} moe_rows_step;
/* out[n]. */
void moe_rows_next(moe_rows *rows, const moe_rows_step *step, moe_row *out);
/* How many rows were derived so far. */
uint64_t moe_rows_derived(const moe_rows *rows);

#endif
