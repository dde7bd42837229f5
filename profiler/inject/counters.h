/* Hardware counters as a module of the capture: the metrics that MOESIM_COUNTERS lists, for every
 * range of domain "moesim" that is a stage (moesim_route.h), by CUPTI's range profiler. One pass,
 * of one context and of the thread that pushes the first stage: ranges are measured as they run,
 * never repeated. What was counted is evaluated here and written as MOE_RAW_COUNTERS. */
#ifndef MOE_PROFILER_INJECT_COUNTERS_H
#define MOE_PROFILER_INJECT_COUNTERS_H

#include "profiler/inject/modules.h"

extern const moe_module moe_module_counters;

#endif
