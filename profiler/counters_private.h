/* What planning asks of CUPTI. Private to profiler/counters*.c. */
#ifndef MOE_PROFILER_COUNTERS_PRIVATE_H
#define MOE_PROFILER_COUNTERS_PRIVATE_H

#include "profiler/counters.h"

/* Passes of these metrics together; 0: they cannot be counted together, or one is unknown. */
size_t moe_counters_passes(moe_counters *counters, const char *const *metrics, size_t n);
const char *moe_counters_chip(const moe_counters *counters);

#endif
