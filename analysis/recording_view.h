/* Views of a profile: tables of what took the time, each with exact numbers, a row per thing.
 *
 * MOE_RECORDING_VIEWS is the one list: names for `--only`, help, and what computes them. A view has
 * no rows where the profile holds nothing that it shows. */
#ifndef MOE_ANALYSIS_RECORDING_VIEW_H
#define MOE_ANALYSIS_RECORDING_VIEW_H

#include "analysis/recording.h"
#include "sim/core/sink.h"

typedef enum moe_field_kind {
    MOE_FIELD_TEXT,
    MOE_FIELD_ID,    /* integer: a number that names something */
    MOE_FIELD_COUNT, /* integer */
    MOE_FIELD_MS,    /* integer nanoseconds, shown in milliseconds */
    MOE_FIELD_US,    /* integer nanoseconds, shown in microseconds */
    MOE_FIELD_SHARE, /* 0..1, shown in percent */
    MOE_FIELD_BYTES, /* integer */
    MOE_FIELD_RATE,  /* bytes per second */
    MOE_FIELD_REAL,
} moe_field_kind;

typedef struct moe_field {
    const char *name;    /* for machines, with its unit: "device_ns" */
    const char *heading; /* for people: "device ms" */
    moe_field_kind kind;
} moe_field;

/* A table. Cells stand row by row. */
typedef struct moe_view {
    const char *name, *title;
    const moe_field *fields;
    size_t n_fields;
    GArray *cells;    /* moe_cell */
    GPtrArray *notes; /* texts */
    GStringChunk *texts;
} moe_view;

typedef struct moe_view_config {
    int64_t top; /* kernels shown of each stage */
} moe_view_config;

typedef void moe_view_make(const moe_recording *recording, const moe_view_config *config,
                           moe_view *view);

/* clang-format off */
/* X(name, whether lost records make it wrong, whether it is shown unasked, title, help) */
#define MOE_RECORDING_VIEWS(X)                                                                       \
    X(steps, true, true, "steps by phase",                                                         \
      "steps by phase: tokens, time, and how much of it devices computed")                         \
    X(stages, true, true, "time by stage",                                                         \
      "device time of kernels, copies, and host time of ranges, by stage")                         \
    X(layers, true, true, "time by layer and stage (ms)",                                          \
      "time of each layer by stage: of devices, or of the host where no kernel was seen")          \
    X(split, true, true, "what devices did",                                                       \
      "each device's time: computing, copying, both, idle")                                        \
    X(idle, true, true, "idle time between kernels, by cause",                                     \
      "gaps between kernels: a copy ran, the host had not launched the next, within a graph")      \
    X(launch, true, true, "from the call to the kernel",                                           \
      "how long kernels wait after the call that launched them")                                   \
    X(queue, true, true, "launched and waiting",                                                   \
      "how many launches wait in each stream")                                                     \
    X(kernels, true, true, "kernels that took the most time, by stage",                            \
      "kernels that took the most time, by stage (`--top`)")                                       \
    X(copies, true, true, "copies by direction, memory and size",                                  \
      "copies and memsets by direction, memory and size, with the rate reached")                   \
    X(experts, true, true, "expert time by distinct experts",                                      \
      "time of the stage experts against distinct experts and tokens, with fitted lines")          \
    X(expert_rows, true, false, "expert time of each step and layer",                              \
      "the same, one row for each step and layer")                                                 \
    X(counters, false, true, "hardware counters by stage",                                         \
      "hardware counters by stage, and bytes over time where there are both")                      \
    X(capture, false, true, "what the capture cost and lost",                                      \
      "overhead that the capture reports, lost records, diagnostics")
/* clang-format on */

typedef struct moe_view_info {
    const char *name, *title, *help;
    bool needs_all, shown; /* lost records make it wrong; shown unasked */
    moe_view_make *make;
} moe_view_info;

const moe_view_info *moe_view_list(size_t *n);
moe_view *moe_view_of(const moe_recording *recording, const moe_view_info *info,
                      const moe_view_config *config);
void moe_view_free(moe_view *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_view, moe_view_free)
static inline size_t
moe_view_rows(const moe_view *view)
{
    return view->n_fields ? view->cells->len / view->n_fields : 0;
}
static inline const moe_cell *
moe_view_cell(const moe_view *view, size_t row, size_t field)
{
    return &g_array_index(view->cells, moe_cell, row * view->n_fields + field);
}
/* A cell for people; yours. */
char *moe_view_text(const moe_view *view, size_t row, size_t field);
/* The view as CSV: a line of names, then exact values (ns, bytes, shares of 1). */
void moe_view_csv(const moe_view *view, GString *out);

/* For those who make views: fields first, then cells row by row; texts are copied. */
void moe_view_fields(moe_view *view, const moe_field *fields, size_t n);
void moe_view_add(moe_view *view, moe_cell cell);
void moe_view_addf(moe_view *view, const char *fmt, ...) MOE_PRINTF(2, 3);
void moe_view_note(moe_view *view, const char *fmt, ...) MOE_PRINTF(2, 3);
/* moe_int, or no value for MOE_RECORDING_UNKNOWN. */
moe_cell moe_view_number(int64_t value);
/* a / b as a real cell; no value when b is 0. */
moe_cell moe_view_ratio(double a, double b);

#define MOE_VIEW_DECLARE(name, needs_all, shown, title, help)                                      \
    void moe_view_##name(const moe_recording *recording, const moe_view_config *config,            \
                         moe_view *view);
MOE_RECORDING_VIEWS(MOE_VIEW_DECLARE)
#undef MOE_VIEW_DECLARE

#endif
