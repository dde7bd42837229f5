/* A routing trace from what a profile knows: rows of every step, who they are, and the times of
 * stages. Of several processes those that routed the very same are one; those whose layers
 * complement each other are stages of one pipeline; others have sequences of their own. */
#ifndef MOE_PROFILER_PROFILE_ROUTING_H
#define MOE_PROFILER_PROFILE_ROUTING_H

#include "profiler/profile_write.h"

/* From what the writer was given so far to options->trace, if there is routing; what is odd becomes
 * diagnostics. False with `error`: the environment failed. */
bool moe_profile_routing(moe_profile_writer *writer, const moe_profile_options *options,
                         GError **error);

#endif
