/* The standard normal distribution, in plain double arithmetic: the same bits on every machine. */
#ifndef MOE_TRACES_NORMAL_H
#define MOE_TRACES_NORMAL_H

#include "sim/base/random.h"

#define MOE_NORMAL_BITS 12
#define MOE_NORMAL_SIZE (1u << MOE_NORMAL_BITS)

double moe_normal_density(double x);
/* P(X <= x); exact to 1e-14 for |x| <= 7, cut to 0 and 1 beyond. */
double moe_normal_below(double x);
/* The x with P(X <= x) = p, for 0 < p < 1; within 1e-12 of it, and within -7 .. 7. */
double moe_normal_quantile(double p);

/* table[i] is the mean of the i-th of MOE_NORMAL_SIZE equally likely slices, scaled so that the
 * variance of a uniformly chosen entry is 1: a draw costs MOE_NORMAL_BITS random bits. */
void moe_normal_table(float table[MOE_NORMAL_SIZE]);

#endif
