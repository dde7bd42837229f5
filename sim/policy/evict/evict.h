/* evict: who leaves?
 *
 * Contract. One state per pool of slots (a place, or a layer's share of it). Objects are numbered
 * 0..n_objects-1 within the pool. The residency (or a replay loop) keeps who is resident, counts
 * the slots and calls, for each access of `object`:
 *   resident:                     hit(object)
 *   absent, a slot free:          admit(object)
 *   absent, no slot free:         victim(object, bar), then admit(object) at once
 *   an admission is called off:   remove(object): it leaves without a trace in any ghost list
 * `victim` chooses a resident, takes it out of the policy's own order (into a ghost list if the
 * policy has one) and returns it; it walks past barred objects without side effects on them, and
 * returns MOE_NONE, with nothing changed at all, when every resident is barred. Only `hit`,
 * `victim`, `admit` and `remove` change the state; all are O(1) amortised or say otherwise.
 *
 * Future knowledge comes as a view: a policy with MOE_EVICT_NEXT_USE reads setup->next_use[object],
 * which before each hit or admit of `object` holds the time of its next use after that access
 * (MOE_NONE: never). One with MOE_EVICT_POPULARITY reads setup->popularity[object], counts of a
 * profiling slice, constant from open to close.
 *
 * Decisions are `static inline` in the policy's file; MOE_EVICT_DEFINE (replay.h) makes from them
 * both the descriptor's hooks and the tight loop `replay`, so that the two cannot differ. */
#ifndef MOE_POLICY_EVICT_EVICT_H
#define MOE_POLICY_EVICT_EVICT_H

#include "sim/base/param.h"

enum {
    MOE_EVICT_NEXT_USE = 1u << 0,
    MOE_EVICT_POPULARITY = 1u << 1,
};

typedef struct moe_evict_setup {
    uint32_t n_objects;
    uint32_t n_slots; /* >= 1 */
    const uint32_t *next_use;
    const uint32_t *popularity;
} moe_evict_setup;

/* Who must not leave: pinned objects, and (limit > 0) objects whose outlook is at or before
 * limit. */
typedef struct moe_evict_bar {
    const uint16_t *pins;
    const uint32_t *outlook; /* may be NULL when limit is 0 */
    uint32_t limit;
} moe_evict_bar;

static inline bool
moe_evict_barred(const moe_evict_bar *bar, uint32_t object)
{
    return bar && (bar->pins[object] || (bar->limit && bar->outlook[object] <= bar->limit));
}

/* A stream of accesses for `replay`: unit-size objects, one access at a time. */
typedef struct moe_evict_stream {
    const uint32_t *objects; /* n */
    size_t n;
} moe_evict_stream;

typedef struct moe_evict_ops {
    unsigned needs;
    void *(*open)(const moe_evict_setup *setup, const void *config);
    void (*close)(void *state);
    void (*hit)(void *state, uint32_t object);
    uint32_t (*victim)(void *state, uint32_t incoming, const moe_evict_bar *bar);
    void (*admit)(void *state, uint32_t object);
    void (*remove)(void *state, uint32_t object);
    /* Misses of the whole stream from an empty cache; *fills is how many of them filled a free
     * slot. Does not touch any state but its own; setup->next_use is not read: who looks ahead
     * finds the future in the stream. */
    uint64_t (*replay)(const moe_evict_setup *setup, const void *config,
                       const moe_evict_stream *stream, uint64_t *fills);
} moe_evict_ops;

#endif
