/* Executed offloading: experts stay in the checkpoint's files and pass through a cache of so many
 * slots in memory, by the very residency and policy code of the simulator.
 *
 * A load is a real read of the expert's bytes from the file (past the page cache where the file
 * system allows it), by a thread of its own for prefetches. Decisions are logged: what was asked,
 * admitted, evicted and dropped, in order; the log replays. */
#ifndef MOE_PROFILER_OFFLOAD_H
#define MOE_PROFILER_OFFLOAD_H

#include "profiler/decoder.h"
#include "sim/residency/residency.h"

typedef struct moe_offload moe_offload;

#endif
