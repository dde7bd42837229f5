/* A timeline of slices on tracks, and counters, in Perfetto's own format or as Chrome's trace
 * events.
 *
 * Perfetto's format (protobuf packets) is the one for ui.perfetto.dev: only there it keeps the
 * order of groups and tracks, so that what was simulated lies below what was measured. The JSON is
 * for chrome://tracing, for Python in one line, and for people; Perfetto opens it too, in an order
 * of its own. Rules of both that are kept: slices of a track lie within each other or apart (what
 * overlaps otherwise goes to further tracks of the same name); outer ones begin first and end last;
 * no time is below 0; each group and track is named and has its place; names are no empty texts.
 *
 * Times are nanoseconds; the earliest becomes 0. */
#ifndef MOE_ANALYSIS_TIMELINE_H
#define MOE_ANALYSIS_TIMELINE_H

#include "sim/base/base.h"

#include <glib.h>

typedef struct moe_timeline moe_timeline;

moe_timeline *moe_timeline_new(void);
void moe_timeline_free(moe_timeline *timeline);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_timeline, moe_timeline_free)

/* A group of tracks; shown by rank, and in the order of their making. */
uint32_t moe_timeline_group(moe_timeline *timeline, const char *name, uint32_t rank);
/* A track of a group: the one of that name if there is one. Slices nest, or (flat) lie apart. */
uint32_t moe_timeline_track(moe_timeline *timeline, uint32_t group, const char *name, bool flat);

/* What is known of a slice besides; INT64_MIN and NULL: nothing. */
typedef struct moe_slice_notes {
    int64_t step, layer, expert, bytes;
    const char *text;
} moe_slice_notes;
#define MOE_NO_NOTES ((moe_slice_notes){INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, NULL})

/* Texts are copied, start <= end. */
void moe_timeline_slice(moe_timeline *timeline, uint32_t track, int64_t start, int64_t end,
                        const char *name, const moe_slice_notes *notes);
/* From `at` on the counter has this value; in order of time. */
void moe_timeline_count(moe_timeline *timeline, uint32_t group, const char *name, int64_t at,
                        double value);
size_t moe_timeline_slices(const moe_timeline *timeline);

/* The bytes, piece by piece; false from `put` ends it. */
typedef bool moe_timeline_put(void *context, const char *bytes, size_t n);
void moe_timeline_print_json(moe_timeline *timeline, moe_timeline_put *put, void *context);
void moe_timeline_print_proto(moe_timeline *timeline, moe_timeline_put *put, void *context);

#endif
