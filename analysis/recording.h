/* A profile that was captured or imported (a SQLite file, see profiler/profile_schema.h), in
 * memory: what ran on devices and in ranges, sorted, and checked so that sums of its times cannot
 * overflow. Read by SQL alone.
 *
 * Times are nanoseconds of the file's clock. A *device* here is one that a process saw; devices of
 * several processes with one UUID are one *unit*, and what ran there is united. Stages are indices
 * into `stages`: the seven of a layer first, then others in order of appearance. */
#ifndef MOE_ANALYSIS_RECORDING_H
#define MOE_ANALYSIS_RECORDING_H

#include "sim/base/base.h"

#include <glib.h>

enum {
    MOE_RECORDING_EMBED,
    MOE_RECORDING_ATTENTION,
    MOE_RECORDING_ROUTER,
    MOE_RECORDING_DISPATCH,
    MOE_RECORDING_EXPERTS,
    MOE_RECORDING_COMBINE,
    MOE_RECORDING_UNEMBED,
    MOE_RECORDING_STAGES,
    MOE_RECORDING_NO_STAGE = 0xFF, /* outside of all ranges, or more names than 255 */
};

/* A number that is not known: of steps, layers, devices, streams. */
#define MOE_RECORDING_UNKNOWN INT64_MIN

typedef enum moe_work_kind {
    MOE_WORK_KERNEL,
    MOE_WORK_GRAPH, /* a launch of a graph whose kernels were not recorded one by one */
    MOE_WORK_COPY,
    MOE_WORK_SET,
} moe_work_kind;

/* Something that ran on a device. */
typedef struct moe_work {
    int64_t start, end;
    int64_t correlation, stream, step, layer;
    int64_t bytes;    /* of copies and sets */
    const char *text; /* a kernel's name, a copy's direction */
    uint32_t device;  /* in `devices` */
    uint8_t kind, stage;
    int8_t pinned; /* of copies: 1, 0, -1 unknown */
    bool graph;    /* a node of a graph */
} moe_work;

typedef struct moe_recording_device {
    int64_t pid, device;
    const char *name, *uuid; /* NULL: unknown */
    uint32_t unit;
} moe_recording_device;

/* The call of the host that led to activities: the outermost one of a correlation. */
typedef struct moe_launch {
    int64_t pid, correlation, start, end;
} moe_launch;

/* A range of a stage in a thread of the host. */
typedef struct moe_stage_range {
    int64_t pid, thread, step, layer, start, end;
    int64_t self; /* its time less that of stages within it */
    uint8_t stage;
} moe_stage_range;

typedef struct moe_recording_step {
    int64_t pid, step, tokens, sequences, start, end; /* end < start: never ended */
    const char *phase;                                /* "" when unknown */
} moe_recording_step;

/* How a layer's tokens went to its experts. */
typedef struct moe_recording_load {
    int64_t pid, step, layer;
    int64_t tokens; /* rows of the step; MOE_RECORDING_UNKNOWN */
    int64_t uses;   /* tokens summed over experts */
    int64_t distinct, largest;
} moe_recording_load;

typedef struct moe_recording_loss {
    int64_t pid, n;
    const char *source, *what;
} moe_recording_loss;

typedef struct moe_recording {
    char *path;
    GArray *devices;     /* moe_recording_device */
    uint32_t n_units;    /* physical devices */
    GArray *activities;  /* moe_work, by unit, start, end, then as stored */
    GArray *launches;    /* moe_launch, by pid, correlation */
    GArray *ranges;      /* moe_stage_range, by pid, thread, start, outermost first */
    GArray *steps;       /* moe_recording_step, by pid, start */
    GArray *loads;       /* moe_recording_load, by pid, step, layer */
    GArray *losses;      /* moe_recording_loss */
    GPtrArray *stages;   /* names */
    GHashTable *meta;    /* texts */
    bool any;            /* anything that has a time */
    int64_t first, last; /* of all that has; 0, 0 when nothing does */
    size_t n_kernels, n_calls, n_ranges, n_routed; /* rows recorded */
    GStringChunk *texts;
    struct moe_store *sql;
} moe_recording;

/* Refuses files that are no profiles, those of a newer moesim, and rows that make no sense. */
moe_recording *moe_recording_open(const char *path, GError **error);
void moe_recording_free(moe_recording *recording);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_recording, moe_recording_free)

/* Says how a step's tokens went to a layer's experts, from elsewhere: of each process that has the
 * step and does not know it itself. `tokens` becomes the step's number of tokens where it has none.
 * In order of steps and layers; false when no process has the step. */
bool moe_recording_add_load(moe_recording *recording, const moe_recording_load *load);

static inline const moe_work *
moe_recording_work(const moe_recording *recording, size_t i)
{
    return &g_array_index(recording->activities, moe_work, i);
}
static inline const moe_recording_device *
moe_recording_device_of(const moe_recording *recording, const moe_work *activity)
{
    return &g_array_index(recording->devices, moe_recording_device, activity->device);
}
static inline bool
moe_work_computes(const moe_work *activity)
{
    return activity->kind == MOE_WORK_KERNEL || activity->kind == MOE_WORK_GRAPH;
}
/* "outside" for MOE_RECORDING_NO_STAGE. */
const char *moe_recording_stage(const moe_recording *recording, uint8_t stage);
/* The unit's name, with its number where there are several; yours. */
char *moe_recording_unit_name(const moe_recording *recording, uint32_t unit);
/* The call that led to the activity; NULL: not recorded. */
const moe_launch *moe_recording_launch(const moe_recording *recording, const moe_work *activity);
/* Activities of a unit: [*from, *to). */
void moe_recording_unit_range(const moe_recording *recording, uint32_t unit, size_t *from,
                              size_t *to);

/* The largest share of lost records among the sources, 0..1, and which it is: "cupti: 12 of 1012
 * records"; yours. */
double moe_recording_lost(const moe_recording *recording, char **what);

#endif
