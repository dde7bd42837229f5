/* A libcupti with the entry points that the injector uses, and what stands for the GPU: functions
 * by which a test program makes it record. Behaviour by environment:
 *
 * FAKE_VERSION     what cuptiGetVersion says (130001)
 * FAKE_BUSY        the name of another subscriber
 * FAKE_REFUSE      a kind that cannot be enabled
 * FAKE_LARGER      bytes by which every record is larger than the header's
 * FAKE_AHEAD       set: a buffer is asked for while the full one is still out
 * FAKE_NO_TIMES    kernels have no times
 * FAKE_DROPPED     records that were dropped
 * FAKE_LOG         a file to which calls are written, one a line */
#ifndef FAKE_CUPTI_H
#define FAKE_CUPTI_H

#include <stdint.h>

/* n kernels of this name, launched in this thread: a runtime call, its external correlation, a
 * kernel each. node: that of a graph, 0 none. The name's memory is overwritten as soon as CUPTI no
 * longer needs it. */
typedef void (*fake_launch_call)(const char *name, unsigned n, uint64_t node);
/* A node of a graph comes into being, or a clone of another. */
typedef void (*fake_node_call)(uint64_t node, uint64_t original);
/* The driver's cuProfilerStart or cuProfilerStop is called. */
typedef void (*fake_profiler_call)(int start);
/* CUPTI fails in its own thread. */
typedef void (*fake_error_call)(const char *message);
/* A record of a kind that nobody knows. */
typedef void (*fake_odd_call)(void);

#endif
