/* Profiles (profile_schema.h): made from a folder of raw logs (inject/rawlog.h), from an nsys
 * export or from a PyTorch profiler trace. Same input, same bytes. A profile is written whole or
 * not at all: under another name, synced, renamed.
 *
 * Input is hostile until read. What stands before damage is kept; what is lost is counted in the
 * tables `loss` and `diagnostic` of the profile, never silently. */
#ifndef MOE_PROFILER_PROFILE_H
#define MOE_PROFILER_PROFILE_H

#include "sim/base/diag.h"

/* ---- diagnostics ---- */

/* What a capture may have to say is the list profile_codes.def. */
typedef enum moe_profile_severity {
    MOE_PROFILE_INFO,
    MOE_PROFILE_WARN,
    MOE_PROFILE_ERROR
} moe_profile_severity;
extern const char *const moe_profile_severity_names[]; /* as in the table `diagnostic` */

typedef struct moe_profile_code {
    const char *code;
    moe_profile_severity severity;
    const char *says, *advice;
} moe_profile_code;
/* In the order of the list, ended by a code of NULL. */
extern const moe_profile_code moe_profile_codes[];
/* NULL: no such code. */
const moe_profile_code *moe_profile_code_find(const char *code);

/* ---- making profiles ---- */

/* Something that whoever ran the program knows and no raw log holds: a row of `meta`, or of
 * `diagnostic`. */
typedef struct moe_profile_pair {
    const char *name, *value; /* value of a diagnostic: its text, NULL: what the code says */
} moe_profile_pair;

typedef struct moe_profile_options {
    const moe_profile_pair *meta; /* exit_status, command, moesim, … */
    size_t n_meta;
    const moe_profile_pair *diagnostics; /* name: a code of the list */
    size_t n_diagnostics;
    const char *trace;   /* where the routing trace goes, if routing was seen; NULL: nowhere */
    const char *scratch; /* folder for what does not fit into memory; NULL: the trace's */
} moe_profile_options;

/* What is in a profile. */
typedef struct moe_profile_summary {
    uint64_t processes, kernels, memops, calls, graph_launches, ranges, stages, steps, routed_rows;
    uint64_t records; /* activity records read, of every kind */
    uint64_t lost;    /* sum of the table `loss`, bytes that could not be read left out */
    uint64_t diagnostics[MOE_PROFILE_ERROR + 1];
    bool trace; /* the routing trace was written */
} moe_profile_summary;

/* From the raw logs *.raw in `folder` to `path`. False with `error`: the environment failed (the
 * folder cannot be read, the disk is full); damaged logs are no failure. No log at all: an empty
 * profile with the diagnostic not_loaded. `options`, `summary` may be NULL. */
bool moe_profile_decode(const char *folder, const char *path, const moe_profile_options *options,
                        moe_profile_summary *summary, GError **error);

/* From other tools' files. False with `error`, or with messages in `diag`: the file is none of its
 * kind, or is damaged. */
bool moe_profile_import_nsys(const char *file, const char *path, const moe_profile_options *options,
                             moe_profile_summary *summary, moe_diag *diag, GError **error);
bool moe_profile_import_torch(const char *file, const char *path,
                              const moe_profile_options *options, moe_profile_summary *summary,
                              moe_diag *diag, GError **error);

/* Appends what a profile holds: processes, devices, counts, losses, diagnostics with what to do.
 * False with `error`: not a profile. */
bool moe_profile_describe(const char *path, GString *out, GError **error);

#endif
