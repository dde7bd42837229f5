/* Profiles that analyses may trust. */
#ifndef MOE_CLI_PROFILE_OPEN_H
#define MOE_CLI_PROFILE_OPEN_H

#include "analysis/recording.h"

/* Refused, with a message, when more than 1 % of the records of a source were lost and
 * `allow_loss` is not set (then a note says so). NULL with the exit code in *code. */
moe_recording *moe_profile_open(const char *path, bool allow_loss, int *code);

#define MOE_ALLOW_LOSS_HELP                                                                        \
    "Take profiles that lost more than 1 % of the records of a kind, with a note."

#endif
