/* The figures of `moesim trace stats --plot`: what was measured, as a sheet. */
#ifndef MOE_CLI_TRACE_FIGURES_H
#define MOE_CLI_TRACE_FIGURES_H

#include "analysis/sheet.h"
#include "traces/stats/statistic.h"

/* Panels for the statistics that are there; yours. */
moe_sheet *moe_trace_figures(const moe_stats *stats, const char *title);

#endif
