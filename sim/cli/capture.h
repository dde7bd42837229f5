/* moesim capture, between its options and its run. */
#ifndef MOE_CLI_CAPTURE_H
#define MOE_CLI_CAPTURE_H

#include "profiler/capture.h"
#include "profiler/gpu.h"

typedef struct moe_capture_values {
    const char *model, *output, *temperature, *licence, *name, *save_every;
    const char *offload, *evict, *scope, *predict, *prefetch, *profile, *decisions, *follow;
    GPtrArray *tokens, *text;
    int64_t decode, batch, chunk, lookahead, context, threads, seed;
    int backend, precision, grouped, offload_home; /* see sim/cli/capture_backend.h */
    bool logits, times, exact, ignore_end, dry, eager, force;
} moe_capture_values;

/* All that a capture is made of. */
typedef struct moe_capture_job {
    const moe_capture_values *values;
    char *output; /* with its ending */
    moe_weights_set *weights;
    moe_tokens *tokens;
    moe_capture_config config;
    moe_gpu *gpu;                        /* NULL: the processor computes */
    gint64 save_us;                      /* time between writes of what is there */
    struct moe_capture_offload *offload; /* NULL: experts are mapped */
} moe_capture_job;

/* Whether what is to be written is named at all; the exit code after a message. */
int moe_capture_places_usage(const moe_capture_job *job);
/* Whether it can be written, and replaces nothing that is read; with the weights open. */
int moe_capture_places(const moe_capture_job *job);
/* The sequences that --tokens and --text name, cut to the context; the exit code after messages. */
int moe_capture_read(moe_capture_job *job);
/* Runs the job, writes and reports; the exit code. */
int moe_capture_run(moe_capture_job *job);

#endif
