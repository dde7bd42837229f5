/* One cache of experts in words, outside of a scenario: what a command line says of it and what the
 * head of a decision log repeats. Names and meaning of the keys are those of `experts.cache`. */
#ifndef MOE_RESIDENCY_CACHE_H
#define MOE_RESIDENCY_CACHE_H

#include "sim/residency/residency.h"

typedef struct moe_cache {
    moe_amount capacity;
    int scope; /* moe_scope */
    moe_choice evict, predict, prefetch;
    double profile; /* share of the sequences whose popularity is known */
    int64_t seed;
} moe_cache;

extern const moe_param_table moe_cache_table;

/* Slots of each of `pools` equal pools, not rounded down: `amount` (a share, bytes of all pools, or
 * slots of each) of `n_objects` objects of `bytes` each. */
double moe_cache_slots(moe_amount amount, double n_objects, uint32_t pools, double bytes);

#endif
