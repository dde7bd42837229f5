/* Residency: which expert is in which tier. Logical decisions only: no clock, no I/O.
 *
 * Tiers are numbered fast to slow: tier 0 is the cache the device computes from; further tiers
 * stand between it and the home, which holds every object and is no tier here (number n_tiers).
 * Each tier has pools: one for all objects (scope model) or one per layer (scope layer). An object
 * loaded into tier i from beyond tier i+1 is admitted to i+1 on its way (inclusive).
 *
 * Life of an object in a tier: absent -> in flight (slot reserved when the load is issued) ->
 * resident -> absent. An object in flight or pinned is never a victim.
 *
 * A group of demands (DESIGN 5): begin tests all members against the state before and pins those
 * that are resident or in flight. The caller then admits the misses in order; admit answers
 * MOE_ADMIT_WAIT when every slot of the pool is pinned, and is called again once a member has been
 * released. release unpins a member when it is computed. The eviction policy meets the members in
 * order of first appearance, hits and misses alike: a hit is told to it before the next miss is
 * admitted, before the hit is released, and before any prefetch, removal or group that follows.
 * Objects that are always in tier 0 are hits that no policy is told of; they are never removed.
 * Counts are kept per tier; first-ever fills of free slots are counted apart. */
#ifndef MOE_RESIDENCY_RESIDENCY_H
#define MOE_RESIDENCY_RESIDENCY_H

#include "sim/policy/evict/evict.h"

#define MOE_MAX_TIERS 4

typedef enum moe_scope { MOE_SCOPE_MODEL, MOE_SCOPE_LAYER } moe_scope;
typedef enum moe_outcome { MOE_HIT, MOE_LATE, MOE_MISS } moe_outcome;
typedef enum moe_where { MOE_ABSENT, MOE_IN_FLIGHT, MOE_RESIDENT } moe_where;
typedef enum moe_admit { MOE_ADMITTED, MOE_ADMIT_WAIT, MOE_ADMIT_REFUSED } moe_admit;

typedef struct moe_tier_config {
    moe_scope scope;
    uint32_t slots; /* per pool: of the whole tier, or of each layer */
    moe_choice evict;
} moe_tier_config;

typedef struct moe_residency_config {
    uint32_t n_layers, n_experts;
    uint32_t n_tiers; /* 0..MOE_MAX_TIERS */
    moe_tier_config tiers[MOE_MAX_TIERS];
    const uint32_t *popularity; /* [n_layers * n_experts] or NULL */
    const uint32_t *always;     /* n_always objects that are in tier 0 from the start and never
                                   leave; at least one slot of each pool is left to the others */
    size_t n_always;
} moe_residency_config;

typedef struct moe_tier_counts {
    uint64_t hits, late, misses; /* demands, per distinct object of a group */
    uint64_t fills;              /* misses that took a free slot */
    uint64_t admits, evictions;
    uint64_t prefetches; /* admitted by prefetch */
    uint64_t refused;    /* prefetches refused: no free or unbarred slot */
    uint64_t wasted;     /* prefetched and gone (evicted, removed) without a demand */
} moe_tier_counts;

/* Where an admitted object comes from, and what had to go. */
typedef struct moe_admission {
    uint32_t source;                /* tier that holds it now; n_tiers: the home */
    uint32_t victim[MOE_MAX_TIERS]; /* object evicted from each tier below `source`, MOE_NONE */
} moe_admission;

typedef struct moe_residency moe_residency;

moe_residency *moe_residency_new(const moe_residency_config *config);
void moe_residency_free(moe_residency *residency);

/* Tests the n distinct objects of a group; outcomes[i] is tier 0's. next_use[i] (may be NULL) is
 * the group of each object's next use after this one. */
void moe_residency_begin(moe_residency *residency, const uint32_t *objects,
                         const uint32_t *next_use, size_t n, uint8_t *outcomes);
/* Admits a missed member: it is in flight and pinned. */
moe_admit moe_residency_admit(moe_residency *residency, uint32_t object, moe_admission *admission);
/* Admits by prefetch, unpinned but in flight: may only evict objects whose outlook is later than
 * `limit` (outlook by object; limit 0: any). Its next_use is the group it is wanted for. */
moe_admit moe_residency_prefetch(moe_residency *residency, uint32_t object, uint32_t next_use,
                                 const uint32_t *outlook, uint32_t limit, moe_admission *admission);
/* The load of `object` into `tier` is complete. */
void moe_residency_arrived(moe_residency *residency, uint32_t tier, uint32_t object);
/* A member is computed: unpins it in tier 0. */
void moe_residency_release(moe_residency *residency, uint32_t object);
/* Calls off an unpinned load: the object leaves every tier that it is on its way to. */
void moe_residency_call_off(moe_residency *residency, uint32_t object);
/* Takes an unpinned object out of tier 0 (a cancelled load, a layer's end with no retention). */
void moe_residency_remove(moe_residency *residency, uint32_t object);

moe_where moe_residency_where(const moe_residency *residency, uint32_t tier, uint32_t object);
bool moe_residency_pinned(const moe_residency *residency, uint32_t object);
uint32_t moe_residency_occupied(const moe_residency *residency, uint32_t tier);
const moe_tier_counts *moe_residency_counts(const moe_residency *residency, uint32_t tier);
/* How often `object` was prefetched into `tier` and left without a demand: `wasted`, by object. */
uint32_t moe_residency_wasted(const moe_residency *residency, uint32_t tier, uint32_t object);
/* Counters to zero (end of warm-up); what was prefetched before counts neither as used nor as
 * wasted. Residency is untouched. */
void moe_residency_reset_counts(moe_residency *residency);

#endif
