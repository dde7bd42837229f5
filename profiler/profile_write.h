/* Writes a profile row by row: for the decoder of raw logs and the importers. The first failure (a
 * full disk) sticks, rows after it are ignored, and finish tells it. Rows come in the order of
 * calls; losses and diagnostics are summed and written at the end. Texts are copied. */
#ifndef MOE_PROFILER_PROFILE_WRITE_H
#define MOE_PROFILER_PROFILE_WRITE_H

#include "profiler/profile.h"

#include <sqlite3.h>

#define MOE_PROFILE_NULL INT64_MIN /* a number that is not known */
/* What a process runs after its N-th exec is a process of its own: pid + N * this. */
#define MOE_PROFILE_IMAGE 10000000

typedef struct moe_profile_writer moe_profile_writer;

/* NULL with `error`. Path NULL: a database in memory, for tests. */
moe_profile_writer *moe_profile_writer_new(const char *path, GError **error);
/* Indexes, losses, diagnostics; synced and renamed to its path; frees. `summary` may be NULL. */
bool moe_profile_writer_finish(moe_profile_writer *writer, moe_profile_summary *summary,
                               GError **error);
/* Nothing stays; frees. */
void moe_profile_writer_discard(moe_profile_writer *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_profile_writer, moe_profile_writer_discard)
bool moe_profile_writer_failed(const moe_profile_writer *writer);
/* For reading what was written so far. */
sqlite3 *moe_profile_writer_database(moe_profile_writer *writer);
/* What a statement of the caller's own failed with. */
void moe_profile_writer_fail(moe_profile_writer *writer);
moe_profile_summary *moe_profile_writer_summary(moe_profile_writer *writer);

/* What is known at the beginning: of the tool, and of options (may be NULL). */
void moe_profile_begin(moe_profile_writer *writer, const char *source,
                       const moe_profile_options *options);

/* The id of a text in the table `string`, a new one or an old one; n -1: up to the zero. What is no
 * UTF-8 is made so. 0 for NULL. */
int64_t moe_profile_text(moe_profile_writer *writer, const char *text, gssize n);
/* The text of an id; NULL for 0. */
const char *moe_profile_text_of(const moe_profile_writer *writer, int64_t id);
/* The first value of a name counts. */
void moe_profile_meta(moe_profile_writer *writer, const char *name, const char *value);
const char *moe_profile_meta_value(const moe_profile_writer *writer, const char *name);
/* Adds up; n 0 is no loss. */
void moe_profile_loss(moe_profile_writer *writer, int64_t pid, const char *source, const char *what,
                      uint64_t n);
/* Something of the list in profile.h; adds up where process, code and text are the same. `text` as
 * printf, NULL: what the code says. pid and time may be MOE_PROFILE_NULL. */
void moe_profile_note(moe_profile_writer *writer, int64_t pid, int64_t time_ns, const char *code,
                      uint64_t n, const char *text, ...) MOE_PRINTF(6, 7);
/* Whether a process has said something of that code. */
bool moe_profile_noted(const moe_profile_writer *writer, int64_t pid, const char *code);
/* The same with a severity of its own; a code that is not in the list is kept as it is. */
void moe_profile_note_as(moe_profile_writer *writer, int64_t pid, int64_t time_ns,
                         moe_profile_severity severity, const char *code, uint64_t n,
                         const char *text);

/* ---- rows; MOE_PROFILE_NULL and NULL become NULL; names are ids of texts, 0: NULL ---- */

typedef struct moe_profile_process {
    int64_t pid, parent, rank;
    const char *name;
    int64_t start_ns, end_ns, realtime_offset_ns;
    const char *attach, *ended;
} moe_profile_process;
void moe_profile_add_process(moe_profile_writer *writer, const moe_profile_process *row);

typedef struct moe_profile_device {
    int64_t pid, device;
    const char *uuid, *name, *capability;
    int64_t sms, memory_bytes, memory_clock_khz;
} moe_profile_device;
void moe_profile_add_device(moe_profile_writer *writer, const moe_profile_device *row);

/* The last name counts. */
void moe_profile_add_name(moe_profile_writer *writer, int64_t pid, const char *kind, int64_t number,
                          const char *domain, const char *name);

