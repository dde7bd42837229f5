/* A run being reported. Private to sim/machine.
 *
 * report.c         metrics, bounds and rows
 * report_energy.c  energy, its bounds, and prices */
#ifndef MOE_MACHINE_REPORT_PRIVATE_H
#define MOE_MACHINE_REPORT_PRIVATE_H

#include "sim/machine/energy.h"
#include "sim/machine/machine.h"
#include "sim/machine/metrics.h"

#include <math.h>

/* What is being reported; values are NAN where they do not apply. */
typedef struct moe_report {
    const moe_machine *machine;
    moe_result *result;
    double value[MOE_N_METRICS];
    double bound[MOE_N_METRICS][3]; /* contention-free, perfect cache, roofline */
    moe_fewest all_steps, decode_steps;
    uint64_t decoded, prompted;
    uint64_t decoded_alone; /* without prompts beside them */
    uint32_t ended;         /* requests that end in the measured time */
    moe_time decode_ps, prefill_ps, busy_ps;
    moe_energy_sums energy;
} moe_report;

static inline double
moe_report_seconds(moe_time ps)
{
    return (double)ps / (double)MOE_PS_PER_S;
}

static inline double
moe_report_ratio(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

/* Measured time. */
moe_time moe_report_wall(const moe_machine *machine);

/* After all times are reported. */
void moe_report_energy(moe_report *r);
void moe_report_price(moe_report *r);
/* Energy of the same computations in less time: that of the contention-free time has the run's
 * loads, that of the perfect cache the fewest. */
void moe_report_energy_bounds(moe_report *r, double free_s, double perfect_s);

#endif
