/* NVTX ranges of the execution core, in the domain "moesim": one around each step, one around each
 * stage of each layer, for whoever listens (libmoesim_inject.so, Nsight Systems). Without a
 * listener a range costs a few nanoseconds; built without NVTX's headers it is nothing.
 *
 * A step's text is "step", its payload (uint64) the step's number, its category 100 + phase. A
 * stage's text is its name, its category 1 + moe_stage, its payload the layer of the model; embed
 * and unembed belong to no layer and have none. Ranges of a thread nest. */
#ifndef MOE_PROFILER_RANGES_H
#define MOE_PROFILER_RANGES_H

#include "profiler/decoder.h"

/* Whether this build writes ranges at all. */
bool moe_ranges_built(void);
void moe_range_push_step(uint64_t step, moe_batch_phase phase);
void moe_range_push_stage(uint32_t layer, moe_stage stage);
void moe_range_pop(void);

#endif
