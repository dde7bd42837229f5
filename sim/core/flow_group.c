/* Groups and the links they lie on: lists, heaps, the order of levels. */
#include "sim/core/flow_private.h"
#include "sim/core/grow.h"

#include <string.h>

#include "sim/base/poison.h"

/* ---- a group's flows: a pairing heap by threshold ---- */

uint32_t
moe_flow_heap_meld(moe_flows *f, uint32_t a, uint32_t b)
{
    if (a == MOE_NONE || b == MOE_NONE)
        return a == MOE_NONE ? b : a;
    if (f->flows[b].threshold < f->flows[a].threshold) {
        uint32_t swap = a;
        a = b;
        b = swap;
    }
    flow_flow *parent = &f->flows[a], *child = &f->flows[b];
    child->prev = a;
    child->next = parent->child;
    if (child->next != MOE_NONE)
        f->flows[child->next].prev = b;
    parent->child = b;
    return a;
}

/* Melds siblings in pairs, then the pairs from the last to the first. */
static uint32_t
flow_heap_collect(moe_flows *f, uint32_t first)
{
    uint32_t pairs = MOE_NONE, root = MOE_NONE;
    while (first != MOE_NONE) {
        uint32_t a = first, b = f->flows[a].next;
        first = b == MOE_NONE ? MOE_NONE : f->flows[b].next;
        f->flows[a].next = MOE_NONE;
        if (b != MOE_NONE)
            f->flows[b].next = MOE_NONE;
        uint32_t pair = moe_flow_heap_meld(f, a, b);
        f->flows[pair].next = pairs;
        pairs = pair;
    }
    while (pairs != MOE_NONE) {
        uint32_t next = f->flows[pairs].next;
        f->flows[pairs].next = MOE_NONE;
        root = moe_flow_heap_meld(f, root, pairs);
        pairs = next;
    }
    if (root != MOE_NONE)
        f->flows[root].prev = MOE_NONE;
    return root;
}

uint32_t
moe_flow_heap_remove(moe_flows *f, uint32_t root, uint32_t flow)
{
    flow_flow *out = &f->flows[flow];
    if (MOE_LIKELY(flow == root && out->child == MOE_NONE))
        return MOE_NONE;
    uint32_t rest = flow_heap_collect(f, out->child);
    if (flow == root)
        return rest;
    flow_flow *prev = &f->flows[out->prev];
    if (prev->child == flow)
        prev->child = out->next;
    else
        prev->next = out->next;
    if (out->next != MOE_NONE)
        f->flows[out->next].prev = out->prev;
    return moe_flow_heap_meld(f, root, rest);
}

/* ---- service counters ---- */

static double
flow_served(const moe_flows *f, uint32_t link, moe_time now)
{
    const flow_link *at = &f->links[link];
    return at->served + f->hot[link].level * ((double)(now - at->since) + at->early - f->early);
}

double
moe_flow_counter(const moe_flows *f, const flow_group *group, moe_time now)
{
    if (group->owner == MOE_NONE)
        return group->offset;
    return flow_served(f, flow_group_link(f, group), now) + group->offset;
}

void
moe_flow_settle(moe_flows *f, uint32_t link, moe_time now)
{
    flow_link *at = &f->links[link];
    if (at->n_own > 0)
        at->served = flow_served(f, link, now);
    at->since = now;
    at->early = f->early;
}

void
moe_flow_refinish(moe_flows *f, uint32_t link, moe_time now)
{
    const flow_link *at = &f->links[link];
    moe_time *finish = &f->finish[at->active];
    *finish = MOE_TIME_NEVER;
    if (at->n_own == 0)
        return;
    double ps = (at->own[0].key - at->served) / f->hot[link].level - at->early;
    if (ps < 0x1p61)
        *finish = moe_time_add(at->since, moe_time_ceil(ps - FLOW_SLACK_PS / 2));
    if (*finish < now)
        *finish = now;
}

/* ---- dirty links and the order of levels ---- */

void
moe_flow_mark(moe_flows *f, uint32_t link)
{
    flow_hot *hot = &f->hot[link];
    if (hot->rank == MOE_NONE) {
        if (hot->guests <= hot->limit * (1 + FLOW_EQUAL))
            return;
        moe_grow(&f->loose, &f->loose_room, f->n_loose + 1, sizeof *f->loose);
        f->loose[f->n_loose++] = link;
    } else if (hot->rank < f->lowest) {
        f->lowest = hot->rank;
    }
    hot->dirty = true;
    f->n_dirty++;
}

void
moe_flow_rank(moe_flows *f, uint32_t link)
{
    flow_hot *hot = &f->hot[link];
    if (hot->fixed)
        return;
    if (hot->rank == MOE_NONE) {
        moe_grow(&f->order, &f->order_room, f->n_order + 1, sizeof *f->order);
        hot->rank = f->n_order++;
        f->order[hot->rank] = link;
    }
    uint32_t i = hot->rank, from = i;
    for (; i > 0 && f->hot[f->order[i - 1]].level > hot->level; i--) {
        f->order[i] = f->order[i - 1];
        f->hot[f->order[i]].rank = i;
    }
    for (; i + 1 < f->n_order && f->hot[f->order[i + 1]].level < hot->level; i++) {
        f->order[i] = f->order[i + 1];
        f->hot[f->order[i]].rank = i;
    }
    f->order[i] = link;
    hot->rank = i;
    uint32_t low = i < from ? i : from;
    if (low < f->lowest)
        f->lowest = low;
}

