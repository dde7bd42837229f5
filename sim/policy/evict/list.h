/* Doubly linked lists by index, for policies: all objects of a pool share one array of links, in
 * which `end` is a list's own node (n_objects, n_objects + 1, …). An object is in at most one
 * list; next == MOE_NONE says in none. The newest stands behind `end`, the oldest before it. */
#ifndef MOE_POLICY_EVICT_LIST_H
#define MOE_POLICY_EVICT_LIST_H

#include "sim/policy/memory.h"

typedef struct moe_link {
    uint32_t prev, next; /* towards the newest, towards the oldest */
} moe_link;

/* Links of n_objects objects in no list, and of n_lists empty lists. */
static inline moe_link *
moe_list_new(uint32_t n_objects, uint32_t n_lists)
{
    moe_link *links = moe_policy_alloc((size_t)n_objects + n_lists, sizeof *links);
    for (uint32_t i = 0; i < n_objects; i++)
        links[i] = (moe_link){MOE_NONE, MOE_NONE};
    for (uint32_t end = n_objects; end < n_objects + n_lists; end++)
        links[end] = (moe_link){end, end};
    return links;
}

static inline bool
moe_list_holds(const moe_link *links, uint32_t object)
{
    return links[object].next != MOE_NONE;
}

static inline uint32_t
moe_list_oldest(const moe_link *links, uint32_t end)
{
    return links[end].prev;
}

/* Links `object` in as the newest of the list `end`. */
static inline void
moe_list_push(moe_link *links, uint32_t end, uint32_t object)
{
    uint32_t newest = links[end].next;
    links[object] = (moe_link){end, newest};
    links[newest].prev = object;
    links[end].next = object;
}

/* Closes the gap around `object`; its own links are stale until it is pushed or dropped. */
static inline void
moe_list_unlink(moe_link *links, uint32_t object)
{
    moe_link link = links[object];
    links[link.prev].next = link.next;
    links[link.next].prev = link.prev;
}

static inline void
moe_list_drop(moe_link *links, uint32_t object)
{
    moe_list_unlink(links, object);
    links[object].next = MOE_NONE;
}

#endif
