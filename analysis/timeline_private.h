/* What the parts of timeline.h share: what was filled in, laid out, and on its way out. */
#ifndef MOE_ANALYSIS_TIMELINE_PRIVATE_H
#define MOE_ANALYSIS_TIMELINE_PRIVATE_H

#include "analysis/timeline.h"

typedef struct timeline_slice {
    int64_t start, end;
    int64_t step, layer, expert, bytes;
    const char *name, *text;
    uint32_t track, lane;
} timeline_slice;

typedef struct timeline_sample {
    int64_t at;
    double value;
    const char *name;
    uint32_t group;
} timeline_sample;

typedef struct timeline_group {
    const char *name;
    uint32_t rank;
} timeline_group;

typedef struct timeline_track {
    const char *name;
    uint32_t group, n_lanes;
    bool flat;
} timeline_track;

struct moe_timeline {
    GArray *groups, *tracks, *slices, *samples;
    GHashTable *known; /* "group\nname" -> track + 1 */
    GStringChunk *texts;
};

/* Sorts slices by track and start, outer ones first, and gives each a lane of its track. */
void moe_timeline_lay_out(moe_timeline *timeline);
int64_t moe_timeline_earliest(const moe_timeline *timeline);
/* The number of each track's first lane, from 1; lanes follow one another. Yours. */
uint32_t *moe_timeline_number_lanes(const moe_timeline *timeline);
/* Where a group stands among all. */
size_t moe_timeline_group_place(const moe_timeline *timeline, uint32_t group);

/* Bytes on their way out. */
typedef struct timeline_writer {
    moe_timeline_put *put;
    void *context;
    GString *pending;
    bool failed, any;
    int64_t origin;
} timeline_writer;

/* Hands over what is pending: all, or once it is worth it. */
void moe_timeline_flush(timeline_writer *writer, bool all);

#endif
