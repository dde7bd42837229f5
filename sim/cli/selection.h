/* Which sequences of a trace a command is about: `--sequences 0..5,7,9..12` by their place in the
 * trace, counted from 0, and `--select FILE` by their recorded numbers. */
#ifndef MOE_CLI_SELECTION_H
#define MOE_CLI_SELECTION_H

#include "traces/routing.h"

#include <glib.h>

/* Indices of the sequences that both name (NULL: all), in the order of the trace, each once; as
 * uint32_t, yours. NULL with `error` when the file cannot be read; wrong content and a selection
 * without any sequence are messages. */
GArray *moe_selection_read(const moe_routing *routing, const char *sequences, const char *select,
                           moe_diag *diag, GError **error);

#endif
