/* What the environment asks of the injector; read once, at the start.
 *
 * MOESIM_CAPTURE           the folder NAME.d; unset: the injector does nothing at all
 * MOESIM_TRACE             list of what to record, by comma (rows of options.c)
 * MOESIM_CUPTI_LIB         libcupti's path, unless one is in the process already
 * MOESIM_LOG               a file to which the injector says what it does
 * MOESIM_RANGE             all | profiler-api | nvtx:DOMAIN/NAME: when to record
 * MOESIM_DELAY_MS          not before so long after the start
 * MOESIM_DURATION_MS       for so long since it began
 * MOESIM_MAX_BUFFER_MIB    for activity records that are not yet written */
#ifndef MOE_PROFILER_INJECT_OPTIONS_H
#define MOE_PROFILER_INJECT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum moe_trace {
    MOE_TRACE_KERNEL = 1 << 0,
    MOE_TRACE_MEMOP = 1 << 1,
    MOE_TRACE_API = 1 << 2,
    MOE_TRACE_NVTX = 1 << 3,
    MOE_TRACE_ROUTE = 1 << 4,
    MOE_TRACE_GRAPH_NODE = 1 << 5, /* kernels inside graphs one by one */
    MOE_TRACE_GRAPH = 1 << 6,      /* whole launches of graphs instead */
    MOE_TRACE_COUNTERS = 1 << 7,
} moe_trace;

typedef enum moe_window_kind {
    MOE_WINDOW_ALL,
    MOE_WINDOW_PROFILER,
    MOE_WINDOW_NVTX
} moe_window_kind;

typedef struct moe_options {
    const char *folder;
    uint32_t trace; /* of moe_trace */
    const char *cupti_path, *log_path;
    moe_window_kind window;
    char domain[128], range[256];   /* of MOE_WINDOW_NVTX */
    uint64_t delay_ns, duration_ns; /* 0: none */
    uint64_t max_buffer_bytes;
    char complaint[256]; /* about what was not understood; empty: none */
} moe_options;

/* The names of what is recorded, by comma. */
void moe_options_trace(const moe_options *options, char *out, size_t room);
/* False: no capture was asked for. */
bool moe_options_read(moe_options *options);

#endif
