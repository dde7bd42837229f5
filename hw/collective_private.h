/* The parts of the collectives' costs. Private to hw/collective*.c. */
#ifndef MOE_HW_COLLECTIVE_PRIVATE_H
#define MOE_HW_COLLECTIVE_PRIVATE_H

#include "hw/collective.h"
#include "hw/cost_private.h"

/* Ranks, nodes of the innermost level, ranks of one node. */
typedef struct moe_shape {
    int64_t ranks, nodes, local;
} moe_shape;

static inline moe_shape
moe_collective_shape(const moe_collective *call)
{
    int64_t local = call->network->levels[0].ranks;
    if (local > call->ranks)
        local = call->ranks;
    return (moe_shape){call->ranks, (call->ranks + local - 1) / local, local};
}

/* A new phase at the end of the cost. */
moe_phase *moe_phase_add(moe_collective_cost *cost, const char *name, int level);
/* What is handed on at last, of `bytes` on a level. */
double moe_phase_last(double bytes, double depth, double chunk);

bool moe_collective_auto(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_ring(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_ring_ll(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_ring_ll128(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_tree(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_tree_ll(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_tree_ll128(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_nvls(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_hierarchical(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_pairs(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_2dh(const moe_collective *call, moe_collective_cost *cost);
bool moe_collective_engine(const moe_collective *call, moe_collective_cost *cost);

/* The row that NCCL's own estimates make the cheapest. */
const moe_collective_algorithm *moe_nccl_choice(const moe_collective *call);

#endif
