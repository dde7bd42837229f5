/* The time of the stage `experts` against how many tokens it had and how many experts they needed.
 */
#ifndef MOE_ANALYSIS_RECORDING_EXPERTS_H
#define MOE_ANALYSIS_RECORDING_EXPERTS_H

#include "analysis/recording.h"

/* One layer of one step. */
typedef struct moe_expert_time {
    moe_recording_load load;
    int64_t ns;  /* of its kernels, overlaps counted once; of its range where none were recorded */
    bool device; /* kernels were */
} moe_expert_time;

/* Where both loads and times are known; moe_expert_time in order of process, step and layer,
 * yours. */
GArray *moe_expert_times(const moe_recording *recording);

/* y = base + slope x by least squares; r2: the share of the variance that it explains. False when
 * x does not vary. */
typedef struct moe_line {
    double base, slope, r2;
} moe_line;
bool moe_line_fit(const double *x, const double *y, size_t n, moe_line *line);

#endif
