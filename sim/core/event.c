#include "sim/core/event.h"

#include "sim/base/random.h"
#include "sim/core/grow.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/poison.h"

#define EVENT_CROWD 32 /* so many events are sorted by insertion, more are split up */
#define EVENT_RUNGS 64 /* a rung splits a bucket at least in two: one per bit of time */

typedef struct event_node {
    moe_event event;
    uint32_t next;
} event_node;

/* Buckets of width 2^shift over start..end; those before `current` are empty. */
typedef struct event_rung {
    moe_time start, end;
    unsigned shift;
    uint32_t n, current, room;
    uint32_t *buckets; /* heads of lists of nodes */
} event_rung;

/* Cancelled events that still lie somewhere: a hash set, linear probing. Their items may be in
 * use for something else already. */
typedef struct event_dead {
    moe_event *slots; /* item 0: free */
    size_t n, mask;
} event_dead;

struct moe_event_ladder {
    moe_event *base;               /* of the sorted part */
    uint32_t room;                 /* twice what it should hold, so that it is rarely moved down */
    event_rung rungs[EVENT_RUNGS]; /* the innermost, earliest, is the last */
    unsigned n_rungs;
    moe_event *top;
    uint32_t n_top, top_room;
    event_node *nodes;
    uint32_t free_node, n_nodes;
    event_dead dead;
};

moe_event_queue *
moe_event_queue_new(void)
{
    moe_event_queue *q = calloc(1, sizeof *q);
    moe_event_ladder *ladder = calloc(1, sizeof *ladder);
    moe_assert(q && ladder, "out of memory for an event queue");
    q->ladder = ladder;
    q->limit = MOE_TIME_NEVER;
    moe_grow(&ladder->base, &ladder->room, 2 * EVENT_CROWD, sizeof *ladder->base);
    ladder->free_node = MOE_NONE;
    q->first = q->last = ladder->base;
    q->room = ladder->base + ladder->room;
    return q;
}

void
moe_event_queue_free(moe_event_queue *q)
{
    if (!q)
        return;
    for (unsigned i = 0; i < EVENT_RUNGS; i++)
        free(q->ladder->rungs[i].buckets);
    free(q->ladder->base);
    free(q->ladder->top);
    free(q->ladder->nodes);
    free(q->ladder->dead.slots);
    free(q->ladder);
    free(q);
}

/* ---- cancelled events ---- */

static size_t
event_dead_slot(const event_dead *dead, const moe_event *event)
{
    return (size_t)moe_mix64((uint64_t)event->time ^ moe_mix64((uint64_t)event->item)) & dead->mask;
}

static void
event_dead_put(event_dead *dead, const moe_event *event)
{
    size_t i = event_dead_slot(dead, event);
    while (dead->slots[i].item)
        i = (i + 1) & dead->mask;
    dead->slots[i] = *event;
    dead->n++;
}

static void
event_dead_add(event_dead *dead, const moe_event *event)
{
    if (!dead->slots || 2 * dead->n > dead->mask) {
        event_dead old = *dead;
        dead->mask = old.slots ? 2 * old.mask + 1 : 63;
        dead->slots = calloc(dead->mask + 1, sizeof *dead->slots);
        moe_assert(dead->slots, "out of memory for %zu cancelled events", dead->mask);
        dead->n = 0;
        for (size_t i = 0; old.slots && i <= old.mask; i++) {
            if (old.slots[i].item)
                event_dead_put(dead, &old.slots[i]);
        }
        free(old.slots);
    }
    event_dead_put(dead, event);
}

static bool
event_dead_find(event_dead *dead, const moe_event *event)
{
    size_t i = event_dead_slot(dead, event);
    while (dead->slots[i].item &&
           (dead->slots[i].time != event->time || dead->slots[i].item != event->item))
        i = (i + 1) & dead->mask;
    if (!dead->slots[i].item)
        return false;
    /* Close the hole: move back what probing would no longer find. */
    for (size_t j = (i + 1) & dead->mask; dead->slots[j].item; j = (j + 1) & dead->mask) {
        size_t home = event_dead_slot(dead, &dead->slots[j]);
        if (((j - home) & dead->mask) >= ((j - i) & dead->mask)) {
            dead->slots[i] = dead->slots[j];
            i = j;
        }
    }
    dead->slots[i].item = 0;
    dead->n--;
    return true;
}

