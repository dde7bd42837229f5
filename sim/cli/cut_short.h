/* Files that are mapped and get shorter while they are read: instead of a bus error, a message with
 * the file's name and the exit code of the environment. The file cannot be read around it: what is
 * gone may be in the middle of any computation. */
#ifndef MOE_CLI_CUT_SHORT_H
#define MOE_CLI_CUT_SHORT_H

#include "sim/base/base.h"

/* From now on a bus error ends the process with exit code 3 after the message
 * "moesim: WHAT was cut short while it was read". `what` is borrowed for good. */
void moe_cut_short(const char *what);

#endif
