/* The expert stage of a backend, as a decoder asks for it, over made-up weights. Private to
 * profiler/measure*.c. */
#ifndef MOE_PROFILER_MEASURE_EXPERTS_H
#define MOE_PROFILER_MEASURE_EXPERTS_H

#include "profiler/backend.h"
#include "profiler/measure.h"

#define MOE_BENCH_EXPERTS 64

typedef struct moe_experts_bench {
    const moe_backend_ops *ops;
    void *device; /* moe_backend_config.device */
    uint32_t threads;
    moe_weight_type type; /* F32 or BF16 */
    uint32_t hidden, width;
    uint32_t experts;       /* a multiple of `group`, at most MOE_BENCH_EXPERTS */
    uint32_t group;         /* that a repetition computes, one group after the other */
    const uint32_t *tokens; /* of each point, rising; n_tokens < MOE_EXPERT_POINTS */
    uint32_t n_tokens;
    const char *name;   /* for who looks on: "processor" */
    double from, share; /* of the part's progress */
} moe_experts_bench;

/* Fewer points where there is no time for all; always the first two. */
bool moe_measure_experts(const moe_measure *how, const moe_experts_bench *what,
                         moe_measured_experts *out, GError **error);

#endif
