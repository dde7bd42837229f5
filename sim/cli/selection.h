/* Which sequences of a trace a command is about: `--sequences 0..5,7,9..12` by their place in the
 * trace, counted from 0, and `--select FILE` by their recorded numbers. */
#ifndef MOE_CLI_SELECTION_H
#define MOE_CLI_SELECTION_H

#include "traces/routing.h"

#include <glib.h>

typedef struct moe_selection {
    const char *sequences, *select; /* what the options say; NULL: all */
    const char *option;             /* that says `sequences`, for messages; NULL: "--sequences" */
} moe_selection;

/* Indices of the sequences that both name, in the order of the trace, each once; as uint32_t,
 * yours. NULL with `error` when the file cannot be read, or after messages: on wrong content and on
 * a selection without any sequence. */
GArray *moe_selection_read(const moe_routing *routing, const moe_selection *selection,
                           moe_diag *diag, GError **error);

#endif
