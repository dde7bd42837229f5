/* The table that `run` ends with: swept keys, main metrics, and their bounds. */
#ifndef MOE_CLI_REPORT_H
#define MOE_CLI_REPORT_H

#include "sim/cli/load.h"

/* Prints the runs of a scenario from the store; false with *error set when it cannot be read. */
bool moe_report_table(const moe_loaded *loaded, moe_store *store, GError **error);

#endif
