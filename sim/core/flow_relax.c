/* The change of a few groups, worked in link by link.
 *
 * A link's level is right when it is full with its own groups at that level and its guests at
 * their owners', no own group would get less elsewhere, and no guest gets more than the level.
 * When that holds for every link, rates are max-min fair. A link at which it may have ceased to
 * hold is dirty. Relaxing one makes it right, given the others, and dirties those that see a
 * change. What changes at one level changes others above it only, so the lowest goes first, and
 * most links are relaxed once. */
#include "sim/core/flow_private.h"
#include "sim/core/grow.h"

#include "sim/base/poison.h"

/* Changes below this share of a level are not passed on (nor lost: the level stays as it was). */
#define RELAX_NOISE 1e-15

static double
relax_level(const moe_flows *f, uint32_t link)
{
    const flow_hot *hot = &f->hot[link];
    double room = hot->limit - hot->guests;
    return (room > 0 ? room : hot->limit * 0x1p-60) / f->links[link].own_weight;
}

/* The slot, other than the owner's, with the lowest level. */
static uint32_t
relax_lowest(const moe_flows *f, const flow_group *group)
{
    uint32_t best = MOE_NONE;
    for (uint32_t slot = group->first; slot < group->first + group->n; slot++) {
        if (slot != group->owner && (best == MOE_NONE || f->hot[f->slot_link[slot]].level <
                                                             f->hot[f->slot_link[best]].level))
            best = slot;
    }
    return best;
}

/* What an own group would get if the link did not limit it. */
static inline double
relax_elsewhere(const moe_flows *f, const flow_hot *hot, const flow_own *own)
{
    if (MOE_LIKELY(own->other != MOE_NONE))
        return hot[own->other].level;
    uint32_t slot = relax_lowest(f, flow_slot_group(f, own->slot));
    return slot == MOE_NONE ? INFINITY : hot[f->slot_link[slot]].level;
}

static void
relax_collect(moe_flows *f, uint32_t slot)
{
    moe_grow(&f->moving, &f->moving_room, f->n_moving + 1, sizeof *f->moving);
    f->moving[f->n_moving++] = slot;
}

/* Gives away own groups that get less than `level` elsewhere; returns whether there were any. */
static bool
relax_give(moe_flows *f, uint32_t link, double level, moe_time now)
{
    const flow_own *own = f->links[link].own, *end = own + f->links[link].n_own;
    const flow_hot *hot = f->hot;
    double bound = level * (1 - FLOW_EQUAL);
    f->n_moving = 0;
    for (; own < end; own++) {
        if (MOE_UNLIKELY(relax_elsewhere(f, hot, own) < bound))
            relax_collect(f, own->slot);
    }
    for (uint32_t i = 0; i < f->n_moving; i++) {
        uint32_t group = f->slot_group[f->moving[i]], to = relax_lowest(f, &f->groups[group]);
        moe_flow_unassign(f, group, now);
        moe_flow_assign(f, group, to, now);
    }
    return f->n_moving > 0;
}

/* Takes over guests that get more than `level`. */
static bool
relax_take(moe_flows *f, uint32_t link, double level, moe_time now)
{
    const flow_guest *guest = f->links[link].guests, *end = guest + f->links[link].n_guests;
    const flow_hot *hot = f->hot;
    double bound = level * (1 + FLOW_EQUAL);
    f->n_moving = 0;
    for (; guest < end; guest++) {
        if (MOE_UNLIKELY(hot[guest->owner].level > bound))
            relax_collect(f, guest->slot);
    }
    for (uint32_t i = 0; i < f->n_moving; i++) {
        moe_flow_unassign(f, f->slot_group[f->moving[i]], now);
        moe_flow_assign(f, f->slot_group[f->moving[i]], f->moving[i], now);
    }
    return f->n_moving > 0;
}

/* The level at which all flows of the link fill it, each getting no more than elsewhere; for a
 * link that owns none yet. Newton's steps on a concave function, from below. */
static double
relax_fill(const moe_flows *f, uint32_t link)
{
    const flow_link *at = &f->links[link];
    double level = f->hot[link].limit / at->weight;
    for (;;) {
        double below = 0;
        uint32_t above = 0;
        for (uint32_t i = 0; i < at->n_guests; i++) {
            double rate = f->hot[at->guests[i].owner].level;
            uint32_t weight = flow_slot_group(f, at->guests[i].slot)->weight;
            if (rate <= level)
                below += rate * weight;
            else
                above += weight;
        }
        double next = above ? (f->hot[link].limit - below) / above : level;
        if (next <= level * (1 + FLOW_EQUAL))
            return level;
        level = next;
    }
}

static inline void
relax_tell(moe_flows *f, flow_hot *hot, uint32_t link, double delta)
{
    hot[link].guests += delta;
    flow_touch(f, link);
}

