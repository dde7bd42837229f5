/* A run resolved: which place is what, how many slots each tier has, the way of each load, and
 * the memory account that proves it feasible before the first event. */
#ifndef MOE_MACHINE_PLAN_H
#define MOE_MACHINE_PLAN_H

#include "hw/hardware.h"
#include "models/model.h"
#include "sim/machine/config.h"
#include "sim/machine/schedule.h"
#include "sim/residency/residency.h"

#define MOE_MAX_HOPS 16 /* a way visits each place at most once; see hw/hardware.h */

typedef struct moe_account {
    int place;
    const char *name; /* "weights", "KV cache", "activations", "expert slots", "experts" */
    int64_t bytes;
} moe_account;

typedef struct moe_plan {
    const moe_config *config;
    const moe_model *model;
    const moe_hardware *hw;
    const moe_kernels *kernels; /* that the first device uses; NULL: its own numbers alone */
    const moe_schedule *schedule;
    int device_place, home_place;
    bool offloaded;   /* experts live elsewhere than the device */
    uint32_t n_tiers; /* 0 when not offloaded */
    moe_tier_config tiers[MOE_MAX_TIERS];
    int tier_place[MOE_MAX_TIERS + 1]; /* [n_tiers]: the home */
    uint32_t total_slots[MOE_MAX_TIERS];
    /* Links from tier_place[i + 1] to tier_place[i], in order. */
    int hops[MOE_MAX_TIERS][MOE_MAX_HOPS];
    int n_hops[MOE_MAX_TIERS];
    int64_t expert_bytes; /* of a slot: of the largest expert */
    int64_t least_bytes;  /* of the smallest expert that is there */
    double full_bytes;    /* of an expert of size 1 */
    const double *sizes;  /* per object, NULL: all 1; see schedule.h */
    uint32_t n_always;    /* objects that are always in the cache, in order of writing */
    uint32_t *always;     /* moe_plan_clear frees them */
    uint32_t n_objects;   /* experts that are there, in all layers */
    moe_account accounts[16];
    size_t n_accounts;
    bool energy; /* it is asked for, and all of its numbers are known */
} moe_plan;

/* Finds the place of a key in the scenario, for messages. */
typedef moe_loc moe_locate(const void *context, const char *key);

/* Fills *plan; false with located messages when the run cannot be. */
bool moe_plan_make(moe_plan *plan, const moe_config *config, const moe_model *model,
                   const moe_hardware *hw, const moe_schedule *schedule, moe_locate *locate,
                   const void *context, moe_diag *diag);
void moe_plan_clear(moe_plan *plan);
/* Bytes of an object, as loaded and as read. */
static inline int64_t
moe_plan_object_bytes(const moe_plan *plan, uint32_t object)
{
    return plan->sizes ? (int64_t)(plan->full_bytes * plan->sizes[object]) : plan->expert_bytes;
}

/* Mean size of n members of a group, which `which` picks from `objects` (NULL: the first n). */
double moe_plan_mean_size(const moe_plan *plan, const uint32_t *objects, const uint32_t *which,
                          uint32_t n);

/* Bytes of all accounts of a place but the expert slots. */
int64_t moe_plan_static_bytes(const moe_plan *plan, int place);
void moe_plan_describe(const moe_plan *plan, GString *out);

#endif
