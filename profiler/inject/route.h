/* The routing ABI's inside: what NVTX payloads that carry routing share with it. */
#ifndef MOE_PROFILER_INJECT_ROUTE_H
#define MOE_PROFILER_INJECT_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

/* ids are read by `at(ids, i)`: whatever type they have. weights: floats that need not be aligned,
 * or NULL. False: lost, and counted. */
typedef int64_t (*moe_route_read)(const void *ids, uint64_t i);
bool moe_route_record(int32_t layer, int64_t step, int64_t token0, int32_t n, int32_t k,
                      const void *ids, moe_route_read at, const void *weights);

#endif
