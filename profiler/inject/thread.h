/* The injector's own threads: detached, with all signals blocked, so that they take none from the
 * program. */
#ifndef MOE_PROFILER_INJECT_THREAD_H
#define MOE_PROFILER_INJECT_THREAD_H

/* 0, or the error's number. The name is what debuggers show, 15 bytes at most. */
int moe_thread_start(void *(*body)(void *), const char *name);

#endif
