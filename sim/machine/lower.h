/* Lowering: the model's layers as stages with costs on the device, per step.
 *
 * A step is cut at its gates. Segment m is all the compute between the experts of MoE layer m-1
 * and the gate of MoE layer m (attention, dense layers, routers); segment n_moe is the rest, with
 * the output head. A segment is one task made of parts by cause. Segments whose layers are alike
 * share a pattern, so that a step costs as many evaluations as there are patterns. */
#ifndef MOE_MACHINE_LOWER_H
#define MOE_MACHINE_LOWER_H

#include "hw/cost.h"
#include "models/model.h"
#include "sim/core/time.h"
#include "sim/machine/schedule.h"

/* Causes of time, in the order in which they are registered with the engine. */
#define MOE_CAUSES(X)                                                                              \
    X(attention, COMPUTE)                                                                          \
    X(router, COMPUTE)                                                                             \
    X(experts, COMPUTE)                                                                            \
    X(shared, COMPUTE)                                                                             \
    X(dense, COMPUTE)                                                                              \
    X(head, COMPUTE)                                                                               \
    X(encoder, COMPUTE)                                                                            \
    X(launch, COMPUTE)                                                                             \
    X(overhead, COMPUTE)                                                                           \
    X(host_experts, COMPUTE)                                                                       \
    X(gate_readback, WAIT)
enum {
#define X(name, kind) MOE_CAUSE_##name,
    MOE_CAUSES(X)
#undef X
        MOE_N_CAUSES /* one cause per hop of the loads' route follows */
};

typedef struct moe_precision {
    double weights, experts, kv, activations; /* bits */
    /* Types of kernels for weights and experts with these activations; NULL: none is called so. */
    const char *weight_kernels, *expert_kernels;
} moe_precision;

/* Time of one segment in one step. */
typedef struct moe_segment {
    moe_time parts[MOE_N_CAUSES];
    moe_time total, gate; /* gate: its last router, for the block latency */
    double flops, bytes;
} moe_segment;

/* Simulated time of a cost, or of a part of one: whose length is not known any more, never ends. */
static inline moe_time
moe_time_of_cost(int64_t ps)
{
    return MOE_UNLIKELY(ps >= MOE_LONGEST) ? MOE_TIME_NEVER : ps;
}

typedef struct moe_lowering moe_lowering;

/* kernels: the library that the run uses, NULL: the device's own numbers alone. */
moe_lowering *moe_lowering_new(const moe_model *model, const moe_hardware *hw,
                               const moe_kernels *kernels, const moe_config *config,
                               const moe_schedule *schedule);
void moe_lowering_free(moe_lowering *lowering);
/* Computes the segments of `step`; valid until the next call. */
void moe_lowering_step(moe_lowering *lowering, uint32_t step);
const moe_segment *moe_lowering_segment(const moe_lowering *lowering, uint32_t m);
/* FLOPs per second of the fastest arithmetic that the run uses. */
double moe_lowering_peak(const moe_lowering *lowering);
/* Each stage of segment m in the current step with its formula, one line each. */
void moe_lowering_explain(const moe_lowering *lowering, uint32_t m, GString *out);

/* The stage of segment m that takes longest in the current step, by name, and what one layer of it
 * costs; both borrowed, the cost until the next step. */
const char *moe_lowering_longest(const moe_lowering *lowering, uint32_t m, const moe_cost **cost);

/* Experts of one MoE layer: n distinct ones, tokens[i] each. `size`: mean bytes of their weights as
 * a share of what the precision makes of them. */
moe_cost moe_lowering_experts(moe_lowering *lowering, uint32_t m, const uint32_t *tokens,
                              uint32_t n, double size);
/* The same on the host for one expert, activations moved there and back included. */
moe_cost moe_lowering_host(const moe_lowering *lowering, uint32_t m, uint32_t tokens, double size);
/* Shared experts of the layer in the current step; total_ps 0 without any. */
const moe_cost *moe_lowering_shared(const moe_lowering *lowering, uint32_t m);

moe_precision moe_lowering_precision(const moe_model *model, const moe_config *config);
int64_t moe_expert_bytes(const moe_model *model, const moe_config *config, uint32_t m);

#endif