/* Where something belongs. */
typedef struct moe_profile_place {
    int64_t range, step, layer;
    const char *stage;
} moe_profile_place;
#define MOE_PROFILE_NOWHERE                                                                        \
    ((moe_profile_place){MOE_PROFILE_NULL, MOE_PROFILE_NULL, MOE_PROFILE_NULL, NULL})

typedef struct moe_profile_kernel {
    int64_t pid, device, context, stream, correlation, graph, node, start_ns, end_ns, name;
    int64_t grid[3], block[3], registers, shared_static, shared_dynamic, cluster_x;
    moe_profile_place place;
} moe_profile_kernel;
void moe_profile_add_kernel(moe_profile_writer *writer, const moe_profile_kernel *row);

typedef struct moe_profile_memop {
    int64_t pid, device, context, stream, correlation, node, start_ns, end_ns, bytes, pinned;
    const char *kind, *direction;
    moe_profile_place place;
} moe_profile_memop;
void moe_profile_add_memop(moe_profile_writer *writer, const moe_profile_memop *row);

typedef struct moe_profile_api {
    int64_t pid, thread, correlation, name, start_ns, end_ns, result, range;
    const char *domain;
} moe_profile_api;
void moe_profile_add_api(moe_profile_writer *writer, const moe_profile_api *row);

typedef struct moe_profile_graph {
    int64_t pid, device, stream, correlation, graph, start_ns, end_ns, range, step;
} moe_profile_graph;
void moe_profile_add_graph(moe_profile_writer *writer, const moe_profile_graph *row);

void moe_profile_add_overhead(moe_profile_writer *writer, int64_t pid, int64_t thread,
                              const char *kind, int64_t start_ns, int64_t end_ns);
typedef struct moe_profile_synchronization {
    int64_t pid, context, stream, correlation, start_ns, end_ns;
    const char *kind;
} moe_profile_synchronization;
void moe_profile_add_synchronization(moe_profile_writer *writer,
                                     const moe_profile_synchronization *row);
void moe_profile_add_external(moe_profile_writer *writer, int64_t pid, int64_t correlation,
                              int64_t kind, int64_t id);

typedef enum moe_profile_payload {
    MOE_PAYLOAD_NONE,
    MOE_PAYLOAD_UNSIGNED,
    MOE_PAYLOAD_SIGNED,
    MOE_PAYLOAD_DOUBLE,
} moe_profile_payload;
typedef struct moe_profile_range {
    int64_t id; /* of the row */
    int64_t pid, range, thread, category, start_ns, end_ns, depth, parent;
    const char *kind, *domain, *text;
    moe_profile_payload payload_type;
    uint64_t payload; /* bits */
} moe_profile_range;
void moe_profile_add_range(moe_profile_writer *writer, const moe_profile_range *row);
typedef struct moe_profile_stage {
    int64_t range, pid, step, layer, start_ns, end_ns;
    const char *stage;
} moe_profile_stage;
void moe_profile_add_stage(moe_profile_writer *writer, const moe_profile_stage *row);
typedef struct moe_profile_step {
    int64_t pid, step, tokens, sequences, start_ns, end_ns;
    const char *phase; /* prefill, decode, both; NULL: unknown */
} moe_profile_step;
/* False: the process has that step already. */
bool moe_profile_add_step(moe_profile_writer *writer, const moe_profile_step *row);

typedef struct moe_profile_routing {
    int64_t pid, step, layer, token0;
    uint32_t tokens, k;
    const void *ids, *weights; /* bytes as in the table; weights may be NULL */
} moe_profile_routing_row;
/* False: there already. */
bool moe_profile_add_routing(moe_profile_writer *writer, const moe_profile_routing_row *row);
typedef struct moe_profile_token {
    int64_t pid, step, token0;
    uint32_t tokens;
    const void *sequence, *position, *token_id; /* 32-bit little endian, or NULL */
} moe_profile_token;
bool moe_profile_add_token(moe_profile_writer *writer, const moe_profile_token *row);
typedef struct moe_profile_counter {
    int64_t pid, device, place, layer, pass;
    const char *range, *stage, *metric;
    double value;
} moe_profile_counter;
void moe_profile_add_counter(moe_profile_writer *writer, const moe_profile_counter *row);
/* Fills the table `load` from `routing`. */
void moe_profile_add_loads(moe_profile_writer *writer);

#endif
