#include "sim/core/flow_private.h"
#include "sim/core/grow.h"

#include <string.h>

#include "sim/base/poison.h"

#define FLOW_PS_PER_S 1e12
#define FLOW_MAX_LINKS 16
/* Above this a counter's last bit is worth too many picoseconds: counters restart. */
#define FLOW_COUNTER_MAX 0x1p42
/* Rounding of sums ends with the next complete solution, after so many relaxed ones. */
#define FLOW_AGE_MAX 4096

moe_flows *
moe_flows_new(void)
{
    moe_flows *f = calloc(1, sizeof *f);
    moe_assert(f, "out of memory for flows");
    f->free_flow = f->relaxing = MOE_NONE;
    return f;
}

void
moe_flows_free(moe_flows *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->n_links; i++) {
        free(f->links[i].own);
        free(f->links[i].guests);
    }
    void *const arrays[] = {f->hot,   f->links, f->groups, f->slot_link, f->slot_group, f->slot_at,
                            f->paths, f->flows, f->spare,  f->active,    f->finish,     f->order,
                            f->fresh, f->loose, f->moving, f->scratch};
    for (size_t i = 0; i < MOE_COUNT(arrays); i++)
        free(arrays[i]);
    free(f);
}

static uint32_t
flow_link_new(moe_flows *f, double rate, bool fixed)
{
    moe_grow(&f->hot, &f->hot_room, f->n_links + 1, sizeof *f->hot);
    moe_grow(&f->links, &f->link_room, f->n_links + 1, sizeof *f->links);
    f->hot[f->n_links] = (flow_hot){
        .level = fixed ? rate : INFINITY, .limit = rate, .rank = MOE_NONE, .fixed = fixed};
    f->links[f->n_links] = (flow_link){0};
    return f->n_links++;
}

/* Slots for the next group. */
static uint32_t
flow_slots_new(moe_flows *f, uint32_t n)
{
    uint32_t first = f->n_slots;
    f->n_slots += n;
    moe_grow(&f->slot_link, &f->slot_link_room, f->n_slots, sizeof *f->slot_link);
    moe_grow(&f->slot_group, &f->slot_group_room, f->n_slots, sizeof *f->slot_group);
    moe_grow(&f->slot_at, &f->slot_at_room, f->n_slots, sizeof *f->slot_at);
    for (uint32_t slot = first; slot < f->n_slots; slot++)
        f->slot_group[slot] = f->n_groups;
    return first;
}

static uint32_t
flow_group_new(moe_flows *f, uint32_t first, uint32_t n)
{
    moe_grow(&f->groups, &f->group_room, f->n_groups + 1, sizeof *f->groups);
    f->groups[f->n_groups] =
        (flow_group){.first = first, .n = (uint16_t)n, .owner = MOE_NONE, .root = MOE_NONE};
    return f->n_groups++;
}

uint32_t
moe_flow_add_link(moe_flows *f, double bytes_per_s)
{
    moe_assert(bytes_per_s > 0, "a link of %g bytes/s", bytes_per_s);
    return flow_link_new(f, bytes_per_s / FLOW_PS_PER_S, false);
}

uint32_t
moe_flow_add_path(moe_flows *f, const uint32_t *links, size_t n, double max_rate)
{
    moe_assert(n >= 1 && n <= FLOW_MAX_LINKS, "a path of %zu links", n);
    moe_assert(f->n_groups == f->n_paths, "a path added after the first flow");
    double rate = INFINITY;
    uint32_t first = flow_slots_new(f, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        f->slot_link[first + i] = links[i];
        rate = f->hot[links[i]].limit < rate ? f->hot[links[i]].limit : rate;
    }
    bool capped = max_rate > 0 && max_rate / FLOW_PS_PER_S < rate;
    if (capped) {
        rate = max_rate / FLOW_PS_PER_S;
        uint32_t cap = flow_slots_new(f, 1);
        f->slot_link[cap] = flow_link_new(f, rate, true);
    }
    moe_grow(&f->paths, &f->path_room, f->n_paths + 1, sizeof *f->paths);
    f->paths[f->n_paths] = (flow_path){.rate = rate, .n = (uint32_t)n};
    flow_group_new(f, first, (uint32_t)n + capped);
    return f->n_paths++;
}

double
moe_flow_path_rate(const moe_flows *f, uint32_t path)
{
    return f->paths[path].rate * FLOW_PS_PER_S;
}

