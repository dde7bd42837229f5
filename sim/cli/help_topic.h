/* Words that `moesim help` knows beside keys and commands: whatever `moesim list` names of routing,
 * and the terms of tables and figures. */
#ifndef MOE_CLI_HELP_TOPIC_H
#define MOE_CLI_HELP_TOPIC_H

#include "sim/base/base.h"

/* Prints all that is called so: a statistic or a group of them, a transform, an importer, an
 * exporter, a bound or another term; false when nothing is. */
bool moe_help_topic(const char *word);

#endif
