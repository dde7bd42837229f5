/* Importers: routing, or requests, as other programs write them, into a builder.
 *
 * An importer is one descriptor (`moe_importer_<symbol>` in import/<symbol>.c, or in
 * requests/<symbol>.c) and one line in
 * importers.def. It reads the inputs of a job in one pass, as streams where the format allows, so
 * that memory does not grow with them, and says what it dropped or noticed, with counts, one line
 * each in `report`. What is wrong with the content is a located message in `diag` ("x.csv:12:7: …",
 * "x.npy: token 12, layer 3: …") that says what to do; what is wrong with the machine is `error`.
 * Traps that formats share are recognised by traces/import/traps.h. */
#ifndef MOE_TRACES_IMPORT_H
#define MOE_TRACES_IMPORT_H

#include "models/model.h"
#include "traces/progress.h"
#include "traces/requests/requests.h"
#include "traces/routing.h"
#include "traces/text_source.h"

#define MOE_IMPORT_HEAD (64u << 10) /* bytes that a sniff sees */

/* What the user said; 0 and NULL: nothing. */
typedef struct moe_import_options {
    const moe_model *model; /* whose routing this is: experts, MoE layers and top-k are compared */
    uint32_t layers, experts, top_k;
    uint32_t sequences;     /* that share each step, of formats that do not say (megatron) */
    bool sort;              /* requests in another order than that of time are fine */
    uint32_t block_tokens;  /* tokens in a prefix block, of formats that list tokens */
    uint64_t seed;          /* of what a format describes and does not list (servegen) */
    bool renormalise;       /* of router logits: gate weights are softmax over the chosen experts */
    bool by_weight;         /* ids of a row stand by falling gate weight, though none is recorded */
    const char *scratch;    /* folder for what does not fit into memory; NULL: the system's */
    uint64_t scratch_above; /* bytes in memory before that; 0: the default of the builder */
} moe_import_options;

/* An input that is in memory already, as tests have it. */
typedef struct moe_import_bytes {
    const void *bytes;
    size_t n;
} moe_import_bytes;

typedef struct moe_import_job {
    const char *const *paths; /* or names, of inputs in memory */
    size_t n_paths;
    const moe_import_bytes *memory; /* [n_paths]; NULL: files */
    const moe_import_options *options;
    moe_progress *progress; /* may be NULL */
    void *context;
    moe_diag *diag;
    GString *report;  /* never NULL inside of `run` */
    GString *summary; /* what came in, set by the traps; the caller leaves it NULL */
    GError **error;
} moe_import_job;

/* Options that an importer cannot do without. */
enum { MOE_IMPORT_LAYERS = 1, MOE_IMPORT_EXPERTS = 2, MOE_IMPORT_TOP_K = 4 };

typedef struct moe_importer {
    const char *name;
    const char *help; /* the layout, in one paragraph */
    bool many;        /* takes more than one input, of one model */
    unsigned needs;   /* MOE_IMPORT_LAYERS | … */
    /* How sure it is, 0 .. 100, that this is its format, by the first bytes (at most
     * MOE_IMPORT_HEAD, unpacked): 0 cannot be, up to 30 a guess, 50 and more by a mark that other
     * formats do not have. */
    int (*sniff)(const char *path, const char *head, size_t n);
    /* One of the two; NULL after messages or with `error` set. The caller checks the builder's
     * whole. */
    moe_routing_builder *(*run)(moe_import_job *job);
    moe_requests_builder *(*requests)(moe_import_job *job);
} moe_importer;

#define MOE_IMPORTER(symbol, name) extern const moe_importer moe_importer_##symbol;
#include "traces/import/importers.def"
#undef MOE_IMPORTER

extern const moe_importer *const moe_importers[]; /* NULL-terminated, in order of the list */

/* The importer called `name`, NULL when there is none. */
const moe_importer *moe_importer_find(const char *name);
/* The importer that is surest of the first input. NULL after a message that lists the formats, or
 * with `error` set. */
const moe_importer *moe_importer_sniff(const moe_import_job *job);
/* Whether a file that is to be opened as a trace is surely what an importer takes: says so, with
 * the command that makes a trace of it. */
bool moe_importer_says(const char *path, moe_diag *diag);
/* Runs an importer after comparing it with the inputs: options that are absent, too many inputs,
 * content that is surely another format's or is a trace already are messages. */
moe_routing_builder *moe_import_run(const moe_importer *importer, moe_import_job *job);
/* The same with an importer of requests. */
moe_requests_builder *moe_import_requests(const moe_importer *importer, moe_import_job *job);

/* ---- for importers ---- */

/* A builder as the job's options want it. */
moe_routing_builder *moe_import_builder(const moe_import_job *job, uint32_t n_layers,
                                        uint32_t n_experts, uint32_t k);
moe_requests_builder *moe_import_requests_builder(const moe_import_job *job);
/* The text of input `i`, unpacked on the way; yours. NULL with `error` set. */
moe_text_source *moe_import_open(const moe_import_job *job, size_t i);
/* Whether input `i` can be read a second time: a regular file, or in memory. */
bool moe_import_again(const moe_import_job *job, size_t i);
/* All bytes of input `i`, mapped and not unpacked, for formats that are read at random. */
typedef struct moe_import_map {
    const void *bytes;
    size_t n;
    void *map; /* to be unmapped */
} moe_import_map;
bool moe_import_map_open(const moe_import_job *job, size_t i, moe_import_map *map);
void moe_import_map_close(moe_import_map *map);
/* A message about input `i` as a whole; false. */
bool moe_import_fail(const moe_import_job *job, size_t i, const char *fmt, ...) MOE_PRINTF(3, 4);
/* One line for the report. */
void moe_import_note(const moe_import_job *job, const char *fmt, ...) MOE_PRINTF(2, 3);

#endif
