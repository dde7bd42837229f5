#include "sim/residency/residency.h"

#include "sim/policy/memory.h"

/* Slots that share one eviction state. Per-object arrays of the tier start at `base` for it. */
struct pool {
    const moe_evict_ops *evict;
    void *state;
    uint32_t base;
    uint32_t slots;          /* but those of experts that are always there */
    uint32_t occupied, held; /* of these; held: occupied and pinned */
    uint32_t most;           /* highest `occupied` ever: slots beyond were never filled */
};

enum {
    UNUSED = 1,  /* prefetched and not demanded since */
    FEEDING = 2, /* a load from here into the tier above is under way: one of its pins */
    ALWAYS = 4   /* there from the start, with a pin that is never undone; no policy knows it */
};

struct tier {
    struct pool *pools;
    uint8_t *where; /* per object: moe_where */
    uint8_t *flags;
    uint16_t *pins;
    uint32_t *pool;   /* per object: its pool */
    uint32_t *wasted; /* per object: see moe_residency_wasted */
    uint32_t pool_objects, n_pools;
    uint32_t occupied;
    moe_tier_counts counts;
};

/* A hit that its policy is told of when its turn comes: behind an admission still to be made. */
struct touch {
    uint32_t object, turn;
};

struct moe_residency {
    uint32_t n_objects, n_tiers;
    uint32_t *next_use;    /* per object: the view of policies with MOE_EVICT_NEXT_USE */
    uint32_t *turn;        /* per object: its place in the last group that had it */
    struct touch *touches; /* of the last group, in order; from..n are still to be made */
    uint32_t touches_from, n_touches;
    struct tier tiers[MOE_MAX_TIERS];
};

static void
pool_open(struct moe_residency *residency, struct tier *tier, uint32_t i,
          const moe_tier_config *config, const uint32_t *popularity)
{
    struct pool *pool = &tier->pools[i];
    moe_assert(pool->slots, "no slot of pool %u is free", i);
    pool->base = i * tier->pool_objects;
    pool->evict = config->evict.variant->ops;
    moe_evict_setup setup = {
        .n_objects = tier->pool_objects,
        .n_slots = pool->slots,
        .next_use = residency->next_use + pool->base,
        .popularity = popularity ? popularity + pool->base : NULL,
    };
    pool->state = pool->evict->open(&setup, config->evict.config);
}

/* Experts that are always in tier 0 take slots from their pools. */
static void
keep_always(struct tier *tier, const moe_residency_config *config)
{
    for (size_t i = 0; i < config->n_always; i++) {
        uint32_t object = config->always[i];
        moe_assert(tier->where[object] == MOE_ABSENT, "object %u is pinned twice", object);
        tier->where[object] = MOE_RESIDENT;
        tier->flags[object] = ALWAYS;
        tier->pins[object] = 1;
        tier->occupied++;
        tier->pools[tier->pool[object]].slots--;
    }
}

moe_residency *
moe_residency_new(const moe_residency_config *config)
{
    moe_assert(config->n_tiers <= MOE_MAX_TIERS, "%u tiers", config->n_tiers);
    moe_residency *residency = moe_policy_alloc(1, sizeof *residency);
    residency->n_objects = config->n_layers * config->n_experts;
    residency->n_tiers = config->n_tiers;
    residency->next_use = moe_policy_alloc(residency->n_objects, sizeof(uint32_t));
    residency->turn = moe_policy_alloc(residency->n_objects, sizeof(uint32_t));
    residency->touches = moe_policy_alloc(residency->n_objects, sizeof(struct touch));
    for (uint32_t t = 0; t < config->n_tiers; t++) {
        const moe_tier_config *tier_config = &config->tiers[t];
        struct tier *tier = &residency->tiers[t];
        moe_assert(tier_config->slots, "tier %u has no slots", t);
        bool per_layer = tier_config->scope == MOE_SCOPE_LAYER;
        tier->n_pools = per_layer ? config->n_layers : 1;
        tier->pool_objects = per_layer ? config->n_experts : residency->n_objects;
        tier->where = moe_policy_alloc(residency->n_objects, sizeof *tier->where);
        tier->flags = moe_policy_alloc(residency->n_objects, sizeof *tier->flags);
        tier->pins = moe_policy_alloc(residency->n_objects, sizeof *tier->pins);
        tier->pool = moe_policy_alloc(residency->n_objects, sizeof *tier->pool);
        tier->wasted = moe_policy_alloc(residency->n_objects, sizeof *tier->wasted);
        for (uint32_t i = 0; i < residency->n_objects; i++)
            tier->pool[i] = i / tier->pool_objects;
        tier->pools = moe_policy_alloc(tier->n_pools, sizeof *tier->pools);
        for (uint32_t i = 0; i < tier->n_pools; i++)
            tier->pools[i].slots = tier_config->slots;
        if (t == 0)
            keep_always(tier, config);
        for (uint32_t i = 0; i < tier->n_pools; i++)
            pool_open(residency, tier, i, tier_config, config->popularity);
    }
    return residency;
}