/* A group for one flow with a cap of its own. */
static uint32_t
flow_group_single(moe_flows *f, uint32_t path, double rate)
{
    const flow_path *of = &f->paths[path];
    if (f->n_spare == 0) {
        uint32_t first = flow_slots_new(f, FLOW_MAX_LINKS + 1);
        uint32_t group = flow_group_new(f, first + FLOW_MAX_LINKS, 1);
        f->groups[group].single = true;
        f->slot_link[first + FLOW_MAX_LINKS] = flow_link_new(f, rate, true);
        moe_grow(&f->spare, &f->spare_room, 1, sizeof *f->spare);
        f->spare[f->n_spare++] = group;
    }
    flow_group *group = &f->groups[f->spare[--f->n_spare]];
    const flow_group *model = &f->groups[path];
    uint32_t cap = group->first + group->n - 1; /* the last slot; the links' lie before it */
    group->first = cap - of->n;
    group->n = (uint16_t)(of->n + 1);
    memcpy(&f->slot_link[group->first], &f->slot_link[model->first], of->n * sizeof *f->slot_link);
    f->hot[f->slot_link[cap]].level = f->hot[f->slot_link[cap]].limit = rate;
    return (uint32_t)(group - f->groups);
}

static void
flow_group_restart(moe_flows *f, uint32_t group, double counter)
{
    for (uint32_t i = 0; i < f->n_flows; i++) {
        if (f->flows[i].group == group)
            f->flows[i].threshold -= counter;
    }
    f->groups[group].offset -= counter;
}

uint32_t
moe_flow_start(moe_flows *f, uint32_t path, double bytes, double max_rate, void *owner,
               moe_time now)
{
    moe_dassert(bytes >= 0, "a flow of %g bytes", bytes);
    uint32_t group = path;
    if (max_rate > 0 && max_rate / FLOW_PS_PER_S < f->paths[path].rate)
        group = flow_group_single(f, path, max_rate / FLOW_PS_PER_S);
    if (f->free_flow == MOE_NONE) {
        moe_grow(&f->flows, &f->flow_room, f->n_flows + 1, sizeof *f->flows);
        f->flows[f->n_flows].next = MOE_NONE;
        f->free_flow = f->n_flows++;
    }
    uint32_t flow = f->free_flow;
    f->free_flow = f->flows[flow].next;
    f->flows[flow] = (flow_flow){bytes, owner, group, MOE_NONE, MOE_NONE, MOE_NONE};
    f->changes++;
    f->changed = true;
    flow_group *of = &f->groups[group];
    if (of->weight == 0) {
        of->weight = 1;
        of->root = flow;
        moe_flow_attach(f, group);
        return flow;
    }
    double counter = moe_flow_counter(f, of, now);
    if (MOE_UNLIKELY(counter > FLOW_COUNTER_MAX)) {
        f->flows[flow].group = MOE_NONE;
        flow_group_restart(f, group, counter);
        f->flows[flow].group = group;
        counter = moe_flow_counter(f, of, now);
    }
    f->flows[flow].threshold = counter + bytes;
    of->root = moe_flow_heap_meld(f, of->root, flow);
    moe_flow_reweigh(f, group, 1, now);
    return flow;
}

/* The flow, out of its group's heap already, is gone. */
static void
flow_drop(moe_flows *f, uint32_t flow)
{
    uint32_t group = f->flows[flow].group;
    f->flows[flow].group = MOE_NONE;
    f->flows[flow].next = f->free_flow;
    f->free_flow = flow;
    f->changes++;
    f->changed = true;
    if (f->groups[group].root == MOE_NONE && f->groups[group].single) {
        moe_grow(&f->spare, &f->spare_room, f->n_spare + 1, sizeof *f->spare);
        f->spare[f->n_spare++] = group;
    }
}

static void
flow_remove(moe_flows *f, uint32_t flow, moe_time now)
{
    uint32_t group = f->flows[flow].group;
    flow_group *of = &f->groups[group];
    of->root = moe_flow_heap_remove(f, of->root, flow);
    if (of->root == MOE_NONE)
        moe_flow_detach(f, group, now);
    else
        moe_flow_reweigh(f, group, -1, now);
    flow_drop(f, flow);
}

double
moe_flow_left(const moe_flows *f, uint32_t flow, moe_time now)
{
    const flow_flow *of = &f->flows[flow];
    double left = of->threshold - moe_flow_counter(f, &f->groups[of->group], now);
    return left > 0 ? left : 0;
}

double
moe_flow_stop(moe_flows *f, uint32_t flow, moe_time now)
{
    double left = moe_flow_left(f, flow, now);
    flow_remove(f, flow, now);
    return left;
}

double
moe_flow_rate(const moe_flows *f, uint32_t flow)
{
    const flow_group *group = &f->groups[f->flows[flow].group];
    return f->hot[flow_group_link(f, group)].level * FLOW_PS_PER_S;
}

static void
flow_link_restart(moe_flows *f, uint32_t link, moe_time now)
{
    flow_link *at = &f->links[link];
    moe_flow_settle(f, link, now);
    for (uint32_t i = 0; i < at->n_own; i++) {
        at->own[i].key -= at->served;
        flow_slot_group(f, at->own[i].slot)->offset += at->served;
    }
    at->served = 0;
}

