/* A complete solution by progressive filling: the level rises from 0; the link (or cap) that is
 * full first owns all groups on it that have no owner yet; and so on. */
#include "sim/core/flow_private.h"
#include "sim/core/grow.h"

#include "sim/base/poison.h"

/* A link and the level at which it is full if no more groups get an owner elsewhere; as they do,
 * that level only rises, so that entries are corrected when they come up. */
typedef struct solve_entry {
    double level;
    uint32_t link;
} solve_entry;

static void
solve_sift(solve_entry *heap, uint32_t n, uint32_t i)
{
    solve_entry entry = heap[i];
    for (uint32_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && heap[child + 1].level < heap[child].level)
            child++;
        if (entry.level <= heap[child].level)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = entry;
}

/* All groups of all links become guests without an owner. */
static void
solve_release(moe_flows *f, moe_time now)
{
    for (uint32_t a = 0; a < f->n_active; a++) {
        flow_link *link = &f->links[f->active[a]];
        moe_grow(&link->guests, &link->guest_room, link->n_guests + link->n_own,
                 sizeof *link->guests);
        for (uint32_t i = 0; i < link->n_guests; i++)
            link->guests[i].owner = MOE_NONE;
        for (uint32_t i = 0; i < link->n_own; i++) {
            const flow_own *own = &link->own[i];
            flow_group *group = flow_slot_group(f, own->slot);
            group->offset = moe_flow_counter(f, group, now);
            group->owner = MOE_NONE;
            f->slot_at[own->slot] = link->n_guests;
            link->guests[link->n_guests++] = (flow_guest){MOE_NONE, own->slot};
        }
    }
    for (uint32_t a = 0; a < f->n_active; a++) {
        flow_hot *hot = &f->hot[f->active[a]];
        flow_link *link = &f->links[f->active[a]];
        link->n_own = link->own_weight = 0;
        link->rest = link->weight;
        link->served = 0;
        link->since = now;
        link->early = f->early;
        hot->guests = 0;
        hot->rank = MOE_NONE;
        hot->dirty = hot->raw = false;
        if (!hot->fixed)
            hot->level = INFINITY;
    }
    f->n_order = f->n_loose = f->n_dirty = f->n_fresh = 0;
}

/* `link` owns each of its guests that nobody owns. */
static void
solve_own(moe_flows *f, uint32_t link, double level)
{
    flow_link *at = &f->links[link];
    uint32_t kept = 0;
    moe_grow(&at->own, &at->own_room, at->n_guests, sizeof *at->own);
    for (uint32_t i = 0; i < at->n_guests; i++) {
        flow_guest guest = at->guests[i];
        if (guest.owner != MOE_NONE) {
            f->slot_at[guest.slot] = kept;
            at->guests[kept++] = guest;
            continue;
        }
        flow_group *group = flow_slot_group(f, guest.slot);
        group->owner = guest.slot;
        uint32_t other = MOE_NONE;
        for (uint32_t slot = group->first; slot < group->first + group->n; slot++) {
            if (slot == guest.slot)
                continue;
            other = f->slot_link[slot];
            f->hot[other].guests += level * group->weight;
            f->links[other].rest -= group->weight;
            f->links[other].guests[f->slot_at[slot]].owner = link;
        }
        at->own[at->n_own++] = (flow_own){f->flows[group->root].threshold - group->offset,
                                          guest.slot, group->n == 2 ? other : MOE_NONE};
        at->own_weight += group->weight;
    }
    at->n_guests = kept;
    at->rest = 0;
    f->hot[link].level = level;
    moe_flow_own_heapify(f, at);
}

static double
solve_level(const moe_flows *f, uint32_t link)
{
    const flow_hot *hot = &f->hot[link];
    if (hot->fixed)
        return hot->level;
    return (hot->limit - hot->guests) / f->links[link].rest;
}

void
moe_flow_solve_all(moe_flows *f, moe_time now)
{
    solve_release(f, now);
    moe_grow(&f->order, &f->order_room, f->n_active, sizeof *f->order);
    moe_grow(&f->scratch, &f->scratch_room, f->n_active, sizeof(solve_entry));
    solve_entry *heap = f->scratch;
    uint32_t n = f->n_active;
    double level = 0;
    for (uint32_t i = 0; i < n; i++)
        heap[i] = (solve_entry){solve_level(f, f->active[i]), f->active[i]};
    for (uint32_t i = n / 2; i-- > 0;)
        solve_sift(heap, n, i);
    while (n > 0) {
        uint32_t link = heap[0].link;
        double due = f->links[link].rest > 0 ? solve_level(f, link) : INFINITY;
        if (due > heap[0].level && due < INFINITY) {
            heap[0].level = due;
            solve_sift(heap, n, 0);
            if (heap[0].link != link)
                continue;
        }
        heap[0] = heap[--n];
        solve_sift(heap, n, 0);
        if (due == INFINITY)
            continue;
        level = due > level ? due : level; /* rounding may put ties out of order */
        solve_own(f, link, f->hot[link].fixed ? due : level);
        if (!f->hot[link].fixed) {
            f->hot[link].rank = f->n_order;
            f->order[f->n_order++] = link;
        }
    }
    for (uint32_t a = 0; a < f->n_active; a++)
        moe_flow_refinish(f, f->active[a], now);
    f->lowest = f->n_order;
    f->solved++;
}
