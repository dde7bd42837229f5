/* What the cost functions share. Private to hw/. */
#ifndef MOE_HW_COST_PRIVATE_H
#define MOE_HW_COST_PRIVATE_H

#include "hw/cost.h"

/* Bandwidth of the shared cache in that of the memory (A100: 5.48 TB/s of 2.04 TB/s,
 * te42kyfo/gpu-benches@1c36d50 gpu-l2-cache). */
#define MOE_CACHE_SPEED 2.7

/* "launch + max(bytes / bandwidth, flops / rate) + decode + passes" */
extern const char moe_roofline[];

/* Picoseconds, rounded up; beyond 2^62 (53 days) the time is taken as that. */
int64_t moe_picoseconds(double seconds);
/* Fills in the times from the amounts and rates that are already there. */
moe_cost moe_cost_finish(moe_cost cost);
/* What decoding `params` weights costs for a kernel of type `dtype`; nothing when it takes them as
 * they are, or decoding is free. */
void moe_cost_decode(moe_cost *cost, const moe_device *device, int dtype, double params,
                     double weight_bits, double activation_bits);
/* A share of the bandwidth of the memory that the device computes from. */
double moe_streaming_rate(const moe_hardware *hw, const moe_device *device, double efficiency);

static inline int64_t
moe_add_times(int64_t a, int64_t b)
{
    return a > MOE_LONGEST - b ? MOE_LONGEST : a + b;
}

static inline int64_t
moe_times(int64_t ps, double n)
{
    double product = (double)ps * n;
    return product < (double)MOE_LONGEST ? (int64_t)product : MOE_LONGEST;
}

static inline double
moe_ratio(double amount, double rate)
{
    return amount > 0 ? amount / rate : 0;
}

static inline double
moe_larger(double a, double b)
{
    return a > b ? a : b;
}

static inline double
moe_smaller(double a, double b)
{
    return a < b ? a : b;
}

#endif
