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
    const char *phase; /* of the step; "" when unknown */
} moe_expert_time;

/* Where both loads and times are known; moe_expert_time in order of process, step and layer,
 * yours. */
GArray *moe_expert_times(const moe_recording *recording);

typedef struct moe_point {
    double x, y;
} moe_point;

/* The median y of each x (of an even number the lower one), in order of x; `weight` points stand
 * for it. An array of moe_median, yours. `points` (moe_point) are sorted. */
typedef struct moe_median {
    double x, y, weight;
} moe_median;
GArray *moe_points_medians(GArray *points);

/* y = base + slope x through medians, by least squares with their weights, so that outliers do not
 * count; r2: the share of the variance of the medians that it explains. False when x does not vary.
 */
typedef struct moe_line {
    double base, slope, r2;
} moe_line;
bool moe_line_fit(const GArray *medians, moe_line *line);

#endif
