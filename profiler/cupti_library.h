/* The CUPTI library of this machine, loaded at run time. (The injector, which has libc alone, looks
 * in the same places with code of its own.) */
#ifndef MOE_PROFILER_CUPTI_LIBRARY_H
#define MOE_PROFILER_CUPTI_LIBRARY_H

/* A handle for dlsym, NULL: there is none, dlerror says of the last try. What MOESIM_CUPTI_LIB
 * names and nothing else, when it names something; else what the loader finds, then what lies in
 * the toolkit's folders (CUDA_HOME, CUDA_PATH, those that moesim was built with). *path (may be
 * NULL): what was loaded or tried last, yours. Never unload it: CUPTI does not survive that. */
void *moe_cupti_open(char **path);

#endif
