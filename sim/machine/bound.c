/* Fewest loads: keeping an object from one use to the next saves one load and takes one slot in
 * between. Choosing as many such intervals as possible with at most `slots` overlapping is solved
 * exactly by a greedy sweep that, whenever too many overlap, gives up the one that ends last
 * (Carlisle & Lloyd: On the k-coloring of intervals, 1995). */
#include "sim/machine/schedule.h"

#include <string.h>

/* Kept objects of one pool: a max-heap on the group of next use, with positions. */
typedef struct keep {
    uint32_t *heap;
    uint32_t n, capacity;
} keep;

typedef struct sweep {
    const moe_demand *demand;
    uint32_t *next_use, *position; /* by object; position MOE_NONE: not kept */
} sweep;

static void
put(sweep *s, keep *k, uint32_t at, uint32_t object)
{
    k->heap[at] = object;
    s->position[object] = at;
}

static void
sift_up(sweep *s, keep *k, uint32_t at, uint32_t object)
{
    while (at > 0) {
        uint32_t up = (at - 1) / 2;
        if (s->next_use[k->heap[up]] >= s->next_use[object])
            break;
        put(s, k, at, k->heap[up]);
        at = up;
    }
    put(s, k, at, object);
}

static void
sift_down(sweep *s, keep *k, uint32_t at, uint32_t object)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= k->n)
            break;
        if (child + 1 < k->n && s->next_use[k->heap[child + 1]] > s->next_use[k->heap[child]])
            child++;
        if (s->next_use[k->heap[child]] <= s->next_use[object])
            break;
        put(s, k, at, k->heap[child]);
        at = child;
    }
    put(s, k, at, object);
}

static void
drop(sweep *s, keep *k, uint32_t object)
{
    uint32_t at = s->position[object], last = k->heap[--k->n];
    s->position[object] = MOE_NONE;
    if (last == object)
        return;
    if (at > 0 && s->next_use[k->heap[(at - 1) / 2]] < s->next_use[last])
        sift_up(s, k, at, last);
    else
        sift_down(s, k, at, last);
}

static uint64_t
visit(sweep *s, keep *k, uint32_t group, uint32_t base)
{
    const moe_demand *demand = s->demand;
    uint64_t loads = 0, begin = demand->first[group], end = demand->first[group + 1];
    for (uint64_t i = begin; i < end; i++) {
        uint32_t object = base + demand->expert[i];
        if (s->position[object] != MOE_NONE)
            drop(s, k, object);
        else
            loads++;
    }
    for (uint64_t i = begin; i < end; i++) {
        uint32_t object = base + demand->expert[i];
        if (demand->next_use[i] == MOE_NONE)
            continue;
        s->next_use[object] = demand->next_use[i];
        sift_up(s, k, k->n++, object);
        if (k->n > k->capacity)
            drop(s, k, k->heap[0]);
    }
    return loads;
}

static void
forget(sweep *s, keep *pools, uint32_t n_pools)
{
    for (uint32_t p = 0; p < n_pools; p++) {
        for (uint32_t i = 0; i < pools[p].n; i++)
            s->position[pools[p].heap[i]] = MOE_NONE;
        pools[p].n = 0;
    }
}

/* Whatever was resident when counting began saves at most one load per slot. */
static uint64_t
beyond(uint64_t loads, bool unknown_start, uint64_t all_slots)
{
    return unknown_start ? loads - MIN(loads, all_slots) : loads;
}

uint64_t
moe_schedule_least_loads(const moe_schedule *schedule, bool per_layer, uint32_t slots,
                         bool decode_only)
{
    const moe_demand *demand = &schedule->demand;
    uint32_t n_layers = demand->n_layers, n_experts = demand->n_experts;
    size_t n_objects = (size_t)n_layers * n_experts;
    uint32_t n_pools = per_layer ? n_layers : 1;
    size_t room = (per_layer ? n_experts : n_objects) + 1;
    g_autofree uint32_t *next_use = g_new0(uint32_t, n_objects);
    g_autofree uint32_t *position = g_new(uint32_t, n_objects);
    g_autofree uint32_t *heaps = g_new(uint32_t, room * n_pools);
    g_autofree keep *pools = g_new0(keep, n_pools);
    memset(position, 0xFF, n_objects * sizeof *position);
    for (uint32_t p = 0; p < n_pools; p++)
        pools[p] = (keep){.heap = heaps + p * room, .capacity = slots};
    sweep s = {demand, next_use, position};
    uint64_t all = 0, loads = 0, all_slots = (uint64_t)slots * n_pools;
    bool unknown = schedule->measured > 0;
    for (uint32_t step = schedule->measured; step < demand->n_steps; step++) {
        if (decode_only && schedule->steps[step].phase != MOE_DECODE) {
            all += beyond(loads, unknown, all_slots);
            loads = 0;
            unknown = true;
            forget(&s, pools, n_pools);
            continue;
        }
        for (uint32_t l = 0; l < n_layers; l++)
            loads += visit(&s, &pools[per_layer ? l : 0], moe_demand_group(demand, step, l),
                           l * n_experts);
    }
    return all + beyond(loads, unknown, all_slots);
}