void
moe_flow_unrank(moe_flows *f, uint32_t link)
{
    flow_hot *hot = &f->hot[link];
    if (hot->rank == MOE_NONE)
        return;
    if (hot->rank < f->lowest)
        f->lowest = hot->rank;
    f->n_order--;
    for (uint32_t i = hot->rank; i < f->n_order; i++) {
        f->order[i] = f->order[i + 1];
        f->hot[f->order[i]].rank = i;
    }
    hot->rank = MOE_NONE;
    if (hot->dirty && link != f->relaxing) {
        moe_grow(&f->loose, &f->loose_room, f->n_loose + 1, sizeof *f->loose);
        f->loose[f->n_loose++] = link;
    }
}

/* ---- lists of a link ---- */

static void
flow_own_set(moe_flows *f, flow_link *link, uint32_t i, flow_own entry)
{
    link->own[i] = entry;
    f->slot_at[entry.slot] = i;
}

void
moe_flow_own_place(moe_flows *f, flow_link *link, uint32_t i, flow_own entry)
{
    for (; i > 0 && entry.key < link->own[(i - 1) / 2].key; i = (i - 1) / 2)
        flow_own_set(f, link, i, link->own[(i - 1) / 2]);
    for (uint32_t child = 2 * i + 1; child < link->n_own; child = 2 * i + 1) {
        if (child + 1 < link->n_own && link->own[child + 1].key < link->own[child].key)
            child++;
        if (entry.key <= link->own[child].key)
            break;
        flow_own_set(f, link, i, link->own[child]);
        i = child;
    }
    flow_own_set(f, link, i, entry);
}

void
moe_flow_own_heapify(moe_flows *f, flow_link *link)
{
    for (uint32_t i = 0; i < link->n_own; i++)
        f->slot_at[link->own[i].slot] = i;
    for (uint32_t i = link->n_own / 2; i-- > 0;) {
        flow_own entry = link->own[i];
        uint32_t hole = i;
        for (uint32_t child = 2 * hole + 1; child < link->n_own; child = 2 * hole + 1) {
            if (child + 1 < link->n_own && link->own[child + 1].key < link->own[child].key)
                child++;
            if (entry.key <= link->own[child].key)
                break;
            flow_own_set(f, link, hole, link->own[child]);
            hole = child;
        }
        flow_own_set(f, link, hole, entry);
    }
}

static void
flow_own_remove(moe_flows *f, flow_link *link, uint32_t i)
{
    flow_own last = link->own[--link->n_own];
    if (i < link->n_own)
        moe_flow_own_place(f, link, i, last);
}

static inline void
flow_guest_add(moe_flows *f, uint32_t slot)
{
    flow_link *link = &f->links[f->slot_link[slot]];
    moe_grow(&link->guests, &link->guest_room, link->n_guests + 1, sizeof *link->guests);
    f->slot_at[slot] = link->n_guests;
    link->guests[link->n_guests++] = (flow_guest){MOE_NONE, slot};
}

static inline void
flow_guest_remove(moe_flows *f, uint32_t slot)
{
    flow_link *link = &f->links[f->slot_link[slot]];
    flow_guest last = link->guests[--link->n_guests];
    link->guests[f->slot_at[slot]] = last;
    f->slot_at[last.slot] = f->slot_at[slot];
}

/* ---- groups ---- */

static inline void
flow_link_weigh(moe_flows *f, uint32_t link, int32_t delta)
{
    flow_link *at = &f->links[link];
    if (at->weight == 0) {
        moe_grow(&f->active, &f->active_room, f->n_active + 1, sizeof *f->active);
        moe_grow(&f->finish, &f->finish_room, f->n_active + 1, sizeof *f->finish);
        at->active = f->n_active++;
        f->active[at->active] = link;
        f->finish[at->active] = MOE_TIME_NEVER;
    }
    at->weight += (uint32_t)delta;
    if (at->weight == 0) {
        uint32_t last = f->active[--f->n_active];
        f->active[at->active] = last;
        f->finish[at->active] = f->finish[f->n_active];
        f->links[last].active = at->active;
        f->hot[link].guests = 0; /* whatever rounding left */
        f->n_dirty -= f->hot[link].dirty;
        f->hot[link].dirty = f->hot[link].raw = false;
    }
}

void
moe_flow_guest_shrink(moe_flows *f, uint32_t slot, uint32_t n, double level, bool last)
{
    uint32_t link = f->slot_link[slot];
    if (last)
        flow_guest_remove(f, slot);
    f->hot[link].guests -= level * n;
    flow_touch(f, link);
    flow_link_weigh(f, link, -(int32_t)n);
}

