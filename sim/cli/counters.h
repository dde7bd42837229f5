/* moesim counters, between its plan and its runs. */
#ifndef MOE_CLI_COUNTERS_H
#define MOE_CLI_COUNTERS_H

#include "profiler/counters.h"

/* Runs the program once for each group of one pass, and writes NAME.db; the exit code is the
 * program's (of the first run that failed), or one of moesim capture's. */
int moe_counters_collect(const GPtrArray *plan, const char *name, bool force,
                         const char *const *program, size_t n);

#endif
