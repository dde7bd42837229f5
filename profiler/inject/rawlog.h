/* The raw log: what libmoesim_inject.so writes inside the captured process, one append-only file
 * PID.raw per process in a folder NAME.d (PID.1.raw, PID.2.raw … for what the same process runs
 * after an exec). Plain C11 without GLib: the injector includes nothing else of the project.
 *
 * A file is moe_raw_magic, then chunks: a moe_raw_head, its payload, zeros up to a multiple of 8.
 * Little endian; the CRC-32 (zlib's polynomial) is of the payload. The first chunk is HELLO. A
 * chunk that is cut short or whose sum is wrong ends the file: what stands before it is good. Texts
 * occur once, in a STRINGS chunk that stands before their first use; id 0 is "no text".
 *
 * Clock: CLOCK_MONOTONIC nanoseconds for everything, CUPTI's timestamps included. */
#ifndef MOE_PROFILER_INJECT_RAWLOG_H
#define MOE_PROFILER_INJECT_RAWLOG_H

#include <stdint.h>

#define MOE_RAW_MAGIC "MOERAW1\n" /* 8 bytes */
#define MOE_RAW_CHUNK 0x4b48434du /* "MCHK" */
#define MOE_RAW_MAX_PAYLOAD (64u << 20)

typedef enum moe_raw_type {
    MOE_RAW_HELLO = 1, /* text: lines of KEY=VALUE (keys below) */
    MOE_RAW_CLOCK,     /* moe_raw_clock: at the start, at the end, and every few seconds */
    MOE_RAW_SIZES,     /* moe_raw_size[]: bytes of each activity record in the loaded CUPTI */
    MOE_RAW_STRINGS,   /* moe_raw_string[] */
    MOE_RAW_ACTIVITY,  /* moe_raw_activity, then the records of one CUPTI buffer as they came, but
                          each pointer to a text replaced by the text's id */
    MOE_RAW_RANGES,    /* moe_raw_range[] */
    MOE_RAW_STEPS,     /* moe_raw_step[] */
    MOE_RAW_TOKENS, /* moe_raw_tokens, then int32 sequence[n], position[n], token_id[n]; repeated,
                       each a multiple of 8 */
    MOE_RAW_ROUTES, /* moe_raw_route, then uint16 ids[n * k], float weights[n * k] if flagged;
                       repeated, each a multiple of 8 */
    MOE_RAW_DIAGNOSTIC, /* moe_raw_diagnostic[] */
    MOE_RAW_LOSS,       /* moe_raw_loss[]: further losses since the last such chunk */
    MOE_RAW_COUNTERS,   /* moe_raw_counter[] */
    MOE_RAW_CLOSE,      /* moe_raw_close: the process ended in order; the last chunk */
    MOE_RAW_NODES,      /* moe_raw_node[] */
    MOE_RAW_NAMES,      /* moe_raw_name[] */
} moe_raw_type;

typedef struct moe_raw_head {
    uint32_t magic, type; /* MOE_RAW_CHUNK */
    uint32_t bytes, crc;  /* of the payload, padding excluded */
} moe_raw_head;

/* HELLO's keys: abi (1), pid, ppid, exe, argv (\x1f between words), rank (of RANK or
 * OMPI_COMM_WORLD_RANK, if set), started_by (cuda, nvtx, route: who called first), cupti (version
 * number, "absent" or the reason why it is not used), cupti_path, driver, trace (kinds asked for),
 * model (what moesim_model said: JSON), clock (monotonic, or realtime: CUPTI could not be given
 * ours, so times of activity records are of CLOCK_REALTIME), window (MOESIM_RANGE), delay_ms,
 * duration_ms, forked_from (a process that was forked off a captured one). Later HELLO chunks add
 * keys. */

typedef struct moe_raw_clock {
    uint64_t monotonic_ns, realtime_ns;
} moe_raw_clock;

typedef struct moe_raw_size {
    uint32_t kind, bytes;
} moe_raw_size;

/* Followed by the text, no zero, padded to 8. */
typedef struct moe_raw_string {
    uint32_t id, bytes;
} moe_raw_string;

