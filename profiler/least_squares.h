/* Robust non-linear least squares with bounds, small and deterministic: Levenberg-Marquardt steps
 * on numeric derivatives, projected onto the bounds; residuals beyond what most rows show count
 * linearly (Huber's loss), so that odd rows do not pull. The same rows in another order may differ
 * in the last digits only; who wants the same bytes sorts them first. */
#ifndef MOE_PROFILER_LEAST_SQUARES_H
#define MOE_PROFILER_LEAST_SQUARES_H

#include "sim/base/base.h"

enum { MOE_SQUARES_MAX = 16 }; /* unknowns */

typedef struct moe_squares {
    size_t n_rows;
    uint32_t n; /* unknowns */
    double low[MOE_SQUARES_MAX], high[MOE_SQUARES_MAX];
    double step[MOE_SQUARES_MAX]; /* for derivatives */
    /* Fills residual[n_rows] for the unknowns x[n], each within its bounds. */
    void (*residuals)(void *context, const double *x, double *residual);
    void *context;
} moe_squares;

typedef struct moe_squares_result {
    double loss;  /* Huber's, mean over rows */
    double scale; /* of the residuals: 1.4826 times the median of their absolute values */
    /* How far each unknown may be off, by the rows' scatter: its standard error; infinite when no
       row tells it from the others. */
    double error[MOE_SQUARES_MAX];
    /* Rows whose residual changes by at least a tenth of the change of the unknown, both as the
       residuals count. */
    size_t rows[MOE_SQUARES_MAX];
} moe_squares_result;

/* From x (in and out; moved within the bounds) to the best there is nearby. */
moe_squares_result moe_squares_solve(const moe_squares *problem, double *x);

/* The median of n >= 1 values, which are put in order. */
double moe_median(double *values, size_t n);

#endif
