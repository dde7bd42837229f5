/* lru: the object that was used longest ago leaves.
 *
 * One list in order of last use. A hit and an admission both make the object the newest; the
 * victim is the oldest that is not barred. Invariant: an object is resident if and only if it is
 * in the list.
 *
 * Belady, A study of replacement algorithms for a virtual-storage computer, IBM Systems Journal
 * 5(2), 1966; Mattson et al., Evaluation techniques for storage hierarchies, 1970. */
#include "sim/policy/evict/list.h"
#include "sim/policy/evict/replay.h"

struct lru {
    moe_links links;
    uint32_t end;
};

static struct lru *
lru_open(const moe_evict_setup *setup, const void *config)
{
    struct lru *lru = moe_policy_alloc(1, sizeof *lru);
    lru->links = moe_list_open(setup->n_objects, 1);
    lru->end = setup->n_objects;
    return lru;
}

static void
lru_close(struct lru *lru)
{
    moe_list_close(&lru->links);
    free(lru);
}

static inline bool
lru_holds(const struct lru *lru, uint32_t object)
{
    return moe_list_holds(&lru->links, object);
}

static inline void
lru_hit(struct lru *lru, uint32_t object)
{
    moe_list_unlink(&lru->links, object);
    moe_list_push(&lru->links, lru->end, object);
}

static inline uint32_t
lru_victim(struct lru *lru, uint32_t incoming, const moe_evict_bar *bar)
{
    uint32_t oldest = moe_list_oldest(&lru->links, lru->end);
    while (oldest != lru->end && moe_evict_barred(bar, oldest))
        oldest = lru->links.prev[oldest];
    if (oldest == lru->end)
        return MOE_NONE;
    moe_list_drop(&lru->links, oldest);
    return oldest;
}

static inline void
lru_admit(struct lru *lru, uint32_t object)
{
    moe_list_push(&lru->links, lru->end, object);
}

static inline void
lru_remove(struct lru *lru, uint32_t object)
{
    moe_list_drop(&lru->links, object);
}

MOE_EVICT_ACCESS(lru)
MOE_EVICT_DEFINE(lru, 0)

const moe_variant moe_evict_lru = {
    .name = "lru",
    .help = "Evict the expert that was used longest ago.",
    .ops = &lru_ops,
};