typedef struct moe_raw_activity {
    uint64_t context; /* as a number; 0: none */
    uint32_t stream, bytes;
    uint64_t sequence; /* of the buffer in its process */
} moe_raw_activity;

typedef enum moe_raw_range_kind {
    MOE_RAW_PUSH, /* pushes and pops nest per thread and domain */
    MOE_RAW_POP,
    MOE_RAW_START, /* starts and ends meet by `range`, in any thread */
    MOE_RAW_END,
    MOE_RAW_MARK,
} moe_raw_range_kind;

/* Something that NVTX, or moesim_range_push, said. */
typedef struct moe_raw_range {
    uint64_t time_ns;
    uint64_t range;        /* > 0, unique in the process: also the external correlation id (kind
                              CUSTOM1) that was pushed with it; a POP carries the PUSH's */
    uint32_t thread;       /* of the operating system */
    uint32_t kind;         /* moe_raw_range_kind */
    uint32_t domain, text; /* ids; domain 0: NVTX's default one */
    uint32_t category;
    uint32_t payload_type; /* 0: none, 1: unsigned, 2: signed, 3: double (its bits) */
    uint64_t payload;
} moe_raw_range;

/* A node of a CUDA graph came into being: `range` is the innermost one open in its thread (0:
 * none). A node that was cloned from another (`original` > 0) belongs where the original does,
 * which may stand later in the file. Kernels name the node they ran as. */
typedef struct moe_raw_node {
    uint64_t time_ns;
    uint64_t node, original;
    uint64_t range;
} moe_raw_node;

typedef enum moe_raw_name_kind { MOE_RAW_NAME_THREAD = 1, MOE_RAW_NAME_CATEGORY } moe_raw_name_kind;

/* The program gave a thread or a category of a domain a name. */
typedef struct moe_raw_name {
    uint32_t kind, number; /* moe_raw_name_kind; the thread or the category */
    uint32_t domain, text; /* ids; domain 0 for threads */
} moe_raw_name;

typedef struct moe_raw_step {
    uint64_t time_ns;
    int64_t step;
    uint32_t thread;
    int32_t phase; /* 0 prefill, 1 decode, 2 both, -1 unknown; of a begin */
    int32_t begin; /* 1, or 0: end */
    int32_t n_tokens, n_sequences;
    int32_t unused;
} moe_raw_step;

typedef struct moe_raw_tokens {
    int64_t step, token0; /* rows token0 .. token0 + n - 1 of the step */
    int32_t n, unused;
} moe_raw_tokens;

enum { MOE_RAW_ROUTE_WEIGHTS = 1 };
typedef struct moe_raw_route {
    uint64_t time_ns;
    int64_t step, token0;
    int32_t layer, n, k; /* layer: of the model */
    uint32_t flags;
} moe_raw_route;
#define MOE_RAW_NO_EXPERT 0xFFFFu /* an id below 0, or of 0xFFFE and more */

typedef enum moe_raw_severity { MOE_RAW_INFO, MOE_RAW_WARN, MOE_RAW_ERROR } moe_raw_severity;
/* code: one of the rows of profiler/profile.h's table of diagnostics. */
typedef struct moe_raw_diagnostic {
    uint64_t time_ns;
    uint32_t severity, n;
    uint32_t code, text; /* ids */
} moe_raw_diagnostic;

/* source.what as in cupti.dropped, cupti.buffer_denied (at the limit of memory: buffers that CUPTI
 * did not get, or records that came in one for throwing away), route.lost (calls), range.lost,
 * node.lost, text.lost, log.full (records that came when the disk was full) */
typedef struct moe_raw_loss {
    uint32_t source, what; /* ids */
    uint64_t n;
} moe_raw_loss;

/* One metric of one range (counters). */
typedef struct moe_raw_counter {
    uint64_t order;         /* of the range in the process */
    uint32_t range, metric; /* ids; range: the nested names joined by '/' */
    uint32_t device, pass;
    double value;
} moe_raw_counter;

typedef struct moe_raw_close {
    uint64_t time_ns;
    uint32_t reason; /* 0 exit, 1 signal caught, 2 exec */
    uint32_t signal;
} moe_raw_close;

#endif