moe_time
moe_flow_solve(moe_flows *f, moe_time now)
{
    if (f->changed) {
        bool many = f->changes > 8 && f->changes > f->n_active / 4;
        if (many || f->age == FLOW_AGE_MAX || !moe_flow_relax(f, now)) {
            moe_flow_solve_all(f, now);
            f->age = 0;
        }
        f->age++;
        f->changes = 0;
        f->changed = false;
        f->at = now;
    }
    f->early = 0;
    moe_time next = MOE_TIME_NEVER;
    for (uint32_t a = 0; a < f->n_active; a++)
        next = f->finish[a] < next ? f->finish[a] : next;
    return next;
}

/* Lands the flows of the link's first group that are due; false when there are none. */
static bool
flow_land_group(moe_flows *f, uint32_t link, moe_time now,
                void (*landed)(void *context, void *owner), void *context)
{
    const flow_link *at = &f->links[link];
    double due = at->served + f->hot[link].level * FLOW_SLACK_PS;
    if (at->n_own == 0 || at->own[0].key > due)
        return false;
    flow_group *group = flow_slot_group(f, at->own[0].slot);
    uint32_t flow = group->root;
    void *owner = f->flows[flow].owner;
    flow_remove(f, flow, now);
    landed(context, owner);
    return true;
}

/* Takes the flows of a group that are due out of its heap; returns how many. */
static uint32_t
flow_land_due(moe_flows *f, flow_group *group, double due,
              void (*landed)(void *context, void *owner), void *context)
{
    uint32_t n = 0;
    while (group->root != MOE_NONE && f->flows[group->root].threshold - group->offset <= due) {
        uint32_t flow = group->root;
        void *owner = f->flows[flow].owner;
        group->root = moe_flow_heap_remove(f, flow, flow);
        flow_drop(f, flow);
        landed(context, owner);
        n++;
    }
    return n;
}

/* Lands all flows that the link owns and that are due in one pass over its groups. */
static void
flow_land_many(moe_flows *f, uint32_t link, double due, void (*landed)(void *context, void *owner),
               void *context)
{
    flow_link *at = &f->links[link];
    double level = f->hot[link].level;
    uint32_t kept = 0, gone = 0;
    for (uint32_t i = 0; i < at->n_own; i++) {
        flow_own own = at->own[i];
        flow_group *group = flow_slot_group(f, own.slot);
        uint32_t n = own.key <= due ? flow_land_due(f, group, due, landed, context) : 0;
        group->weight -= n;
        gone += n;
        for (uint32_t s = group->first; n > 0 && s < group->first + group->n; s++) {
            if (s != own.slot)
                moe_flow_guest_shrink(f, s, n, level, group->weight == 0);
        }
        if (group->weight > 0) {
            own.key = f->flows[group->root].threshold - group->offset;
            at->own[kept++] = own;
        } else {
            group->owner = MOE_NONE;
        }
    }
    at->n_own = kept;
    at->own_weight -= gone;
    moe_flow_own_heapify(f, at);
    moe_flow_owner_shrink(f, link, gone);
}

/* Whether a pass over all groups is better than taking the first again and again. */
static bool
flow_many(const flow_link *link, double due)
{
    return link->n_own > 2 && link->own[1].key <= due && link->own[2].key <= due;
}

/* How long before now the first of the flows that are due finished. Finishes are rounded up, but
 * what others gain by one begins where it really was, so that rounding does not add up. */
static double
flow_early(const moe_flows *f, moe_time now)
{
    double early = 0;
    if (f->at == now) /* the rates are no older than now */
        return 0;
    for (uint32_t a = 0; a < f->n_active; a++) {
        if (f->finish[a] > now)
            continue;
        const flow_link *at = &f->links[f->active[a]];
        double ps = (at->own[0].key - at->served) / f->hot[f->active[a]].level;
        double before = (double)(now - at->since) + at->early - ps;
        early = before > early ? before : early;
    }
    return early < 1 ? early : 1;
}

void
moe_flow_land(moe_flows *f, moe_time now, void (*landed)(void *context, void *owner), void *context)
{
    f->early = flow_early(f, now);
    for (uint32_t a = f->n_active; a-- > 0;) {
        if (a >= f->n_active || f->finish[a] > now)
            continue;
        uint32_t link = f->active[a];
        moe_flow_settle(f, link, now);
        double due = f->links[link].served + f->hot[link].level * FLOW_SLACK_PS;
        if (flow_many(&f->links[link], due))
            flow_land_many(f, link, due, landed, context);
        while (flow_land_group(f, link, now, landed, context))
            continue;
        if (f->links[link].served > FLOW_COUNTER_MAX)
            flow_link_restart(f, link, now);
        if (f->links[link].weight > 0)
            moe_flow_refinish(f, link, now);
    }
}

uint64_t
moe_flow_relaxed(const moe_flows *f)
{
    return f->relaxed;
}

uint64_t
moe_flow_solved(const moe_flows *f)
{
    return f->solved;
}
