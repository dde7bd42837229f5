/* Bit allocation: a width per expert, so that the expected error is least at a given average width
 * (MC-MoE, arXiv 2410.06270). Per layer, with x_ij = 1 when expert i has width j,
 *     min sum_ij cost_ij x_ij   with   sum_j x_ij = 1,   sum_ij width_j x_ij <= n * average,
 * and each of the `each` widest widths used at least once. cost_ij = f_i^alpha w_i^beta e_ij^gamma.
 *
 * The paper solves it as an ILP. Its only coupling is one sum of small whole numbers, so it is
 * solved exactly by going over the sums (n * widths * sums steps): no solver is needed. */
#ifndef MOE_TRACES_TRANSFORM_BITS_H
#define MOE_TRACES_TRANSFORM_BITS_H

#include "sim/base/base.h"

#include <glib.h>

#define MOE_BITS_WIDTHS 8
#define MOE_BITS_WIDEST 16

typedef struct moe_bits_problem {
    uint32_t n;             /* experts */
    uint32_t n_widths;      /* at most MOE_BITS_WIDTHS */
    uint32_t each;          /* at most n_widths */
    uint32_t budget;        /* sum of the widths, at most */
    const uint32_t *widths; /* rising, at most MOE_BITS_WIDEST */
    const double *costs;    /* [n * n_widths], not negative */
} moe_bits_problem;

/* choice[n]: index into widths; among equal costs the wider width goes to the lower expert. Returns
 * the cost, INFINITY when the budget holds no such choice. */
double moe_bits_allocate(const moe_bits_problem *problem, uint32_t *choice);

#endif