void
moe_residency_free(moe_residency *residency)
{
    if (!residency)
        return;
    for (uint32_t t = 0; t < residency->n_tiers; t++) {
        struct tier *tier = &residency->tiers[t];
        for (uint32_t i = 0; i < tier->n_pools; i++)
            tier->pools[i].evict->close(tier->pools[i].state);
        free(tier->pools);
        free(tier->where);
        free(tier->flags);
        free(tier->pins);
        free(tier->pool);
        free(tier->wasted);
    }
    free(residency->next_use);
    free(residency->turn);
    free(residency->touches);
    free(residency);
}

static inline struct pool *
pool_of(const struct tier *tier, uint32_t object)
{
    return &tier->pools[tier->pool[object]];
}

static inline void
pin(struct tier *tier, struct pool *pool, uint32_t object)
{
    moe_dassert(tier->pins[object] < UINT16_MAX, "object %u is pinned too often", object);
    pool->held += !tier->pins[object]++;
}

static inline void
unpin(struct tier *tier, struct pool *pool, uint32_t object)
{
    moe_dassert(tier->pins[object], "object %u is not pinned", object);
    pool->held -= !--tier->pins[object];
}

static moe_outcome
count_demand(struct tier *tier, uint32_t object)
{
    static const moe_outcome outcomes[] = {
        [MOE_ABSENT] = MOE_MISS, [MOE_IN_FLIGHT] = MOE_LATE, [MOE_RESIDENT] = MOE_HIT};
    moe_outcome outcome = outcomes[tier->where[object]];
    tier->counts.hits += outcome == MOE_HIT;
    tier->counts.late += outcome == MOE_LATE;
    tier->counts.misses += outcome == MOE_MISS;
    return outcome;
}

static void
touch(struct tier *tier, struct pool *pool, uint32_t object)
{
    pool->evict->hit(pool->state, object - pool->base);
}

/* Makes the touches whose turn is before `turn`. */
static inline void
touch_until(moe_residency *residency, uint32_t turn)
{
    struct tier *tier = &residency->tiers[0];
    while (residency->touches_from < residency->n_touches) {
        struct touch next = residency->touches[residency->touches_from];
        if (next.turn >= turn)
            return;
        residency->touches_from++;
        touch(tier, pool_of(tier, next.object), next.object);
    }
}

/* A prefetched object is demanded: on its way it was useful in the tiers below, too. */
static void
mark_used(moe_residency *residency, uint32_t object)
{
    for (uint32_t t = 0; t < residency->n_tiers; t++)
        residency->tiers[t].flags[object] &= (uint8_t)~UNUSED;
}

void
moe_residency_begin(moe_residency *residency, const uint32_t *objects, const uint32_t *next_use,
                    size_t n, uint8_t *outcomes)
{
    struct tier *tier = &residency->tiers[0];
    bool in_order = true; /* no miss so far: touches need not wait */
    touch_until(residency, MOE_NONE);
    residency->touches_from = residency->n_touches = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t object = objects[i];
        moe_dassert(object < residency->n_objects, "object %u", object);
        residency->next_use[object] = next_use ? next_use[i] : MOE_NONE;
        residency->turn[object] = (uint32_t)i;
        outcomes[i] = MOE_MISS;
        if (residency->n_tiers)
            outcomes[i] = (uint8_t)count_demand(tier, object);
        if (outcomes[i] == MOE_MISS) {
            in_order = false;
            continue;
        }
        if (tier->flags[object] & ALWAYS)
            continue;
        struct pool *pool = pool_of(tier, object);
        pin(tier, pool, object);
        if (tier->flags[object] & UNUSED)
            mark_used(residency, object);
        if (in_order)
            touch(tier, pool, object);
        else
            residency->touches[residency->n_touches++] = (struct touch){object, (uint32_t)i};
    }
}

/* The first tier that has the object or is getting it; n_tiers: only the home has. */
static uint32_t
find_source(const moe_residency *residency, uint32_t object)
{
    uint32_t t = 0;
    while (t < residency->n_tiers && residency->tiers[t].where[object] == MOE_ABSENT)
        t++;
    return t;
}

