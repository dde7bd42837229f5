/* Timelines of what was measured, and of what was simulated, in one: aligned where a step begins.
 */
#ifndef MOE_ANALYSIS_TIMELINE_RECORDING_H
#define MOE_ANALYSIS_TIMELINE_RECORDING_H

#include "analysis/recording.h"
#include "analysis/timeline.h"
#include "sim/core/sink.h"

/* Adds a profile under `label`: steps, ranges and calls of each host thread, streams, copies by
 * direction, waiting launches. `step`: only what belongs to that step; INT64_MIN: all. The step's
 * begin (of all: the first one's, or of the first record) becomes time 0. False with *error set
 * when the profile cannot be read, or has no such step. */
bool moe_timeline_add_recording(moe_timeline *timeline, const moe_recording *recording,
                                const char *label, int64_t step, GError **error);

/* The same of a simulated run: `result` holds the tables `timeline` and `step`. */
bool moe_timeline_add_result(moe_timeline *timeline, const moe_result *result, const char *label,
                             int64_t step, GError **error);
/* The same of a run in a database of results (identity, or its beginning; NULL: the only one that
 * has a timeline). */
bool moe_timeline_add_stored(moe_timeline *timeline, const char *path, const char *identity,
                             const char *label, int64_t step, GError **error);

#endif