/* Whether `event` was cancelled; forgets it then. */
static inline bool
event_dead_take(event_dead *dead, const moe_event *event)
{
    return MOE_UNLIKELY(dead->n > 0) && event_dead_find(dead, event);
}

/* ---- top, rungs, buckets ---- */

static void
event_top_push(moe_event_ladder *ladder, const moe_event *event)
{
    moe_grow(&ladder->top, &ladder->top_room, ladder->n_top + 1, sizeof *ladder->top);
    ladder->top[ladder->n_top++] = *event;
}

static void
event_nodes_grow(moe_event_ladder *ladder)
{
    uint32_t n = ladder->n_nodes;
    moe_grow(&ladder->nodes, &ladder->n_nodes, n + 256, sizeof *ladder->nodes);
    for (uint32_t i = ladder->n_nodes; i-- > n;) {
        ladder->nodes[i].next = ladder->free_node;
        ladder->free_node = i;
    }
}

static inline void
event_bucket_push(moe_event_ladder *ladder, event_rung *rung, const moe_event *event)
{
    if (MOE_UNLIKELY(ladder->free_node == MOE_NONE))
        event_nodes_grow(ladder);
    uint32_t i = ladder->free_node;
    event_node *node = &ladder->nodes[i];
    ladder->free_node = node->next;
    uint32_t *bucket = &rung->buckets[(uint64_t)(event->time - rung->start) >> rung->shift];
    node->event = *event;
    node->next = *bucket;
    *bucket = i;
}

/* A new innermost rung over start..end (end excluded) for about n events. */
static event_rung *
event_rung_open(moe_event_ladder *ladder, moe_time start, moe_time end, size_t n)
{
    moe_assert(ladder->n_rungs < EVENT_RUNGS, "%u rungs", ladder->n_rungs);
    event_rung *rung = &ladder->rungs[ladder->n_rungs++];
    uint64_t last = (uint64_t)(end - start) - 1;
    rung->start = start;
    rung->end = end;
    rung->shift = 0;
    while (last >> rung->shift >= n)
        rung->shift++;
    rung->n = (uint32_t)(last >> rung->shift) + 1;
    rung->current = 0;
    moe_grow(&rung->buckets, &rung->room, rung->n, sizeof *rung->buckets);
    memset(rung->buckets, 0xff, rung->n * sizeof *rung->buckets); /* MOE_NONE */
    return rung;
}

/* ---- the sorted part ---- */

static int
event_compare(const void *a, const void *b)
{
    return moe_event_before(a, b) ? -1 : moe_event_before(b, a);
}

/* Moves the sorted part to the start of room for twice `n` events. */
static void
event_sorted_settle(moe_event_queue *q, uint32_t n)
{
    moe_event_ladder *ladder = q->ladder;
    size_t kept = (size_t)(q->last - q->first);
    memmove(ladder->base, q->first, kept * sizeof *ladder->base);
    moe_grow(&ladder->base, &ladder->room, 2 * n, sizeof *ladder->base);
    q->first = ladder->base;
    q->last = ladder->base + kept;
    q->room = ladder->base + ladder->room;
}

/* Moves the later half of a crowded sorted part to the top or to a rung of its own; equal times
 * stay together. */
static void
event_sorted_split(moe_event_queue *q)
{
    moe_event_ladder *ladder = q->ladder;
    moe_event *from = q->first + (q->last - q->first) / 2;
    while (from > q->first && from[-1].time == from->time)
        from--;
    while (from->time == q->first->time)
        from++;
    moe_time end = q->limit;
    q->limit = from->time;
    if (end == MOE_TIME_NEVER) {
        for (const moe_event *event = from; event < q->last; event++)
            event_top_push(ladder, event);
    } else {
        event_rung *rung = event_rung_open(ladder, q->limit, end, (size_t)(q->last - from));
        for (const moe_event *event = from; event < q->last; event++)
            event_bucket_push(ladder, rung, event);
    }
    q->last = from;
}

