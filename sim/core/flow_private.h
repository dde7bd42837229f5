/* The state of a flow network; private to flow*.c. Rates here are bytes per picosecond. */
#ifndef MOE_CORE_FLOW_PRIVATE_H
#define MOE_CORE_FLOW_PRIVATE_H

#include "sim/core/flow.h"

#include <math.h>

/* Levels within this of each other count as equal: an owner is as good as another. */
#define FLOW_EQUAL 1e-13
/* A flow that lacks less than this many picoseconds of service has finished. */
#define FLOW_SLACK_PS 1e-2

/* What relaxation reads and writes of other links, apart from the rest to stay in cache. */
typedef struct flow_hot {
    double level;  /* rate of the flows it owns; INFINITY: owns none */
    double guests; /* rates of the flows on it that others own, summed */
    double limit;  /* its bandwidth */
    uint32_t rank; /* place in `order`; MOE_NONE: owns none, or is a cap */
    bool fixed;    /* stands for a cap: its level never changes */
    bool dirty;    /* to be relaxed */
    bool raw;      /* its level was set by hand: guests may get more */
} flow_hot;

/* A group that this link owns; in a heap by `key`, the service at which its next flow ends. */
typedef struct flow_own {
    double key;
    uint32_t slot;
    uint32_t other; /* the other link of a path of two, else MOE_NONE */
} flow_own;

/* A group on this link that `owner` owns, or nobody yet (MOE_NONE). */
typedef struct flow_guest {
    uint32_t owner, slot;
} flow_guest;

typedef struct flow_link {
    double served; /* bytes that each own flow got by `since` less `early` */
    moe_time since;
    double early; /* picoseconds, below 1 */
    flow_own *own;
    flow_guest *guests;
    uint32_t n_own, own_room;
    uint32_t n_guests, guest_room;
    uint32_t own_weight; /* flows it owns */
    uint32_t weight;     /* flows that cross it */
    uint32_t active;     /* place in the list of links with flows */
    uint32_t rest;       /* flows without an owner, during a full solution */
} flow_link;

/* The flows of one path and cap: a slot for each of its links, the cap's included. */
typedef struct flow_group {
    double offset;   /* its service counter less its owner's; just its counter while unowned */
    uint32_t first;  /* slot */
    uint16_t n;      /* slots */
    bool single;     /* made for one flow with a cap of its own */
    uint32_t owner;  /* slot; MOE_NONE: nobody yet */
    uint32_t weight; /* flows */
    uint32_t root;   /* of the pairing heap of its flows by threshold */
} flow_group;

typedef struct flow_flow {
    double threshold; /* of its group's service counter */
    void *owner;
    uint32_t group;
    uint32_t child, next, prev; /* pairing heap; a first child's prev is its parent */
} flow_flow;

typedef struct flow_path {
    double rate; /* alone */
    uint32_t n;  /* links, without the cap's */
} flow_path;

struct moe_flows {
    flow_hot *hot;
    flow_link *links;
    uint32_t n_links, hot_room, link_room;
    flow_group *groups; /* a path's has the path's index until the first single one is made */
    uint32_t n_groups, group_room;
    uint32_t *slot_link;  /* a slot's link, */
    uint32_t *slot_group; /* its group, */
    uint32_t *slot_at;    /* and the group's index in the link's list */
    uint32_t n_slots, slot_link_room, slot_group_room, slot_at_room;
    flow_path *paths;
    uint32_t n_paths, path_room;
    flow_flow *flows;
    uint32_t n_flows, flow_room, free_flow;
    uint32_t *spare; /* single groups without a flow */
    uint32_t n_spare, spare_room;

    uint32_t *active; /* links with flows */
    moe_time *finish; /* of the first flow that the active link owns */
    uint32_t n_active, active_room, finish_room;
    uint32_t *order; /* owning links by level */
    uint32_t n_order, order_room;
    uint32_t *fresh; /* groups that had no owner when they were added */
    uint32_t n_fresh, fresh_room;
    uint32_t *loose; /* dirty links without a rank */
    uint32_t n_loose, loose_room;
    uint32_t *moving; /* groups about to change owner */
    uint32_t n_moving, moving_room;
    void *scratch; /* of a full solution */
    uint32_t scratch_room;
    uint32_t n_dirty;
    uint32_t lowest;   /* no dirty link has a lower rank */
    uint32_t relaxing; /* the link at work */
    moe_time at;       /* of the last solution */
    double early;      /* the flows that landed last had finished so long before, ps, below 1 */
    uint32_t changes;  /* flows started or gone since the last solution */
    uint32_t age;      /* solutions since the last complete one */
    bool changed;
    uint64_t relaxed, solved;
};

/* ---- flow_group.c: who owns what ---- */
uint32_t moe_flow_heap_meld(moe_flows *f, uint32_t a, uint32_t b);
uint32_t moe_flow_heap_remove(moe_flows *f, uint32_t root, uint32_t flow);
/* A group's service counter now. */
double moe_flow_counter(const moe_flows *f, const flow_group *group, moe_time now);
/* Advances a link's service counter to now; before any change of its level. */
void moe_flow_settle(moe_flows *f, uint32_t link, moe_time now);
void moe_flow_refinish(moe_flows *f, uint32_t link, moe_time now);
/* Marks a link that is neither dirty nor a cap to be relaxed, if that can change anything. */
void moe_flow_mark(moe_flows *f, uint32_t link);
/* Puts a link at its place in the order of levels, or takes it out. */
void moe_flow_rank(moe_flows *f, uint32_t link);
void moe_flow_unrank(moe_flows *f, uint32_t link);
/* A group's first flow came, its last went, or its weight changed by `delta`. */
void moe_flow_attach(moe_flows *f, uint32_t group);
void moe_flow_detach(moe_flows *f, uint32_t group, moe_time now);
void moe_flow_reweigh(moe_flows *f, uint32_t group, int32_t delta, moe_time now);
/* What becomes of a guest's link, and of its owner, when n of its flows landed in one pass. */
void moe_flow_guest_shrink(moe_flows *f, uint32_t slot, uint32_t n, double level, bool last);
void moe_flow_owner_shrink(moe_flows *f, uint32_t link, uint32_t n);
/* Gives an unowned group to the link of `slot`, whose level is finite; and takes it away. */
void moe_flow_assign(moe_flows *f, uint32_t group, uint32_t slot, moe_time now);
void moe_flow_unassign(moe_flows *f, uint32_t group, moe_time now);
/* Own entries: order the heap after entry i's key or place changed, or all of it. */
void moe_flow_own_place(moe_flows *f, flow_link *link, uint32_t i, flow_own entry);
void moe_flow_own_heapify(moe_flows *f, flow_link *link);

/* ---- flow_solve.c ---- */
void moe_flow_solve_all(moe_flows *f, moe_time now);
/* ---- flow_relax.c ---- */
bool moe_flow_relax(moe_flows *f, moe_time now);

static inline flow_group *
flow_slot_group(const moe_flows *f, uint32_t slot)
{
    return &f->groups[f->slot_group[slot]];
}

static inline void
flow_touch(moe_flows *f, uint32_t link)
{
    if (!f->hot[link].dirty && !f->hot[link].fixed)
        moe_flow_mark(f, link);
}

static inline uint32_t
flow_group_link(const moe_flows *f, const flow_group *group)
{
    return f->slot_link[group->owner];
}

#endif
