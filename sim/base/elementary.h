/* Logarithm and exponential that give the same bits on every machine: plain double arithmetic in a
 * fixed order, where libm's last digit differs from one to the next. For what is drawn at load
 * time; errors are below 2 units in the last place. */
#ifndef MOE_BASE_ELEMENTARY_H
#define MOE_BASE_ELEMENTARY_H

#include "sim/base/base.h"

/* Natural logarithm of x > 0, finite. */
double moe_ln(double x);
/* e^x; 0 below -745.2, infinite above 709.78. */
double moe_exp(double x);

#endif
