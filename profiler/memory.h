/* What is left of the machine's memory, for those who would take much of it: an allocation beyond
 * that succeeds and is killed when it is filled. */
#ifndef MOE_PROFILER_MEMORY_H
#define MOE_PROFILER_MEMORY_H

#include <stdint.h>

/* Bytes; UINT64_MAX when the system does not say. */
uint64_t moe_memory_available(void);

#endif
