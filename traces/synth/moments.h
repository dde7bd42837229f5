/* Second moments of routing: how often two (layer, expert) cells are used by the same token, or by
 * two tokens of one sequence a given number of places apart.
 *
 * Cell i = layer * n_experts + expert. Matrices are [n][n], n = n_layers * n_experts, in single
 * precision and symmetric (the mean of both orders for a lag > 0). The first `from` tokens of each
 * sequence are left out. */
#ifndef MOE_TRACES_MOMENTS_H
#define MOE_TRACES_MOMENTS_H

#include "traces/stats/pick.h"

/* Uses per token of each cell, [n]; yours. */
double *moe_moments_uses(const moe_pick *pick, uint32_t from);
/* Covariance of use at `lag` (0: of one token); NULL: no memory. Yours. */
float *moe_moments_covariance(const moe_pick *pick, uint32_t from, uint32_t lag,
                              const double *uses);
/* The same of two tokens, one of each of two sequences that follow one another in the pick. */
float *moe_moments_neighbours(const moe_pick *pick, uint32_t from, const double *uses);
/* Per cell, how often it is used by a token and the one `lag` places before, less uses squared. */
void moe_moments_repeats(const moe_pick *pick, uint32_t from, uint32_t lag, double *repeats);

/* Turns covariances of use into correlations of normal variables that are above a threshold when
 * the cell is used (tetrachoric correlations): the r for which the joint probability agrees,
 *   cov(i, j) = density(t_i) density(t_j) sum over n >= 1 of r^n / n! He_n-1(t_i) He_n-1(t_j),
 * t = quantile(1 - uses), to TERMS terms; within -0.97 .. 0.97, and 0 for cells used less than
 * `fewest` times per token. In place. (K. Pearson, Phil. Trans. R. Soc. A 195, 1900.) */
void moe_moments_tetrachoric(float *covariance, const double *uses, size_t n, double fewest);

#endif
