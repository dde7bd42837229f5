/* Gaps between arrivals, drawn from a stream: the same seed gives the same gaps on every machine.
 */
#ifndef MOE_TRACES_REQUESTS_RENEWAL_H
#define MOE_TRACES_REQUESTS_RENEWAL_H

#include "sim/base/random.h"

typedef enum moe_gap_family { MOE_GAP_GAMMA, MOE_GAP_WEIBULL, MOE_GAP_FAMILIES } moe_gap_family;

extern const char *const moe_gap_family_names[MOE_GAP_FAMILIES]; /* "Gamma", "Weibull" */

/* A gap of the family with the given shape > 0, in units of its scale; may round to 0. */
double moe_gap_draw(moe_gap_family family, double shape, moe_stream *stream);

/* n arrivals of a renewal process in a window of length 1, given that n fall into it: the sums of n
 * gaps over the sum of n + 1, so that the scale does not matter. Rising, 0 <= at[i] <= 1. */
void moe_renewal_fill(moe_gap_family family, double shape, moe_stream *stream, double *at,
                      size_t n);

#endif
