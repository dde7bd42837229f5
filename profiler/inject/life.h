/* From the first call into the injector to the end of the process: start, exit, signals, fork. */
#ifndef MOE_PROFILER_INJECT_LIFE_H
#define MOE_PROFILER_INJECT_LIFE_H

#include <stdbool.h>

#include "profiler/inject/options.h"

/* Whether a capture runs; the first call starts it, on behalf of `who` (cuda, nvtx, route). */
bool moe_life_on(const char *who);
/* Of a capture that runs. */
const moe_options *moe_life_options(void);
/* The driver has called: attaches the modules, once. */
void moe_life_driver(void);
/* The thread leaves the injector: a signal that had to wait is acted upon. */
void moe_life_deferred(void);

#endif
