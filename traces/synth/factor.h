/* The largest eigenvectors of a symmetric matrix, by subspace iteration with Rayleigh-Ritz steps
 * (Golub, Van Loan: Matrix Computations, 4th ed., 8.2.4 and 8.3.1), and what is made of them. */
#ifndef MOE_TRACES_FACTOR_H
#define MOE_TRACES_FACTOR_H

#include "sim/base/base.h"

/* loadings[rank][n]: matrix ~ sum over r of loadings[r] loadings[r]', the best of its rank with
 * no negative eigenvalue; numbers that find none are 0. */
void moe_factor(const float *matrix, size_t n, uint32_t rank, float *loadings);
/* The same when the diagonal of the matrix is unknown: it is taken from the loadings, at most
 * most[i], again and again (principal axes; H. H. Harman: Modern Factor Analysis, 1960). Writes
 * the diagonal. */
void moe_factor_open(float *matrix, size_t n, uint32_t rank, const float *most, float *loadings);
/* matrix -= scale * sum over r of loadings[r] loadings[r]'. */
void moe_factor_subtract(float *matrix, size_t n, uint32_t rank, const float *loadings,
                         float scale);

#endif