static moe_evict_bar
bar_of(const struct tier *tier, const struct pool *pool, const uint32_t *outlook, uint32_t limit)
{
    return (moe_evict_bar){tier->pins + pool->base, limit ? outlook + pool->base : NULL, limit};
}

/* Whether the pool could take one more object. */
static bool
has_room(const struct tier *tier, const struct pool *pool, const uint32_t *outlook, uint32_t limit)
{
    if (pool->occupied < pool->slots)
        return true;
    if (pool->held == pool->slots)
        return false;
    if (!limit)
        return true;
    moe_evict_bar bar = bar_of(tier, pool, outlook, limit);
    for (uint32_t i = 0; i < tier->pool_objects; i++)
        if (tier->where[pool->base + i] == MOE_RESIDENT && !moe_evict_barred(&bar, i))
            return true;
    return false;
}

static void
leave(struct tier *tier, struct pool *pool, uint32_t object)
{
    tier->where[object] = MOE_ABSENT;
    bool unused = tier->flags[object] & UNUSED;
    tier->counts.wasted += unused;
    tier->wasted[object] += unused;
    tier->flags[object] = 0;
    pool->occupied--;
    tier->occupied--;
}

/* Makes room if there is none; false when every resident is barred. */
static bool
evict(struct tier *tier, struct pool *pool, uint32_t object, const uint32_t *outlook,
      uint32_t limit, uint32_t *victim)
{
    *victim = MOE_NONE;
    if (pool->occupied < pool->slots)
        return true;
    if (pool->held == pool->slots)
        return false;
    moe_evict_bar bar = bar_of(tier, pool, outlook, limit);
    uint32_t local = pool->evict->victim(pool->state, object - pool->base, &bar);
    if (local == MOE_NONE)
        return false;
    *victim = pool->base + local;
    moe_dassert(tier->where[*victim] == MOE_RESIDENT && !tier->pins[*victim],
                "victim %u is absent, in flight or pinned", *victim);
    tier->counts.evictions++;
    leave(tier, pool, *victim);
    return true;
}

/* Takes a slot that is known to be free; in flight from now on. */
static void
enter(struct tier *tier, struct pool *pool, uint32_t object, bool prefetch)
{
    tier->where[object] = MOE_IN_FLIGHT;
    tier->flags[object] = prefetch ? UNUSED : 0;
    tier->counts.admits++;
    tier->counts.prefetches += prefetch;
    tier->occupied++;
    if (++pool->occupied > pool->most) {
        pool->most = pool->occupied;
        tier->counts.fills += !prefetch;
    }
    pool->evict->admit(pool->state, object - pool->base);
    pin(tier, pool, object);
}

/* Room in every tier that the object is loaded into, or no change at all. */
static bool
make_room(moe_residency *residency, uint32_t object, const uint32_t *outlook, uint32_t limit,
          moe_admission *admission)
{
    for (uint32_t t = 0; t < MOE_MAX_TIERS; t++)
        admission->victim[t] = MOE_NONE;
    for (uint32_t t = 1; t < admission->source; t++) {
        const struct tier *tier = &residency->tiers[t];
        if (!has_room(tier, pool_of(tier, object), outlook, limit))
            return false;
    }
    for (uint32_t t = 0; t < admission->source; t++) {
        struct tier *tier = &residency->tiers[t];
        if (!evict(tier, pool_of(tier, object), object, outlook, limit, &admission->victim[t]))
            return false;
    }
    return true;
}

static bool
admit(moe_residency *residency, uint32_t object, const uint32_t *outlook, uint32_t limit,
      bool prefetch, moe_admission *admission)
{
    admission->source = find_source(residency, object);
    moe_dassert(admission->source || !residency->n_tiers, "object %u is admitted twice", object);
    if (!make_room(residency, object, outlook, limit, admission))
        return false;
    for (uint32_t t = 0; t < admission->source; t++) {
        struct tier *tier = &residency->tiers[t];
        enter(tier, pool_of(tier, object), object, prefetch);
    }
    for (uint32_t t = 1; t < residency->n_tiers && t <= admission->source; t++) {
        struct tier *tier = &residency->tiers[t];
        tier->flags[object] |= FEEDING;
        pin(tier, pool_of(tier, object), object);
    }
    return true;
}

/* Tiers below the first meet a demand when it is loaded through them. */
static void
count_below(moe_residency *residency, uint32_t object, uint32_t source)
{
    for (uint32_t t = 1; t < source; t++)
        residency->tiers[t].counts.misses++;
    if (source < residency->n_tiers) {
        struct tier *tier = &residency->tiers[source];
        count_demand(tier, object);
        touch(tier, pool_of(tier, object), object);
        mark_used(residency, object);
    }
}

