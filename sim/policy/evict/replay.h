/* From a policy's decisions to its descriptor and its tight loop.
 *
 * A policy's file has `struct NAME` and the static functions
 *     struct NAME *NAME_open(const moe_evict_setup *, const void *config)
 *     void NAME_close(struct NAME *)
 * and as `static inline`, so that both the hooks and the loop are made of the same code,
 *     bool NAME_holds(const struct NAME *, uint32_t object)     is it resident?
 *     void NAME_hit(struct NAME *, uint32_t object)
 *     uint32_t NAME_victim(struct NAME *, uint32_t incoming, const moe_evict_bar *)
 *     void NAME_admit(struct NAME *, uint32_t object)
 *     void NAME_remove(struct NAME *, uint32_t object)
 *     bool NAME_access(struct NAME *, uint32_t object)          one access to a full cache with
 *         nothing barred; true: it was absent. MOE_EVICT_ACCESS(NAME) writes it out of the others;
 *         a policy whose hit and miss change the same few words writes one without branches.
 * MOE_EVICT_DEFINE(NAME, needs) then defines `NAME_ops`. A property test compares the loop with
 * the hooks, access by access. */
#ifndef MOE_POLICY_EVICT_REPLAY_H
#define MOE_POLICY_EVICT_REPLAY_H

#include "sim/policy/evict/evict.h"
#include "sim/policy/memory.h"

#define MOE_EVICT_ACCESS(NAME)                                                                     \
    static inline bool NAME##_access(struct NAME *state, uint32_t object)                          \
    {                                                                                              \
        if (NAME##_holds(state, object)) {                                                         \
            NAME##_hit(state, object);                                                             \
            return false;                                                                          \
        }                                                                                          \
        NAME##_victim(state, object, NULL);                                                        \
        NAME##_admit(state, object);                                                               \
        return true;                                                                               \
    }

/* The hooks alone, for a policy that has a replay of its own (NAME_replay). */
#define MOE_EVICT_HOOKS(NAME, needs_)                                                              \
    static void *NAME##_hook_open(const moe_evict_setup *setup, const void *config)                \
    {                                                                                              \
        return NAME##_open(setup, config);                                                         \
    }                                                                                              \
    static void NAME##_hook_close(void *state)                                                     \
    {                                                                                              \
        NAME##_close(state);                                                                       \
    }                                                                                              \
    static void NAME##_hook_hit(void *state, uint32_t object)                                      \
    {                                                                                              \
        NAME##_hit(state, object);                                                                 \
    }                                                                                              \
    static uint32_t NAME##_hook_victim(void *state, uint32_t incoming, const moe_evict_bar *bar)   \
    {                                                                                              \
        return NAME##_victim(state, incoming, bar);                                                \
    }                                                                                              \
    static void NAME##_hook_admit(void *state, uint32_t object)                                    \
    {                                                                                              \
        NAME##_admit(state, object);                                                               \
    }                                                                                              \
    static void NAME##_hook_remove(void *state, uint32_t object)                                   \
    {                                                                                              \
        NAME##_remove(state, object);                                                              \
    }                                                                                              \
    static const moe_evict_ops NAME##_ops = {                                                      \
        .needs = needs_,                                                                           \
        .open = NAME##_hook_open,                                                                  \
        .close = NAME##_hook_close,                                                                \
        .hit = NAME##_hook_hit,                                                                    \
        .victim = NAME##_hook_victim,                                                              \
        .admit = NAME##_hook_admit,                                                                \
        .remove = NAME##_hook_remove,                                                              \
        .replay = NAME##_replay,                                                                   \
    };

/* The loop works on a copy of the state, so that its scalars live in registers. */
#define MOE_EVICT_DEFINE(NAME, needs_)                                                             \
    __attribute__((flatten)) static uint64_t NAME##_replay(                                        \
        const moe_evict_setup *setup, const void *config, const moe_evict_stream *stream,          \
        uint64_t *fills)                                                                           \
    {                                                                                              \
        struct NAME *opened = NAME##_open(setup, config);                                          \
        struct NAME state = *opened;                                                               \
        const uint32_t *objects = stream->objects;                                                 \
        size_t n = stream->n, i = 0;                                                               \
        uint64_t misses = 0;                                                                       \
        for (; i < n && misses < setup->n_slots; i++) {                                            \
            if (NAME##_holds(&state, objects[i])) {                                                \
                NAME##_hit(&state, objects[i]);                                                    \
                continue;                                                                          \
            }                                                                                      \
            NAME##_admit(&state, objects[i]);                                                      \
            misses++;                                                                              \
        }                                                                                          \
        *fills = misses;                                                                           \
        for (; i < n; i++)                                                                         \
            misses += NAME##_access(&state, objects[i]);                                           \
        *opened = state;                                                                           \
        NAME##_close(opened);                                                                      \
        return misses;                                                                             \
    }                                                                                              \
    MOE_EVICT_HOOKS(NAME, needs_)

#endif
