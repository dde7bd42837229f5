/* arc: recency and frequency share the cache, and ghosts of the evicted move the boundary.
 *
 * T1 holds residents seen once lately, T2 those seen again; B1 and B2 remember (ids only) what
 * left them. A miss found in B1 says that T1 should be larger, one found in B2 that T2 should:
 * `target` is T1's wanted size, a real number. Invariants: T1 + T2 <= slots, T1 + B1 <= slots,
 * T1 + T2 + B1 + B2 <= 2 slots; an object is in at most one list.
 * All but `victim` with bars is O(1).
 *
 * Megiddo, Modha, ARC: a self-tuning, low overhead replacement cache, FAST 2003, figure 4. */
#include "sim/policy/evict/list.h"
#include "sim/policy/evict/replay.h"

enum { NOWHERE, B1, B2, T1, T2, LISTS = 4 };

struct arc {
    moe_link *links;
    uint8_t *where; /* per object */
    uint32_t ends;  /* list w has node ends + w */
    uint32_t slots;
    uint32_t t1, t2, b1, b2; /* sizes */
    uint32_t coming;         /* the object that `victim` made room for */
    uint8_t coming_to;
    double target;
};

static struct arc *
arc_open(const moe_evict_setup *setup, const void *config)
{
    struct arc *arc = moe_policy_alloc(1, sizeof *arc);
    arc->links = moe_list_new(setup->n_objects, LISTS);
    arc->where = moe_policy_alloc(setup->n_objects, 1);
    arc->ends = setup->n_objects - B1;
    arc->slots = setup->n_slots;
    arc->coming = MOE_NONE;
    return arc;
}

static void
arc_close(struct arc *arc)
{
    free(arc->links);
    free(arc->where);
    free(arc);
}

static inline bool
arc_holds(const struct arc *arc, uint32_t object)
{
    return arc->where[object] >= T1;
}

static inline void
arc_count(struct arc *arc, unsigned where, uint32_t change)
{
    arc->t1 += where == T1 ? change : 0;
    arc->t2 += where == T2 ? change : 0;
    arc->b1 += where == B1 ? change : 0;
    arc->b2 += where == B2 ? change : 0;
}

static inline void
arc_put(struct arc *arc, unsigned where, uint32_t object)
{
    arc->where[object] = (uint8_t)where;
    arc_count(arc, where, 1);
    moe_list_push(arc->links, arc->ends + where, object);
}

static inline void
arc_take(struct arc *arc, unsigned where, uint32_t object)
{
    arc->where[object] = NOWHERE;
    arc_count(arc, where, UINT32_MAX);
    moe_list_unlink(arc->links, object);
}

static inline void
arc_forget(struct arc *arc, unsigned ghosts)
{
    arc_take(arc, ghosts, moe_list_oldest(arc->links, arc->ends + ghosts));
}

static inline void
arc_hit(struct arc *arc, uint32_t object)
{
    arc_take(arc, arc->where[object], object);
    arc_put(arc, T2, object);
}

/* The oldest of the list that is not barred, or the list's own node. */
static inline uint32_t
arc_oldest(const struct arc *arc, unsigned where, const moe_evict_bar *bar)
{
    uint32_t end = arc->ends + where, object = moe_list_oldest(arc->links, end);
    while (object != end && moe_evict_barred(bar, object))
        object = arc->links[object].prev;
    return object;
}

static inline bool
arc_stuck(const struct arc *arc, const moe_evict_bar *bar)
{
    return bar && arc_oldest(arc, T1, bar) == arc->ends + T1 &&
           arc_oldest(arc, T2, bar) == arc->ends + T2;
}

/* A ghost hit moves the boundary and takes the ghost out; answers which list it was in. */
static inline unsigned
arc_recall(struct arc *arc, uint32_t object)
{
    unsigned ghost = arc->where[object];
    if (ghost == NOWHERE)
        return NOWHERE;
    double b1 = arc->b1, b2 = arc->b2, slots = arc->slots;
    if (ghost == B1) {
        double target = arc->target + (b2 > b1 ? b2 / b1 : 1);
        arc->target = target < slots ? target : slots;
    } else {
        double target = arc->target - (b1 > b2 ? b1 / b2 : 1);
        arc->target = target > 0 ? target : 0;
    }
    arc_take(arc, ghost, object);
    return ghost;
}

/* Figure 4's REPLACE; the other list has to help when all of the chosen one is barred. */
static inline uint32_t
arc_replace(struct arc *arc, bool ghost_of_t2, const moe_evict_bar *bar)
{
    bool first = arc->t1 && (arc->t1 > arc->target || (arc->t1 == arc->target && ghost_of_t2));
    unsigned from = first || !arc->t2 ? T1 : T2;
    uint32_t object = arc_oldest(arc, from, bar);
    if (object == arc->ends + from) {
        from = T1 + T2 - from;
        object = arc_oldest(arc, from, bar);
    }
    arc_take(arc, from, object);
    arc_put(arc, from == T1 ? B1 : B2, object);
    return object;
}

/* Figure 4's case IV, the part on ghosts: false when T1's oldest has to go without one. */
static inline bool
arc_trim(struct arc *arc)
{
    if (arc->t1 + arc->b1 >= arc->slots) {
        if (!arc->b1)
            return false;
        arc_forget(arc, B1);
        return true;
    }
    if (arc->t1 + arc->t2 + arc->b1 + arc->b2 >= 2 * arc->slots)
        arc_forget(arc, B2);
    return true;
}

static inline uint32_t
arc_victim(struct arc *arc, uint32_t incoming, const moe_evict_bar *bar)
{
    if (arc_stuck(arc, bar))
        return MOE_NONE;
    unsigned ghost = arc_recall(arc, incoming);
    arc->coming = incoming;
    arc->coming_to = ghost ? T2 : T1;
    if (!ghost && !arc_trim(arc)) {
        uint32_t object = arc_oldest(arc, T1, bar);
        arc_take(arc, T1, object);
        return object;
    }
    return arc_replace(arc, ghost == B2, bar);
}

static inline void
arc_admit(struct arc *arc, uint32_t object)
{
    if (arc->coming != object) {
        arc->coming_to = arc_recall(arc, object) ? T2 : T1;
        if (arc->coming_to == T1)
            arc_trim(arc);
    }
    arc->coming = MOE_NONE;
    arc_put(arc, arc->coming_to, object);
}

static inline void
arc_remove(struct arc *arc, uint32_t object)
{
    arc_take(arc, arc->where[object], object);
}

MOE_EVICT_ACCESS(arc)
MOE_EVICT_DEFINE(arc, 0)

const moe_variant moe_evict_arc = {
    .name = "arc",
    .help = "Split the cache between experts seen once and seen again, and move the boundary when "
            "an evicted one is asked for again (ARC).",
    .ops = &arc_ops,
};
