/* The times of stages of one process, step by step: of kernels where any is known to belong to a
 * stage (time in which at least one of them ran), else of the stages' ranges on the host. */
#ifndef MOE_PROFILER_PROFILE_TIMES_H
#define MOE_PROFILER_PROFILE_TIMES_H

#include "profiler/profile_write.h"

typedef struct moe_times moe_times;

/* NULL: there are no stages. At least n_layers layers of the model, the last one known the last. */
moe_times *moe_times_new(sqlite3 *db, int64_t pid, uint32_t n_layers);
void moe_times_free(moe_times *times);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_times, moe_times_free)
/* How many layers each step has; whether its times are the device's, or else the host's. */
uint32_t moe_times_layers(const moe_times *times);
bool moe_times_device(const moe_times *times);
/* [layers, MOE_STAGES] ns of a step; steps in rising order. Stages of no layer: embed is layer 0's,
 * others the last one's, as in our own captures. */
const float *moe_times_step(moe_times *times, int64_t step);

#endif
