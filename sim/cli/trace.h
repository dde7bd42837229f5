/* What the subcommands of `moesim trace` share. */
#ifndef MOE_CLI_TRACE_H
#define MOE_CLI_TRACE_H

#include "traces/routing.h"

/* Checks what the builder holds and writes it; prints messages, or that `path` is written. `name`
 * stands for the builder in messages. Frees the builder; returns the exit code. */
int moe_trace_write(moe_routing_builder *builder, const char *name, const char *path,
                    moe_diag *diag);

#endif
