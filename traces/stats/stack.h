/* Inside traces/stats: one stack for the caches of all sizes (traces/stats/curve.h says why there
 * is one). What is at the first C places is what a cache of C slots holds. */
#ifndef MOE_TRACES_STATS_STACK_H
#define MOE_TRACES_STATS_STACK_H

#include "sim/base/base.h"

#include <glib.h>
#include <string.h>

#define RUN 16u

struct stack {
    uint32_t n, n_objects;
    uint32_t *order;    /* [n] objects */
    uint64_t *priority; /* [n] of the objects in `order`: larger stays */
    uint64_t *floors;   /* of each RUN places: no priority there is lower */
    uint32_t *place;    /* [n_objects] in `order`; MOE_NONE: not there */
    uint64_t *waiting;  /* [n_objects]: priority that an object comes in with */
    uint64_t clock;     /* accesses */
};

static inline void
stack_open(struct stack *stack, uint32_t n_objects)
{
    stack->n_objects = n_objects;
    stack->order = g_new(uint32_t, n_objects);
    stack->priority = g_new(uint64_t, n_objects);
    stack->floors = g_new(uint64_t, n_objects / RUN + 1);
    stack->place = g_new(uint32_t, n_objects);
    stack->waiting = g_new(uint64_t, n_objects);
}

static inline void
stack_close(struct stack *stack)
{
    g_free(stack->order);
    g_free(stack->priority);
    g_free(stack->floors);
    g_free(stack->place);
    g_free(stack->waiting);
}

static inline void
stack_clear(struct stack *stack)
{
    stack->n = 0;
    stack->clock = 0;
    memset(stack->floors, 0xFF, (stack->n_objects / RUN + 1) * sizeof *stack->floors);
    memset(stack->place, 0xFF, stack->n_objects * sizeof *stack->place);
    memset(stack->waiting, 0, stack->n_objects * sizeof *stack->waiting);
}

static inline void
stack_put(struct stack *stack, uint32_t at, uint32_t object, uint64_t priority)
{
    stack->order[at] = object;
    stack->priority[at] = priority;
    stack->place[object] = at;
    stack->floors[at / RUN] = MIN(stack->floors[at / RUN], priority);
}

/* Where the object stands, or will: at the end. */
static inline uint32_t
stack_end(struct stack *stack, uint32_t object)
{
    uint32_t end = stack->place[object];
    return end == MOE_NONE ? stack->n++ : end;
}

/* Order of last use is the order of the stack: everything above the object moves down one. */
static inline void
stack_use_latest(struct stack *stack, uint32_t object)
{
    uint32_t end = stack_end(stack, object), above = object;
    for (uint32_t i = 0; i <= end; i++) {
        uint32_t here = stack->order[i];
        stack->order[i] = above;
        stack->place[above] = i;
        above = here;
    }
}

/* The same for n different objects at once: they stand on top, the last one first. */
static inline void
stack_use_all_latest(struct stack *stack, const uint32_t *objects, uint32_t n)
{
    uint32_t deepest = 0, fresh = 0;
    for (uint32_t j = 0; j < n; j++) {
        uint32_t place = stack->place[objects[j]];
        fresh += place == MOE_NONE;
        deepest = place == MOE_NONE ? deepest : MAX(deepest, place + 1);
        stack->place[objects[j]] = MOE_NONE;
    }
    deepest = fresh ? stack->n : deepest;
    stack->n += fresh;
    for (uint32_t from = deepest, to = deepest + fresh; from-- > 0;) {
        uint32_t object = stack->order[from];
        if (stack->place[object] == MOE_NONE)
            continue;
        stack->order[--to] = object;
        stack->place[object] = to;
    }
    for (uint32_t j = 0; j < n; j++) {
        stack->order[n - 1 - j] = objects[j];
        stack->place[objects[j]] = n - 1 - j;
    }
}

/* Whether a whole run of places has none of a lower priority; a floor that what has left holds down
 * is lifted on the way. */
