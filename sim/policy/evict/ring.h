/* Queues in a ring, for policies: push and pop are O(1), taking from the middle moves what is
 * older by one place. Positions count from the oldest. */
#ifndef MOE_POLICY_EVICT_RING_H
#define MOE_POLICY_EVICT_RING_H

#include "sim/policy/evict/evict.h"
#include "sim/policy/memory.h"

typedef struct moe_ring {
    uint32_t *at;
    uint32_t mask;
    uint32_t first, last; /* running counts of what was popped and pushed */
} moe_ring;

static inline void
moe_ring_open(moe_ring *ring, uint32_t capacity)
{
    uint32_t size = 1;
    while (size < capacity)
        size *= 2;
    *ring = (moe_ring){.at = moe_policy_alloc(size, sizeof *ring->at), .mask = size - 1};
}

static inline void
moe_ring_close(moe_ring *ring)
{
    free(ring->at);
}

static inline uint32_t
moe_ring_count(const moe_ring *ring)
{
    return ring->last - ring->first;
}

static inline uint32_t *
moe_ring_place(const moe_ring *ring, uint32_t i)
{
    return &ring->at[(ring->first + i) & ring->mask];
}

static inline void
moe_ring_push(moe_ring *ring, uint32_t object)
{
    ring->at[ring->last++ & ring->mask] = object;
}

static inline uint32_t
moe_ring_pop(moe_ring *ring)
{
    return ring->at[ring->first++ & ring->mask];
}

/* Takes the i-th out; O(i). */
static inline uint32_t
moe_ring_take(moe_ring *ring, uint32_t i)
{
    uint32_t object = *moe_ring_place(ring, i);
    for (; i; i--)
        *moe_ring_place(ring, i) = *moe_ring_place(ring, i - 1);
    ring->first++;
    return object;
}

/* The place of `object`, MOE_NONE if it is not there; O(count). */
static inline uint32_t
moe_ring_find(const moe_ring *ring, uint32_t object)
{
    for (uint32_t i = 0; i < moe_ring_count(ring); i++)
        if (*moe_ring_place(ring, i) == object)
            return i;
    return MOE_NONE;
}

/* The place of the oldest from `i` on that is not barred, or the count; with no bar it is `i`. */
static inline uint32_t
moe_ring_free(const moe_ring *ring, uint32_t i, const moe_evict_bar *bar)
{
    uint32_t n = moe_ring_count(ring);
    while (i < n && moe_evict_barred(bar, *moe_ring_place(ring, i)))
        i++;
    return i;
}

#endif
