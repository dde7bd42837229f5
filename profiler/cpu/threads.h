/* A few threads that share out numbered tasks. Which thread gets which task is left to chance, so a
 * task must depend on its number alone. */
#ifndef MOE_PROFILER_CPU_THREADS_H
#define MOE_PROFILER_CPU_THREADS_H

#include "sim/base/error.h"

typedef struct moe_threads moe_threads;
/* thread: from 0, for working space. */
typedef void moe_threads_task(void *context, uint32_t task, uint32_t thread);

/* NULL with `error` set when a thread cannot be started. The caller's is one of the threads. */
moe_threads *moe_threads_new(uint32_t n, GError **error);
void moe_threads_free(moe_threads *threads);
/* Runs tasks 0 .. n - 1 and returns when all are done. */
void moe_threads_run(moe_threads *threads, moe_threads_task *task, void *context, uint32_t n);

#endif
