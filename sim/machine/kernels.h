/* For what a run wants kernels, and what stands in where its library has none. */
#ifndef MOE_MACHINE_KERNELS_H
#define MOE_MACHINE_KERNELS_H

#include "hw/kernels.h"
#include "sim/machine/lower.h"
#include "sim/machine/plan.h"

/* Whatever share of an expert is read: the kernel is chosen by the whole of it. */
moe_kernel_wanted moe_wanted_experts(const moe_precision *bits, const moe_ffn *ffn);

/* A line (yours) in `out` for each kind of work that the plan's library has no kernel for: what is
 * taken instead. None of a run without a library. */
void moe_kernels_stand_in(const moe_plan *plan, GPtrArray *out);

#endif
