/* Exporters: a trace for other programs.
 *
 * One descriptor (`moe_exporter_<symbol>` in export/<symbol>.c) and one line in exporters.def. What
 * a format cannot hold is one line each in the report, never silently left out. */
#ifndef MOE_TRACES_EXPORT_H
#define MOE_TRACES_EXPORT_H

#include "traces/output.h"
#include "traces/progress.h"
#include "traces/requests/requests.h"
#include "traces/routing.h"

typedef struct moe_export_job {
    const moe_routing_file *file;
    const moe_routing *routing; /* of the file */
    moe_output *output;
    moe_progress *progress; /* tokens of tokens; may be NULL */
    void *context;
    GString *report;
} moe_export_job;

typedef struct moe_exporter {
    const char *name;
    const char *suffix; /* of files that are surely meant so */
    const char *help;   /* the layout, in one paragraph */
    bool seeks;         /* cannot be written to a pipe */
    /* What the format holds beside ids: the others are reported as left out. */
    bool sequences, weights, labels; /* labels: step, domain, token_id */
    bool meta;                       /* all metadata that is no tensor's description */
    void (*run)(const moe_export_job *job);
    /* Requests, whole; NULL: not in this format. Failures are the output's. */
    void (*requests)(const moe_requests *requests, moe_output *output);
} moe_exporter;

#define MOE_EXPORTER(symbol, name, suffix) extern const moe_exporter moe_exporter_##symbol;
#include "traces/export/exporters.def"
#undef MOE_EXPORTER

extern const moe_exporter *const moe_exporters[]; /* NULL-terminated, in order of the list */

/* By the suffix of a path; NULL: none of them. */
const moe_exporter *moe_exporter_of(const char *path);
/* Writes `path`; false with `error` set. `report` (may be NULL) gets a line per thing left out. */
bool moe_export(const moe_exporter *exporter, const moe_routing_file *file, const char *path,
                moe_progress *progress, void *context, GString *report, GError **error);

/* The same with requests, of an exporter that has them. */
bool moe_export_requests(const moe_exporter *exporter, const moe_requests *requests,
                         const char *path, GError **error);

/* For exporters: tells how far it has come, now and then. */
void moe_export_progress(const moe_export_job *job, uint64_t done);
/* For exporters: metadata number `i` that is said nowhere else in an export: all but what describes
 * tensors. False at the end; *key NULL: this one is. */
bool moe_export_meta(const moe_routing_file *file, size_t i, const char **key, const char **value);
/* For exporters: the shortest text that reads back as the same F32; finite. */
#define MOE_EXPORT_REAL 32
const char *moe_export_real(char buffer[MOE_EXPORT_REAL], float value);

#endif
