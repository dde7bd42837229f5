/* What importers share: the launches of an imported file, and where they belong. A kernel is joined
 * with its call by the correlation, the call with the range that was open in its thread. */
#ifndef MOE_PROFILER_IMPORT_CALLS_H
#define MOE_PROFILER_IMPORT_CALLS_H

#include "profiler/profile_nest.h"

typedef struct moe_calls moe_calls;

moe_calls *moe_calls_new(void);
void moe_calls_free(moe_calls *calls);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_calls, moe_calls_free)
/* A call of a process; its place by the nest (may be NULL), which is indexed. Returns it. */
moe_profile_place moe_calls_add(moe_calls *calls, uint32_t process, uint32_t correlation,
                                const moe_nest *nest, uint32_t thread, uint64_t time_ns);
/* The place of what a call launched; nowhere when there is no such call. */
moe_profile_place moe_calls_place(const moe_calls *calls, uint32_t process, uint32_t correlation,
                                  const moe_nest *nest);

#endif