void
moe_flow_owner_shrink(moe_flows *f, uint32_t link, uint32_t n)
{
    flow_touch(f, link);
    if (f->links[link].n_own == 0 && !f->hot[link].fixed) {
        moe_flow_unrank(f, link);
        f->hot[link].level = INFINITY;
    }
    flow_link_weigh(f, link, -(int32_t)n);
}

void
moe_flow_attach(moe_flows *f, uint32_t group)
{
    flow_group *of = &f->groups[group];
    of->owner = MOE_NONE;
    of->offset = 0;
    for (uint32_t slot = of->first; slot < of->first + of->n; slot++) {
        flow_guest_add(f, slot);
        flow_link_weigh(f, f->slot_link[slot], (int32_t)of->weight);
    }
    moe_grow(&f->fresh, &f->fresh_room, f->n_fresh + 1, sizeof *f->fresh);
    f->fresh[f->n_fresh++] = group;
}

void
moe_flow_detach(moe_flows *f, uint32_t group, moe_time now)
{
    flow_group *of = &f->groups[group];
    if (of->owner != MOE_NONE)
        moe_flow_unassign(f, group, now);
    for (uint32_t slot = of->first; slot < of->first + of->n; slot++) {
        flow_guest_remove(f, slot);
        flow_link_weigh(f, f->slot_link[slot], -(int32_t)of->weight);
    }
    of->weight = 0;
}

static double
flow_group_key(const moe_flows *f, const flow_group *group)
{
    return f->flows[group->root].threshold - group->offset;
}

/* The group's weight changed by delta, or (delta 0) only its next threshold. */
void
moe_flow_reweigh(moe_flows *f, uint32_t group, int32_t delta, moe_time now)
{
    flow_group *of = &f->groups[group];
    uint32_t owner = of->owner == MOE_NONE ? MOE_NONE : flow_group_link(f, of);
    of->weight += (uint32_t)delta;
    for (uint32_t slot = of->first; slot < of->first + of->n; slot++) {
        uint32_t link = f->slot_link[slot];
        f->links[link].weight += (uint32_t)delta;
        if (owner == MOE_NONE || delta == 0)
            continue;
        if (link == owner)
            f->links[link].own_weight += (uint32_t)delta;
        else
            f->hot[link].guests += f->hot[owner].level * delta;
        flow_touch(f, link);
    }
    if (owner == MOE_NONE)
        return;
    flow_link *at = &f->links[owner];
    uint32_t i = f->slot_at[of->owner];
    flow_own entry = at->own[i];
    entry.key = flow_group_key(f, of);
    moe_flow_own_place(f, at, i, entry);
    moe_flow_refinish(f, owner, now);
}

/* What the other links of a group see of its owner. */
static void
flow_group_publish(moe_flows *f, const flow_group *of, uint32_t owner, double rate)
{
    for (uint32_t slot = of->first; slot < of->first + of->n; slot++) {
        uint32_t link = f->slot_link[slot];
        if (slot != of->owner) {
            f->hot[link].guests += rate * of->weight;
            f->links[link].guests[f->slot_at[slot]].owner = owner;
        }
        flow_touch(f, link);
    }
}

void
moe_flow_assign(moe_flows *f, uint32_t group, uint32_t slot, moe_time now)
{
    flow_group *of = &f->groups[group];
    uint32_t link = f->slot_link[slot];
    flow_link *at = &f->links[link];
    if (at->n_own == 0) {
        at->served = 0;
        at->since = now;
        at->early = f->early;
    }
    flow_guest_remove(f, slot);
    of->owner = slot;
    of->offset -= flow_served(f, link, now);
    at->own_weight += of->weight;
    uint32_t other = of->n != 2 ? MOE_NONE : f->slot_link[2 * of->first + 1 - slot];
    flow_own entry = {flow_group_key(f, of), slot, other};
    moe_grow(&at->own, &at->own_room, at->n_own + 1, sizeof *at->own);
    at->n_own++;
    moe_flow_own_place(f, at, at->n_own - 1, entry);
    flow_group_publish(f, of, link, f->hot[link].level);
    moe_flow_refinish(f, link, now);
}

void
moe_flow_unassign(moe_flows *f, uint32_t group, moe_time now)
{
    flow_group *of = &f->groups[group];
    uint32_t link = flow_group_link(f, of);
    flow_link *at = &f->links[link];
    of->offset = moe_flow_counter(f, of, now);
    at->own_weight -= of->weight;
    flow_group_publish(f, of, MOE_NONE, -f->hot[link].level);
    flow_own_remove(f, at, f->slot_at[of->owner]);
    flow_guest_add(f, of->owner);
    of->owner = MOE_NONE;
    if (at->n_own == 0 && link != f->relaxing && !f->hot[link].fixed) {
        moe_flow_unrank(f, link);
        f->hot[link].level = INFINITY;
    }
    moe_flow_refinish(f, link, now);
}
