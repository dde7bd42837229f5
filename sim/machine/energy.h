/* Energy of a run: what its tasks' FLOPs and bytes took, and what waiting took. Private to
 * sim/machine.
 *
 *   compute  FLOPs of the device's kernels, and of the host's
 *   memory   bytes that kernels read from their device's place; of loads, read from one place and
 *            written to the next, called-off ones as far as they got
 *   link     the same loads on their links; activations to the host and back
 *   idle     power of all devices and places of the machine, used or not, over the measured time
 *
 * An encoder pass of stated time has neither FLOPs nor bytes, so that its run has no energy.
 * Amounts are whole microjoules: parts add up exactly, in any order. */
#ifndef MOE_MACHINE_ENERGY_H
#define MOE_MACHINE_ENERGY_H

#include "hw/energy.h"
#include "sim/machine/machine.h"

typedef enum moe_energy_part {
    MOE_ENERGY_COMPUTE,
    MOE_ENERGY_MEMORY,
    MOE_ENERGY_LINK,
    MOE_ENERGY_IDLE,
    MOE_N_ENERGY_PARTS
} moe_energy_part;

/* Microjoules. */
typedef struct moe_energy_sums {
    int64_t parts[MOE_N_ENERGY_PARTS][2]; /* by phase */
    int64_t device[2];                    /* of device 0 and its place alone */
    int64_t kernels;                      /* compute, and memory but for loads */
} moe_energy_sums;

/* The numbers that the run needs and nobody has stated, "board_energy.read of place 'dram' and
 * power.idle of device 'gpu'"; NULL: all are known. Yours to free. */
char *moe_energy_unknown(const moe_plan *plan);
/* The numbers of the run, on one line. */
void moe_energy_describe(const moe_plan *plan, GString *out);
/* Power of the whole machine while nothing runs. */
double moe_energy_idle_watt(const moe_plan *plan);
/* Joules of a load of `bytes` over the links into tier t. */
double moe_energy_load(const moe_plan *plan, uint32_t t, double bytes);

/* Counts what the links carried in the step that ends; nothing while energy is not asked for. */
void moe_machine_energy_step(moe_machine *machine);
/* Starts counting afresh. */
void moe_machine_energy_reset(moe_machine *machine);
/* The sums, and the rows of the table `energy`; phase_ps: time of prefill and decode steps. */
moe_energy_sums moe_machine_energy(const moe_machine *machine, const moe_time phase_ps[2],
                                   moe_result *result);

#endif
