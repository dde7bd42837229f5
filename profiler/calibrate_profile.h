/* Measured rows from a profile (profiler/profile_schema.h), whoever recorded it.
 *
 *   experts    the kernels of a layer's dispatch, experts and combine in a step, from the start of
 *              the first to the end of the last, with the loads that were recorded of it. Rows of
 *              a layer are held back together.
 *   gemm       the longest kernel of a decode step's unembed
 *   copy       each HtoD and DtoH copy that says whether its memory is pinned; concurrent when one
 *              of the other direction ran for (nearly) all of its time
 *   launch     gaps between kernels of a stage that follow each other within 20 us on a stream,
 *              those of a layer to their median; in graphs and outside. It is added to the times of
 *              experts and products, which tables measure from call to call.
 *
 * Attention is left out: a profile does not say how long the contexts were. */
#ifndef MOE_PROFILER_CALIBRATE_PROFILE_H
#define MOE_PROFILER_CALIBRATE_PROFILE_H

#include "models/model.h"
#include "profiler/measured.h"

typedef struct moe_profile_rows {
    size_t experts, products, copies, launches; /* rows made */
    size_t waited;      /* expert stages left out: their kernels waited in between */
    size_t unrouted;    /* expert stages without recorded loads */
    size_t shared;      /* expert stages of layers with shared experts, whose time is in them */
    size_t unknown;     /* copies that do not say whether their memory is pinned */
    size_t overlapping; /* copies that partly overlap with one of the other direction */
    size_t attentions;  /* attention stages that were seen */
    size_t impossible;  /* rows that no device can have measured */
} moe_profile_rows;

/* Appends rows of the profile at `path`; stages want the model for their shapes, and are left out
 * when it is NULL. False with `error` set, or after messages. */
bool moe_calibrate_profile(moe_measured *table, const char *path, const moe_model *model,
                           moe_profile_rows *counts, moe_diag *diag, GError **error);
/* Whether a file is a SQLite database, by its first bytes. */
bool moe_calibrate_is_profile(const char *path);

#endif