/* Tells the other links of the own groups that each flow's rate grew by `delta`. */
static void
relax_spread(moe_flows *f, uint32_t link, double delta)
{
    const flow_link *at = &f->links[link];
    const flow_own *own = at->own, *end = own + at->n_own;
    bool single = at->own_weight == at->n_own; /* flow per group */
    flow_hot *hot = f->hot;
    for (; own < end; own++) {
        if (MOE_LIKELY(single && own->other != MOE_NONE)) {
            relax_tell(f, hot, own->other, delta);
            continue;
        }
        const flow_group *group = flow_slot_group(f, own->slot);
        for (uint32_t slot = group->first; slot < group->first + group->n; slot++) {
            if (slot != own->slot)
                relax_tell(f, hot, f->slot_link[slot], delta * group->weight);
        }
    }
}

static void
relax_set(moe_flows *f, uint32_t link, double told, double level, moe_time now)
{
    flow_hot *hot = &f->hot[link];
    if (f->links[link].own_weight == 0) {
        moe_flow_unrank(f, link);
        hot->level = INFINITY;
    } else if (fabs(level - told) > RELAX_NOISE * level) {
        moe_flow_settle(f, link, now);
        hot->level = level;
        relax_spread(f, link, level - told);
        moe_flow_rank(f, link);
    } else if (hot->rank == MOE_NONE) {
        moe_flow_rank(f, link);
    }
    moe_flow_refinish(f, link, now);
}

static void
relax_link(moe_flows *f, uint32_t link, moe_time now)
{
    flow_hot *hot = &f->hot[link];
    const flow_link *at = &f->links[link];
    bool moved = false;
    f->relaxing = link;
    f->relaxed++;
    if (at->own_weight == 0) {
        if (hot->guests > hot->limit * (1 + FLOW_EQUAL)) {
            double level = relax_fill(f, link);
            hot->level = 0; /* what its own groups, none yet, were told */
            moved = relax_take(f, link, level, now);
        }
    }
    if (at->own_weight > 0) {
        double told = hot->level, level = relax_level(f, link);
        if (level < told || hot->raw)
            moved = relax_take(f, link, level, now);
        if (moved)
            level = relax_level(f, link);
        while ((moved || level > told) && at->own_weight > 0 && relax_give(f, link, level, now))
            level = at->own_weight ? relax_level(f, link) : 0;
        relax_set(f, link, told, level, now);
    } else {
        hot->level = INFINITY;
    }
    f->relaxing = MOE_NONE;
    hot->dirty = hot->raw = false;
    f->n_dirty--;
}

/* Finds an owner for a new group: the link with the lowest level; if none is full, the one with
 * the least room, at the level that fills it. */
static void
relax_insert(moe_flows *f, uint32_t group, moe_time now)
{
    const flow_group *of = &f->groups[group];
    uint32_t best = MOE_NONE;
    double least = INFINITY;
    for (uint32_t slot = of->first; slot < of->first + of->n; slot++) {
        if (f->hot[f->slot_link[slot]].level < least) {
            best = slot;
            least = f->hot[f->slot_link[slot]].level;
        }
    }
    for (uint32_t slot = of->first; best == MOE_NONE && slot < of->first + of->n; slot++) {
        const flow_hot *hot = &f->hot[f->slot_link[slot]];
        if (hot->limit - hot->guests < least)
            least = hot->limit - hot->guests;
    }
    for (uint32_t slot = of->first; best == MOE_NONE && slot < of->first + of->n; slot++) {
        flow_hot *hot = &f->hot[f->slot_link[slot]];
        if (hot->limit - hot->guests > least)
            continue;
        best = slot;
        hot->level = (least > 0 ? least : hot->limit * 0x1p-60) / of->weight;
        hot->raw = true;
        moe_flow_rank(f, f->slot_link[slot]);
    }
    moe_flow_assign(f, group, best, now);
}

bool
moe_flow_relax(moe_flows *f, moe_time now)
{
    uint64_t budget = f->relaxed + 64 + 8 * (uint64_t)f->n_active;
    for (uint32_t i = 0; i < f->n_fresh; i++) {
        const flow_group *group = &f->groups[f->fresh[i]];
        if (group->weight > 0 && group->owner == MOE_NONE)
            relax_insert(f, f->fresh[i], now);
    }
    f->n_fresh = 0;
    while (f->n_dirty > 0) {
        uint32_t link;
        if (f->n_loose > 0) {
            link = f->loose[--f->n_loose];
            if (!f->hot[link].dirty)
                continue;
        } else {
            while (!f->hot[f->order[f->lowest]].dirty)
                f->lowest++;
            link = f->order[f->lowest];
        }
        if (f->relaxed == budget)
            return false;
        relax_link(f, link, now);
    }
    f->n_loose = 0;
    f->lowest = f->n_order;
    return true;
}