static inline bool
run_passes(struct stack *stack, uint32_t from, uint64_t priority)
{
    uint64_t *floor = &stack->floors[from / RUN], lowest = UINT64_MAX;
    if (*floor >= priority)
        return true;
    for (uint32_t i = 0; i < RUN; i++)
        lowest = MIN(lowest, stack->priority[from + i]);
    *floor = lowest;
    return lowest >= priority;
}

/* The first place from `from` on, before `end`, of a lower priority; else `end`. */
static inline uint32_t
stack_lower(struct stack *stack, uint32_t from, uint32_t end, uint64_t priority)
{
    for (uint32_t i = from; i < end;) {
        if (i % RUN == 0 && i + RUN <= end && run_passes(stack, i, priority)) {
            i += RUN;
            continue;
        }
        for (uint32_t stop = MIN(end, i / RUN * RUN + RUN); i < stop; i++)
            if (stack->priority[i] < priority)
                return i;
    }
    return end;
}

/* Moves the object to the top; the lowest of what stood above each place goes on down. */
static inline void
stack_use(struct stack *stack, uint32_t object, uint64_t used)
{
    uint32_t end = stack_end(stack, object), out = stack->order[0];
    uint64_t priority = stack->priority[0];
    stack_put(stack, 0, object, used);
    for (uint32_t i = 1; end; i++) {
        i = stack_lower(stack, i, end, priority);
        if (i == end) {
            stack_put(stack, end, out, priority);
            return;
        }
        uint32_t here = stack->order[i];
        uint64_t lower = stack->priority[i];
        stack_put(stack, i, out, priority);
        out = here;
        priority = lower;
    }
}

/* ---- groups that stay ---- */

/* What is pushed out of the cache of each size while a group comes in: a heap, the highest priority
 * on top. */
struct pushed {
    uint32_t n;
    uint32_t *objects;
    uint64_t *priorities;
};

static inline void
pushed_set(struct pushed *pushed, uint32_t at, uint32_t object, uint64_t priority)
{
    pushed->objects[at] = object;
    pushed->priorities[at] = priority;
}

/* Puts the object where the heap, whose place `at` is free, wants it. */
static inline void
pushed_sift(struct pushed *pushed, uint32_t at, uint32_t object, uint64_t priority)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= pushed->n)
            break;
        if (child + 1 < pushed->n && pushed->priorities[child + 1] > pushed->priorities[child])
            child++;
        if (pushed->priorities[child] <= priority)
            break;
        pushed_set(pushed, at, pushed->objects[child], pushed->priorities[child]);
        at = child;
    }
    while (at && pushed->priorities[(at - 1) / 2] < priority) {
        pushed_set(pushed, at, pushed->objects[(at - 1) / 2], pushed->priorities[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    pushed_set(pushed, at, object, priority);
}

static inline void
pushed_add(struct pushed *pushed, uint32_t object, uint64_t priority)
{
    pushed->n++;
    pushed_sift(pushed, pushed->n - 1, object, priority);
}

/* Puts the best of what was pushed out at a place of the stack. */
static inline void
pushed_out(struct pushed *pushed, struct stack *stack, uint32_t at)
{
    stack_put(stack, at, pushed->objects[0], pushed->priorities[0]);
    uint32_t last = --pushed->n;
    if (last)
        pushed_sift(pushed, 0, pushed->objects[last], pushed->priorities[last]);
}

/* n different objects come in at once and stay until all are in; worths[n] are their priorities.
 * For caches of n slots and more: of size C, the C - n best of the others that it held remain. */
static inline void
stack_use_group(struct stack *stack, const uint32_t *objects, const uint64_t *worths, uint32_t n,
                struct pushed *pushed)
{
    uint32_t old = stack->n, to = n;
    for (uint32_t j = 0; j < n; j++) {
        stack->n += stack->place[objects[j]] == MOE_NONE;
        stack->place[objects[j]] = MOE_NONE;
    }
    pushed->n = 0;
    for (uint32_t from = 0; from < stack->n; from++) {
        if (from < old && stack->place[stack->order[from]] != MOE_NONE)
            pushed_add(pushed, stack->order[from], stack->priority[from]);
        if (from >= n)
            pushed_out(pushed, stack, to++);
    }
    for (uint32_t j = 0; j < n; j++)
        stack_put(stack, j, objects[j], worths[j]);
}

#endif
