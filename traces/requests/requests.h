/* Request traces: when requests arrive, how long they are, which prefixes they share.
 *
 * Opened from a safetensors file (memory-mapped, validated whole) or built in memory by importers
 * and generators. Immutable once open; shared by threads. Requests stand in order of arrival.
 *
 * metadata  `format` moesim-requests, `version` 1, `clock`, `epoch_ns`, and where they apply
 *           `block_tokens`, `models` (a JSON list of names); others are free
 * tensors   arrival_ns I64 [n], prompt U32 [n], output U32 [n], and where they apply
 *           block_first U64 [n + 1] with blocks U32 [all], session U32 [n], model U16 [n]
 *
 * A prompt is cut into blocks of `block_tokens` tokens, the last one perhaps shorter; equal ids
 * mean equal content (and equal content before it). Numbers of blocks, sessions and models are
 * 0, 1, 2, … in order of first appearance. */
#ifndef MOE_TRACES_REQUESTS_REQUESTS_H
#define MOE_TRACES_REQUESTS_REQUESTS_H

#include "sim/base/diag.h"
#include "traces/output.h"

#define MOE_REQUESTS_FORMAT "moesim-requests"
#define MOE_REQUESTS_VERSION "1"
#define MOE_REQUESTS_MAX_TOKENS 1000000000u /* of a prompt, of an output */
#define MOE_REQUESTS_NO_MODEL 0xFFFFu

/* What arrival times are counted from before the first request is made zero. */
typedef enum moe_request_clock {
    MOE_CLOCK_TRACE, /* a zero of the trace's own */
    MOE_CLOCK_UNIX,  /* 1970-01-01, UTC unless the source says otherwise */
} moe_request_clock;

typedef struct moe_requests {
    const char *path; /* or a name */
    uint64_t n;       /* >= 1, < 2^32 - 1 */
    moe_request_clock clock;
    int64_t epoch_ns;            /* of arrival 0 on that clock */
    const int64_t *arrival_ns;   /* [n]: >= 0, never falling */
    const uint32_t *prompt;      /* [n]: tokens, 1 .. MOE_REQUESTS_MAX_TOKENS */
    const uint32_t *output;      /* [n]: likewise */
    uint32_t block_tokens;       /* 0: prefixes are not known */
    const uint64_t *block_first; /* [n + 1]: into blocks; a request has all its blocks or none */
    const uint32_t *blocks;
    uint32_t n_blocks;       /* distinct */
    const uint32_t *session; /* [n], MOE_NONE: not known; or NULL */
    uint32_t n_sessions;     /* distinct */
    const uint16_t *model;   /* [n], MOE_REQUESTS_NO_MODEL: not known; or NULL */
    uint32_t n_models;
    const char *const *models; /* names: not empty, all different */
} moe_requests;

typedef struct moe_requests_file moe_requests_file; /* owns the requests and their mapping */

/* Whether `path` is a safetensors file that says it holds requests; never a message. */
bool moe_requests_recognise(const char *path);
/* Opens a trace. Unreadable: `error`. Wrong content: messages in `diag` such as
 * "x.safetensors: tensor arrival_ns, request 17: …". NULL in both cases. */
moe_requests_file *moe_requests_open(const char *path, moe_diag *diag, GError **error);
/* The same from bytes in memory, which must outlive the result; `name` stands for the path. */
moe_requests_file *moe_requests_open_memory(const char *name, const void *bytes, size_t n_bytes,
                                            moe_diag *diag);
void moe_requests_close(moe_requests_file *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_requests_file, moe_requests_close)
const moe_requests *moe_requests_get(const moe_requests_file *file);
/* The value of a metadata key, NULL when absent. */
const char *moe_requests_meta(const moe_requests_file *file, const char *key);
/* `trace info` text: rate, gaps, lengths, prefixes, sessions, models, metadata. */
void moe_requests_describe(const moe_requests_file *file, GString *out);

/* As CSV, which the importer `requests-csv` makes into the same requests again. Failures are
 * `output`'s. */
void moe_requests_export_csv(const moe_requests *requests, moe_output *output);
/* The same as text, requests `from` to `to`, appended. */
void moe_requests_csv(const moe_requests *requests, uint64_t from, uint64_t to, GString *out);

/* ---- building ---- */

/* A name, of any bytes; n 0: not known. */
typedef struct moe_request_name {
    const void *at;
    size_t n;
} moe_request_name;

typedef struct moe_request {
    int64_t time_ns; /* on the trace's clock */
    uint32_t prompt, output;
    moe_request_name session, model;
    const uint64_t *blocks; /* any numbers; n_blocks = ceil(prompt / block_tokens) or 0 */
    size_t n_blocks;
} moe_request;

/* Takes requests one by one. What is appended must be within the limits above (asserted). Columns
 * that outgrow their share of memory go to unlinked temporary files; what stays are the names of
 * sessions and the numbers of blocks, once each, and, when requests come late, 16 bytes for each
 * while they are put in order. Failures are remembered and reported at the end. */
typedef struct moe_requests_builder moe_requests_builder;
moe_requests_builder *moe_requests_builder_new(void);
/* Where temporary files go (NULL: the system's folder for them) and from how many bytes of a column
 * on (0: the default). Before the first request. */
void moe_requests_builder_spill(moe_requests_builder *builder, const char *folder,
                                uint64_t limit_bytes);
/* The clock of all times (MOE_CLOCK_TRACE unless said), the tokens in a block, before the first
 * request that needs it. Said again it must be the same, else false. */
bool moe_requests_builder_clock(moe_requests_builder *builder, moe_request_clock clock);
bool moe_requests_builder_blocks(moe_requests_builder *builder, uint32_t block_tokens);
/* False, and nothing is added, for a model beyond the 65,535th. */
bool moe_requests_builder_add(moe_requests_builder *builder, const moe_request *request);
/* Free metadata; a key written again is replaced. The format's own keys are the builder's. */
void moe_requests_builder_meta(moe_requests_builder *builder, const char *key, const char *value);
uint64_t moe_requests_builder_count(const moe_requests_builder *builder);
/* How many requests came with a time before that of one added earlier. */
uint64_t moe_requests_builder_late(const moe_requests_builder *builder);
/* Turns it into an open trace named `name`: sorts by time (equal times keep their order) and makes
 * the first one zero; frees the builder. At least one request. NULL with `error` set: no memory,
 * no room for temporary files. */
moe_requests_file *moe_requests_builder_finish(moe_requests_builder *builder, const char *name,
                                               GError **error);
void moe_requests_builder_free(moe_requests_builder *builder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_requests_builder, moe_requests_builder_free)

/* Writes an open trace as a safetensors file (to a temporary name, then renamed). */
bool moe_requests_write(const moe_requests_file *file, const char *path, GError **error);

#endif
