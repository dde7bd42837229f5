/* What a machine takes for a measured row: each kind of row becomes a call of a cost function of
 * hw/, with the row's shape put in. One file a kind, profiler/predict_KIND.c. */
#ifndef MOE_PROFILER_PREDICT_H
#define MOE_PROFILER_PREDICT_H

#include "hw/cost.h"
#include "profiler/measured.h"

/* A machine whose numbers may be changed. */
typedef struct moe_candidate {
    moe_hardware hw;
    moe_device *devices;
    moe_hw_link *links;
    moe_level *levels;   /* of its network */
    moe_engine *engines; /* the same */
    int h2d, d2h, disk;  /* links by what a copy's direction says; -1: none */
    /* The kernel library that its first device uses; NULL: none. Its lists are the candidate's. */
    moe_kernels *kernels;
    moe_gemm_kernel *gemm;
    moe_expert_kernel *experts;
    moe_attention_kernel *attention;
    moe_operation_kernel *operations;
    /* What measuring adds to each call of plain launches and of a graph, where `bench` measured it
       (a row's source; NULL: nobody): events and the idle gap before them. The machine, which runs
       one kernel after another, knows no such time. */
    const char *bench;
    int64_t *call_ps;
} moe_candidate;

/* `kernels`: a library; what it has no kernel for is of the second one's. Both may be NULL: then
 * all is of the device's own numbers. */
void moe_candidate_init(moe_candidate *candidate, const moe_hardware *hw,
                        const moe_kernels *kernels, const moe_kernels *second);
void moe_candidate_copy(moe_candidate *to, const moe_candidate *from); /* numbers only */
void moe_candidate_clear(moe_candidate *candidate);

/* Microseconds, with what measuring adds; 0: the machine has no link, no network, no model for it.
 */
double moe_predict(const moe_candidate *candidate, const moe_measured_row *row);
/* The cost that it is from, without that; total_ps 0 where there is none. */
moe_cost moe_predict_cost(const moe_candidate *candidate, const moe_measured_row *row);

/* The same, kind by kind: `device` is the machine's first, as it is when its kernels are launched
 * as the row says (from a graph or not). */
typedef moe_cost moe_predict_fn(const moe_candidate *candidate, const moe_device *device,
                                const moe_measured_row *row);
moe_predict_fn moe_predict_launch, moe_predict_stream, moe_predict_gemm, moe_predict_experts,
    moe_predict_attention, moe_predict_copy, moe_predict_collective, moe_predict_operation;

/* The kernel that a row is of, as runs choose theirs (moe_device_gemm, moe_device_experts), its
 * name in the row counting too. Attention's is chosen by what it works on
 * (moe_device_attention). */
const moe_gemm_kernel *moe_predict_gemm_kernel(const moe_device *device,
                                               const moe_measured_row *row);
const moe_expert_kernel *moe_predict_expert_kernel(const moe_device *device,
                                                   const moe_measured_row *row);

/* Of a row of an operation: the one with the longest name that is a part of the row's, else the one
 * that is called what the operation is; NULL: none. */
const moe_operation_kernel *moe_predict_operation_kernel(const moe_device *device,
                                                         const moe_measured_row *row);

/* Whether a kernel of this type is one for such a row, not just the nearest that there is. */
bool moe_predict_is_of_type(int dtype, const moe_measured_row *row);

/* A collective row's bytes at the nominal rate of the busiest port, in microseconds; 0: nothing
 * foretells it, or it moves none. */
double moe_predict_wire(const moe_candidate *candidate, const moe_measured_row *row);

/* How a collective row's bytes would go: the name of its first phase (hw/collective.h), "tokens" of
 * exchanges; NULL: the machine has no network for it. */
const char *moe_predict_way(const moe_candidate *candidate, const moe_measured_row *row);
const moe_attention_kernel *moe_predict_attention_kernel(const moe_device *device,
                                                         const moe_measured_row *row);

/* The link that a row is a copy over, -1: none of the machine's. */
int moe_predict_link(const moe_candidate *candidate, const moe_measured_row *row);

#endif
