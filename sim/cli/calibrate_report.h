/* What `moesim calibrate` prints and draws. */
#ifndef MOE_CLI_CALIBRATE_REPORT_H
#define MOE_CLI_CALIBRATE_REPORT_H

#include "analysis/sheet.h"
#include "profiler/calibrate.h"

/* Errors by kind, the numbers, and the `worst` rows of each kind. */
void moe_calibrate_print(const moe_calibration *calibration, const moe_measured *table,
                         size_t worst);
/* Predicted against measured, a panel for each kind; yours. */
moe_sheet *moe_calibrate_figures(const moe_calibration *calibration, const char *title);

#endif