void
moe_event_push_slow(moe_event_queue *q, moe_event event)
{
    moe_event_ladder *ladder = q->ladder;
    if (event.time >= q->limit) {
        unsigned i = ladder->n_rungs;
        while (i > 0 && event.time >= ladder->rungs[i - 1].end)
            i--;
        if (i > 0)
            event_bucket_push(ladder, &ladder->rungs[i - 1], &event);
        else
            event_top_push(ladder, &event);
        return;
    }
    uint32_t n = (uint32_t)(q->last - q->first);
    bool crowded = 2 * n >= ladder->room;
    if (crowded && q->first->time != q->last[-1].time)
        event_sorted_split(q);
    else
        event_sorted_settle(q, n + 1);
    q->pending--;
    moe_event_push(q, event.time, event.item);
}

/* Takes the first node off a list of nodes into *event; false if it was cancelled. */
static inline bool
event_take_node(moe_event_ladder *ladder, uint32_t *list, moe_event *event)
{
    uint32_t i = *list;
    event_node *node = &ladder->nodes[i];
    *event = node->event;
    *list = node->next;
    node->next = ladder->free_node;
    ladder->free_node = i;
    return !event_dead_take(&ladder->dead, event);
}

/* A crowd at one instant becomes the sorted part; some of it is there already. */
static void
event_take_ties(moe_event_queue *q, uint32_t list)
{
    moe_event event;
    while (list != MOE_NONE) {
        if (q->last == q->room)
            event_sorted_settle(q, (uint32_t)(q->last - q->first) + 1);
        if (event_take_node(q->ladder, &list, &event))
            *q->last++ = event;
    }
    qsort(q->first, (size_t)(q->last - q->first), sizeof event, event_compare);
}

/* A crowded bucket becomes a rung of its own; some of it is in the sorted part already. */
static void
event_spread_bucket(moe_event_queue *q, uint32_t list, moe_time start, moe_time end)
{
    moe_event_ladder *ladder = q->ladder;
    size_t n = (size_t)(q->last - q->first);
    for (uint32_t i = list; i != MOE_NONE; i = ladder->nodes[i].next)
        n++;
    event_rung *rung = event_rung_open(ladder, start, end, n);
    moe_event event;
    while (list != MOE_NONE) {
        if (event_take_node(ladder, &list, &event))
            event_bucket_push(ladder, rung, &event);
    }
    for (const moe_event *sorted = q->first; sorted < q->last; sorted++)
        event_bucket_push(ladder, rung, sorted);
    q->last = q->first;
}

/* The bucket `list` over start..end becomes the sorted part, or a rung if that is too much. */
static void
event_take_bucket(moe_event_queue *q, uint32_t list, moe_time start, moe_time end)
{
    moe_event_ladder *ladder = q->ladder;
    event_node *nodes = ladder->nodes;
    moe_event *first = ladder->base, *last = first;
    uint32_t head = list, tail = list;
    while (list != MOE_NONE && last < first + EVENT_CROWD) {
        const event_node *node = &nodes[list];
        tail = list;
        list = node->next;
        if (event_dead_take(&ladder->dead, &node->event))
            continue;
        moe_event event = node->event, *at = last++;
        for (; at > first && moe_event_before(&event, at - 1); at--)
            *at = at[-1];
        *at = event;
    }
    nodes[tail].next = ladder->free_node;
    ladder->free_node = head;
    q->first = first;
    q->last = last;
    if (MOE_LIKELY(list == MOE_NONE))
        return;
    if (end - start > 1)
        event_spread_bucket(q, list, start, end);
    else
        event_take_ties(q, list);
}

