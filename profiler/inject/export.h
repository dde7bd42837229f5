/* Everything of the injector is hidden but what carries this. */
#ifndef MOE_PROFILER_INJECT_EXPORT_H
#define MOE_PROFILER_INJECT_EXPORT_H

#define MOE_EXPORT __attribute__((visibility("default")))

#endif
