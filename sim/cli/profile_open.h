/* Profiles that analyses may trust. */
#ifndef MOE_CLI_PROFILE_OPEN_H
#define MOE_CLI_PROFILE_OPEN_H

#include "analysis/recording.h"

/* Refused, with a message, when more than 1 % of the records of a source were lost and
 * `allow_loss` is not set (then a note says so). NULL with the exit code in *code. */
moe_recording *moe_profile_open(const char *path, bool allow_loss, int *code);

/* Joins a routing trace by step and layer: which experts the tokens of each step needed, where the
 * profile does not say. Returns the exit code, after messages. */
int moe_profile_join(moe_recording *recording, const char *trace);

#define MOE_TRACE_HELP                                                                             \
    "A routing trace of the same run (a capture of a model writes one beside): which experts "     \
    "each "                                                                                        \
    "step needed, where the profile does not say."
#define MOE_ALLOW_LOSS_HELP                                                                        \
    "Take profiles that lost more than 1 % of the records of a kind, with a note."

#endif
