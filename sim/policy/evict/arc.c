/* arc: recency and frequency share the cache, and ghosts of the evicted move the boundary.
 *
 * T1 holds residents seen once lately, T2 those seen again; B1 and B2 remember (ids only) what
 * left them. A miss found in B1 says that T1 should be larger, one found in B2 that T2 should:
 * `target` is T1's wanted size, a real number. T1 and B1 are one list, newest first, and so are
 * T2 and B2: evicting T's oldest only moves the boundary between the two. Invariants: T1 + T2 <=
 * slots, T1 + B1 <= slots, all four <= 2 slots; an object is in at most one. All is O(1), but a
 * walk past barred objects.
 *
 * Megiddo, Modha, ARC: a self-tuning, low overhead replacement cache, FAST 2003, figure 4. */
#include "sim/policy/evict/list.h"
#include "sim/policy/evict/replay.h"

enum { NOWHERE, B1, B2, T1, T2 };

struct side {
    uint32_t end;    /* the list's own node */
    uint32_t oldest; /* of its residents; `end`: none */
    uint32_t residents, ghosts;
};

struct arc {
    moe_links links;
    uint8_t *where; /* per object */
    uint32_t slots;
    struct side once, again; /* T1 + B1, T2 + B2 */
    double target;
    uint32_t target_whole; /* floor(target) */
    bool target_is_whole;
    bool coming_again; /* of `coming`, which `victim` made room for: it was a ghost */
    uint32_t coming;
};

static struct arc *
arc_open(const moe_evict_setup *setup, const void *config)
{
    struct arc *arc = moe_policy_alloc(1, sizeof *arc);
    arc->links = moe_list_open(setup->n_objects, 2);
    arc->where = moe_policy_alloc(setup->n_objects, 1);
    arc->slots = setup->n_slots;
    arc->once.end = arc->once.oldest = setup->n_objects;
    arc->again.end = arc->again.oldest = setup->n_objects + 1;
    arc->target_is_whole = true;
    arc->coming = MOE_NONE;
    return arc;
}

static void
arc_close(struct arc *arc)
{
    moe_list_close(&arc->links);
    free(arc->where);
    free(arc);
}

static inline bool
arc_holds(const struct arc *arc, uint32_t object)
{
    return arc->where[object] >= T1;
}

static inline void
arc_push(struct arc *arc, struct side *side, uint32_t object)
{
    moe_list_push(&arc->links, side->end, object);
    side->oldest = side->oldest == side->end ? object : side->oldest;
    side->residents++;
}

/* Out of its list, whichever of the two resident ones it is in. */
static inline void
arc_take(struct arc *arc, uint32_t object)
{
    uint32_t newer = arc->links.prev[object];
    bool first = arc->where[object] == T1;
    arc->once.oldest = arc->once.oldest == object ? newer : arc->once.oldest;
    arc->again.oldest = arc->again.oldest == object ? newer : arc->again.oldest;
    arc->once.residents -= first;
    arc->again.residents -= !first;
    moe_list_unlink(&arc->links, object);
}

static inline void
arc_hit(struct arc *arc, uint32_t object)
{
    arc_take(arc, object);
    arc->where[object] = T2;
    arc_push(arc, &arc->again, object);
}

static inline void
arc_forget(struct arc *arc, struct side *side)
{
    uint32_t ghost = moe_list_oldest(&arc->links, side->end);
    arc->where[ghost] = NOWHERE;
    side->ghosts--;
    moe_list_unlink(&arc->links, ghost);
}

/* The oldest resident that is not barred, or the list's own node. */
static inline uint32_t
arc_oldest(const struct arc *arc, const struct side *side, const moe_evict_bar *bar)
{
    uint32_t object = side->oldest;
    while (bar && object != side->end && moe_evict_barred(bar, object))
        object = arc->links.prev[object];
    return object;
}

/* If the object is a ghost: moves the boundary, by how much shorter its list is than the other
 * (before it is taken out), and takes it out. */
