/* Gaps between the kernels of a device, and why they are there. */
#ifndef MOE_ANALYSIS_RECORDING_IDLE_H
#define MOE_ANALYSIS_RECORDING_IDLE_H

#include "analysis/recording.h"

typedef enum moe_idle_cause {
    MOE_IDLE_COPY,  /* a copy or memset ran on the device */
    MOE_IDLE_HOST,  /* none, and the call that launches the next kernel had not returned */
    MOE_IDLE_GRAPH, /* neither, and the kernels around are of one launch */
    MOE_IDLE_OTHER, /* neither: the launch's own way, waits for streams, or calls not recorded */
    MOE_IDLE_CAUSES,
} moe_idle_cause;

/* A gap is cut exactly: its parts sum to end - start. */
typedef struct moe_idle_gap {
    int64_t start, end;
    int64_t launched; /* when the next kernel's call returned, or `start` */
    int64_t part[MOE_IDLE_CAUSES];
} moe_idle_gap;

const char *moe_idle_cause_name(moe_idle_cause cause);
/* The cause of a gap's largest part. */
moe_idle_cause moe_idle_cause_of(const moe_idle_gap *gap);
/* All gaps of a unit between its first kernel's start and its last one's end; moe_idle_gap,
 * yours. */
GArray *moe_idle_gaps(const moe_recording *recording, uint32_t unit);
/* What the unit's copies and memsets cover, and its kernels; sets of intervals, yours. */
GArray *moe_idle_copying(const moe_recording *recording, uint32_t unit);
GArray *moe_idle_computing(const moe_recording *recording, uint32_t unit);

/* A call that launched kernels, and the first of these to start. */
typedef struct moe_idle_start {
    const moe_launch *launch;
    const moe_work *activity;
} moe_idle_start;
/* All whose call was recorded; moe_idle_start in order of the calls' correlations, yours. */
GArray *moe_idle_starts(const moe_recording *recording);

#endif
