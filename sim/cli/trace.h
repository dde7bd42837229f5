/* What the subcommands of `moesim trace` share. */
#ifndef MOE_CLI_TRACE_H
#define MOE_CLI_TRACE_H

#include "sim/base/units.h"
#include "traces/routing.h"

/* Checks what the builder holds and writes it; prints messages, or that `path` is written. `name`
 * stands for the builder in messages. Frees the builder; returns the exit code. */
int moe_trace_write(moe_routing_builder *builder, const char *name, const char *path,
                    moe_diag *diag);
/* The same with what is above MOE_TRACE_SHARD, or above a size of the user's, in shards. */
#define MOE_TRACE_SHARD (4 * MOE_GIB)
int moe_trace_write_shards(moe_routing_builder *builder, const char *name, const char *path,
                           uint64_t shard_bytes, moe_diag *diag);

/* Whether an output would replace one of the inputs (the same file under any name, or a shard of
 * an index that is an input), or, without `force`, any file: 0, or the exit code after a message of
 * `command`. */
int moe_trace_spare(const char *command, const char *option, const char *output, bool force,
                    const char *const *inputs, size_t n);
/* The same of what `-o` names. */
int moe_trace_spare_inputs(const char *command, const char *output, bool force,
                           const char *const *inputs, size_t n);

#endif
