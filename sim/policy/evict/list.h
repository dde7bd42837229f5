/* Doubly linked lists by index, for policies: all objects of a pool share two arrays of links, in
 * which `end` is a list's own node (n_objects, n_objects + 1, …). An object is in at most one
 * list; next == MOE_NONE says in none. The newest stands behind `end`, the oldest before it.
 * Two arrays, since links are written singly and a wider read would wait for those writes. */
#ifndef MOE_POLICY_EVICT_LIST_H
#define MOE_POLICY_EVICT_LIST_H

#include "sim/policy/memory.h"

typedef struct moe_links {
    uint32_t *prev; /* towards the newest */
    uint32_t *next; /* towards the oldest */
} moe_links;

/* Links of n_objects objects in no list, and of n_lists empty lists. */
static inline moe_links
moe_list_open(uint32_t n_objects, uint32_t n_lists)
{
    size_t n = (size_t)n_objects + n_lists;
    moe_links links = {moe_policy_alloc(n, sizeof *links.prev),
                       moe_policy_alloc(n, sizeof *links.next)};
    for (uint32_t i = 0; i < n; i++) {
        links.prev[i] = i;
        links.next[i] = i < n_objects ? MOE_NONE : i;
    }
    return links;
}

static inline void
moe_list_close(moe_links *links)
{
    free(links->prev);
    free(links->next);
}

static inline bool
moe_list_holds(const moe_links *links, uint32_t object)
{
    return links->next[object] != MOE_NONE;
}

static inline uint32_t
moe_list_oldest(const moe_links *links, uint32_t end)
{
    return links->prev[end];
}

/* Links `object` in right behind `newer`. */
static inline void
moe_list_push_behind(moe_links *links, uint32_t newer, uint32_t object)
{
    uint32_t older = links->next[newer];
    links->prev[object] = newer;
    links->next[object] = older;
    links->prev[older] = object;
    links->next[newer] = object;
}

/* Links `object` in as the newest of the list `end`. */
static inline void
moe_list_push(moe_links *links, uint32_t end, uint32_t object)
{
    moe_list_push_behind(links, end, object);
}

/* Closes the gap around `object`; its own links are stale until it is pushed or dropped. */
static inline void
moe_list_unlink(moe_links *links, uint32_t object)
{
    uint32_t prev = links->prev[object], next = links->next[object];
    links->next[prev] = next;
    links->prev[next] = prev;
}

static inline void
moe_list_drop(moe_links *links, uint32_t object)
{
    moe_list_unlink(links, object);
    links->next[object] = MOE_NONE;
}

#endif