static void
event_take_top(moe_event_queue *q)
{
    moe_event_ladder *ladder = q->ladder;
    q->first = q->last = ladder->base;
    event_sorted_settle(q, ladder->n_top);
    for (uint32_t i = 0; i < ladder->n_top; i++) {
        if (!event_dead_take(&ladder->dead, &ladder->top[i]))
            *q->last++ = ladder->top[i];
    }
    ladder->n_top = 0;
    q->limit = MOE_TIME_NEVER;
    qsort(q->first, (size_t)(q->last - q->first), sizeof *q->first, event_compare);
}

static void
event_spread_top(moe_event_ladder *ladder)
{
    moe_time first = ladder->top[0].time, last = first;
    for (uint32_t i = 1; i < ladder->n_top; i++) {
        moe_time time = ladder->top[i].time;
        first = time < first ? time : first;
        last = time > last ? time : last;
    }
    moe_assert(last < MOE_TIME_NEVER, "an event at the end of time");
    event_rung *rung = event_rung_open(ladder, first, last + 1, ladder->n_top);
    for (uint32_t i = 0; i < ladder->n_top; i++)
        event_bucket_push(ladder, rung, &ladder->top[i]);
    ladder->n_top = 0;
}

/* Empties the next bucket of the innermost rung, or drops the rung when it has none. */
static void
event_step(moe_event_queue *q)
{
    moe_event_ladder *ladder = q->ladder;
    event_rung *rung = &ladder->rungs[ladder->n_rungs - 1];
    while (rung->current < rung->n && rung->buckets[rung->current] == MOE_NONE)
        rung->current++;
    if (rung->current == rung->n) {
        q->limit = rung->end;
        ladder->n_rungs--;
        return;
    }
    uint32_t i = rung->current++;
    uint32_t list = rung->buckets[i];
    moe_time start = rung->start + ((moe_time)i << rung->shift);
    bool last = (rung->end - start) >> rung->shift == 0;
    moe_time end = last ? rung->end : start + ((moe_time)1 << rung->shift);
    q->limit = end;
    event_take_bucket(q, list, start, end);
}

void
moe_event_refill(moe_event_queue *q)
{
    while (q->first == q->last) {
        if (q->ladder->n_rungs > 0)
            event_step(q);
        else if (q->ladder->n_top > EVENT_CROWD / 2)
            event_spread_top(q->ladder);
        else
            event_take_top(q);
    }
}

/* ---- cancelling ---- */

/* Gathers what lies in rungs into the top, without what was cancelled. */
static void
event_sweep(moe_event_ladder *ladder)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ladder->n_top; i++) {
        if (!event_dead_take(&ladder->dead, &ladder->top[i]))
            ladder->top[kept++] = ladder->top[i];
    }
    ladder->n_top = kept;
    while (ladder->n_rungs > 0) {
        const event_rung *rung = &ladder->rungs[--ladder->n_rungs];
        for (uint32_t b = rung->current; b < rung->n; b++) {
            uint32_t list = rung->buckets[b];
            moe_event event;
            while (list != MOE_NONE) {
                if (event_take_node(ladder, &list, &event))
                    event_top_push(ladder, &event);
            }
        }
    }
    moe_assert(ladder->dead.n == 0, "%zu cancelled events were not pending", ladder->dead.n);
}

void
moe_event_cancel(moe_event_queue *q, moe_time time, uintptr_t item)
{
    moe_event_ladder *ladder = q->ladder;
    moe_event event = {time, item};
    q->pending--;
    if (time >= q->limit) {
        event_dead_add(&ladder->dead, &event);
        if (ladder->dead.n > EVENT_CROWD && ladder->dead.n > q->pending)
            event_sweep(ladder);
        return;
    }
    moe_event *low = q->first, *high = q->last;
    while (low < high) {
        moe_event *middle = low + (high - low) / 2;
        if (moe_event_before(middle, &event))
            low = middle + 1;
        else
            high = middle;
    }
    while (low < q->last && low->time == time && low->item != item)
        low++; /* items of one order, which is the caller's fault but harmless */
    moe_assert(low < q->last && low->time == time,
               "cancelling an event at %lld ps that is not pending", (long long)time);
    memmove(low, low + 1, (size_t)(q->last - low - 1) * sizeof *low);
    q->last--;
}