static inline unsigned
arc_recall(struct arc *arc, uint32_t object)
{
    unsigned ghost = arc->where[object];
    if (ghost == NOWHERE)
        return NOWHERE;
    double b1 = arc->once.ghosts, b2 = arc->again.ghosts, slots = arc->slots;
    if (ghost == B1) {
        double target = arc->target + (b2 > b1 ? b2 / b1 : 1);
        arc->target = target < slots ? target : slots;
        arc->once.ghosts--;
    } else {
        double target = arc->target - (b1 > b2 ? b1 / b2 : 1);
        arc->target = target > 0 ? target : 0;
        arc->again.ghosts--;
    }
    arc->target_whole = (uint32_t)arc->target;
    arc->target_is_whole = arc->target_whole == arc->target;
    arc->where[object] = NOWHERE;
    moe_list_unlink(&arc->links, object);
    return ghost;
}

/* Makes a resident the newest ghost of its side. */
static inline void
arc_bury(struct arc *arc, struct side *side, uint32_t object, unsigned ghost)
{
    arc->where[object] = (uint8_t)ghost;
    side->residents--;
    side->ghosts++;
    if (MOE_LIKELY(object == side->oldest)) {
        side->oldest = arc->links.prev[object];
        return;
    }
    moe_list_unlink(&arc->links, object);
    moe_list_push_behind(&arc->links, side->oldest, object);
}

/* Figure 4's REPLACE; the other list has to help when all of the chosen one is barred. */
static inline uint32_t
arc_replace(struct arc *arc, bool ghost_of_t2, const moe_evict_bar *bar)
{
    uint32_t t1 = arc->once.residents;
    bool first = t1 > arc->target_whole ||
                 (t1 && t1 == arc->target_whole && arc->target_is_whole && ghost_of_t2) ||
                 !arc->again.residents;
    if (bar) {
        struct side *chosen = first ? &arc->once : &arc->again;
        first ^= arc_oldest(arc, chosen, bar) == chosen->end;
    }
    uint32_t object;
    if (first) {
        object = arc_oldest(arc, &arc->once, bar);
        arc_bury(arc, &arc->once, object, B1);
    } else {
        object = arc_oldest(arc, &arc->again, bar);
        arc_bury(arc, &arc->again, object, B2);
    }
    return object;
}

/* Figure 4's case IV, the part on ghosts: false when T1's oldest has to go without one. */
static inline bool
arc_trim(struct arc *arc)
{
    uint32_t once = arc->once.residents + arc->once.ghosts;
    if (once >= arc->slots) {
        if (!arc->once.ghosts)
            return false;
        arc_forget(arc, &arc->once);
    } else if (once + arc->again.residents + arc->again.ghosts >= 2 * arc->slots) {
        arc_forget(arc, &arc->again);
    }
    return true;
}

static inline uint32_t
arc_victim(struct arc *arc, uint32_t incoming, const moe_evict_bar *bar)
{
    if (bar && arc_oldest(arc, &arc->once, bar) == arc->once.end &&
        arc_oldest(arc, &arc->again, bar) == arc->again.end)
        return MOE_NONE;
    unsigned ghost = arc_recall(arc, incoming);
    arc->coming = incoming;
    arc->coming_again = ghost;
    if (!ghost && !arc_trim(arc)) {
        uint32_t object = arc_oldest(arc, &arc->once, bar);
        arc_take(arc, object);
        arc->where[object] = NOWHERE;
        return object;
    }
    return arc_replace(arc, ghost == B2, bar);
}

static inline void
arc_admit(struct arc *arc, uint32_t object)
{
    if (arc->coming != object) {
        arc->coming_again = arc_recall(arc, object);
        if (!arc->coming_again)
            arc_trim(arc);
    }
    arc->coming = MOE_NONE;
    if (arc->coming_again) {
        arc->where[object] = T2;
        arc_push(arc, &arc->again, object);
    } else {
        arc->where[object] = T1;
        arc_push(arc, &arc->once, object);
    }
}

static inline void
arc_remove(struct arc *arc, uint32_t object)
{
    arc_take(arc, object);
    arc->where[object] = NOWHERE;
}

MOE_EVICT_ACCESS(arc)
MOE_EVICT_DEFINE(arc, 0)

const moe_variant moe_evict_arc = {
    .name = "arc",
    .help = "Split the cache between experts seen once and seen again, and move the boundary when "
            "an evicted one is asked for again (ARC).",
    .ops = &arc_ops,
};