moe_admit
moe_residency_admit(moe_residency *residency, uint32_t object, moe_admission *admission)
{
    touch_until(residency, residency->turn[object]);
    if (!admit(residency, object, NULL, 0, false, admission))
        return MOE_ADMIT_WAIT;
    if (!residency->n_tiers)
        return MOE_ADMITTED;
    count_below(residency, object, admission->source);
    struct tier *tier = &residency->tiers[0];
    pin(tier, pool_of(tier, object), object);
    return MOE_ADMITTED;
}

moe_admit
moe_residency_prefetch(moe_residency *residency, uint32_t object, uint32_t next_use,
                       const uint32_t *outlook, uint32_t limit, moe_admission *admission)
{
    if (!residency->n_tiers)
        return MOE_ADMIT_REFUSED;
    touch_until(residency, MOE_NONE);
    uint32_t before = residency->next_use[object];
    residency->next_use[object] = next_use;
    if (admit(residency, object, outlook, limit, true, admission))
        return MOE_ADMITTED;
    residency->next_use[object] = before;
    residency->tiers[0].counts.refused++;
    return MOE_ADMIT_REFUSED;
}

static void
stop_feeding(moe_residency *residency, uint32_t t, uint32_t object)
{
    if (t >= residency->n_tiers)
        return;
    struct tier *tier = &residency->tiers[t];
    if (!(tier->flags[object] & FEEDING))
        return;
    tier->flags[object] &= (uint8_t)~FEEDING;
    unpin(tier, pool_of(tier, object), object);
}

void
moe_residency_arrived(moe_residency *residency, uint32_t t, uint32_t object)
{
    struct tier *tier = &residency->tiers[t];
    moe_dassert(tier->where[object] == MOE_IN_FLIGHT, "object %u arrives at tier %u unasked",
                object, t);
    tier->where[object] = MOE_RESIDENT;
    unpin(tier, pool_of(tier, object), object);
    stop_feeding(residency, t + 1, object);
}

void
moe_residency_release(moe_residency *residency, uint32_t object)
{
    struct tier *tier = &residency->tiers[0];
    touch_until(residency, residency->turn[object] + 1);
    if (residency->n_tiers && !(tier->flags[object] & ALWAYS))
        unpin(tier, pool_of(tier, object), object);
}

void
moe_residency_call_off(moe_residency *residency, uint32_t object)
{
    for (uint32_t t = 0; t < residency->n_tiers; t++) {
        struct tier *tier = &residency->tiers[t];
        struct pool *pool = pool_of(tier, object);
        stop_feeding(residency, t, object);
        if (tier->where[object] != MOE_IN_FLIGHT)
            continue;
        unpin(tier, pool, object);
        moe_dassert(!tier->pins[object], "object %u is called off while pinned", object);
        pool->evict->remove(pool->state, object - pool->base);
        leave(tier, pool, object);
    }
}

void
moe_residency_remove(moe_residency *residency, uint32_t object)
{
    struct tier *tier = &residency->tiers[0];
    struct pool *pool = pool_of(tier, object);
    moe_dassert(tier->where[object] != MOE_ABSENT, "object %u is not there to remove", object);
    if (tier->where[object] == MOE_IN_FLIGHT) {
        unpin(tier, pool, object);
        stop_feeding(residency, 1, object);
    }
    touch_until(residency, MOE_NONE);
    moe_dassert(!tier->pins[object], "object %u is removed while pinned", object);
    pool->evict->remove(pool->state, object - pool->base);
    leave(tier, pool, object);
}

moe_where
moe_residency_where(const moe_residency *residency, uint32_t tier, uint32_t object)
{
    return residency->tiers[tier].where[object];
}

bool
moe_residency_pinned(const moe_residency *residency, uint32_t object)
{
    return residency->tiers[0].pins[object];
}

uint32_t
moe_residency_occupied(const moe_residency *residency, uint32_t tier)
{
    return residency->tiers[tier].occupied;
}

const moe_tier_counts *
moe_residency_counts(const moe_residency *residency, uint32_t tier)
{
    return &residency->tiers[tier].counts;
}

uint32_t
moe_residency_wasted(const moe_residency *residency, uint32_t tier, uint32_t object)
{
    return residency->tiers[tier].wasted[object];
}

void
moe_residency_reset_counts(moe_residency *residency)
{
    for (uint32_t t = 0; t < residency->n_tiers; t++) {
        residency->tiers[t].counts = (moe_tier_counts){0};
        for (uint32_t i = 0; i < residency->n_objects; i++) {
            residency->tiers[t].flags[i] &= (uint8_t)~UNUSED;
            residency->tiers[t].wasted[i] = 0;
        }
    }
}
