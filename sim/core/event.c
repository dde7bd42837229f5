#include "sim/core/event.h"

#include "sim/base/random.h"
#include "sim/core/grow.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/poison.h"

#define EVENT_CROWD 64 /* so many events are sorted by insertion, more are split up */
#define EVENT_RUNGS 64 /* a rung splits a bucket at least in two: one per bit of time */

typedef struct event_node {
    moe_event event;
    uint32_t next;
} event_node;

typedef struct event_bucket {
    uint32_t head, n;
} event_bucket;

/* Buckets of width 2^shift over start..end; those before `current` are empty. */
typedef struct event_rung {
    moe_time start, end;
    unsigned shift;
    uint32_t n, current, room;
    event_bucket *buckets;
} event_rung;

/* Cancelled events that still lie somewhere: a hash set of (time, order), linear probing. */
typedef struct event_dead {
    moe_event *slots; /* payload NULL: free */
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
    return (size_t)moe_mix64((uint64_t)event->time ^ moe_mix64(event->order)) & dead->mask;
}

static void
event_dead_put(event_dead *dead, const moe_event *event)
{
    size_t i = event_dead_slot(dead, event);
    while (dead->slots[i].payload)
        i = (i + 1) & dead->mask;
    dead->slots[i] = *event;
    dead->n++;
}

static void
event_dead_add(event_dead *dead, moe_time time, uint64_t order)
{
    if (!dead->slots || 2 * dead->n > dead->mask) {
        event_dead old = *dead;
        dead->mask = old.slots ? 2 * old.mask + 1 : 63;
        dead->slots = calloc(dead->mask + 1, sizeof *dead->slots);
        moe_assert(dead->slots, "out of memory for %zu cancelled events", dead->mask);
        dead->n = 0;
        for (size_t i = 0; old.slots && i <= old.mask; i++) {
            if (old.slots[i].payload)
                event_dead_put(dead, &old.slots[i]);
        }
        free(old.slots);
    }
    moe_event event = {time, order, dead};
    event_dead_put(dead, &event);
}

/* Whether `event` was cancelled; forgets it then. */
static bool
event_dead_take(event_dead *dead, const moe_event *event)
{
    if (MOE_LIKELY(dead->n == 0))
        return false;
    size_t i = event_dead_slot(dead, event);
    while (dead->slots[i].payload &&
           (dead->slots[i].time != event->time || dead->slots[i].order != event->order))
        i = (i + 1) & dead->mask;
    if (!dead->slots[i].payload)
        return false;
    /* Close the hole: move back what probing would no longer find. */
    for (size_t j = (i + 1) & dead->mask; dead->slots[j].payload; j = (j + 1) & dead->mask) {
        size_t home = event_dead_slot(dead, &dead->slots[j]);
        if (((j - home) & dead->mask) >= ((j - i) & dead->mask)) {
            dead->slots[i] = dead->slots[j];
            i = j;
        }
    }
    dead->slots[i].payload = NULL;
    dead->n--;
    return true;
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
    event_bucket *bucket = &rung->buckets[(uint64_t)(event->time - rung->start) >> rung->shift];
    node->event = *event;
    node->next = bucket->head;
    bucket->head = i;
    bucket->n++;
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
    for (uint32_t i = 0; i < rung->n; i++)
        rung->buckets[i] = (event_bucket){MOE_NONE, 0};
    return rung;
}

/* ---- the sorted part ---- */

static int
event_compare(const void *a, const void *b)
{
    return moe_event_before(a, b) ? -1 : moe_event_before(b, a);
}

static void
event_sort(moe_event *events, size_t n)
{
    if (n > EVENT_CROWD) {
        qsort(events, n, sizeof *events, event_compare);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        moe_event event = events[i];
        size_t j = i;
        for (; j > 0 && moe_event_before(&event, &events[j - 1]); j--)
            events[j] = events[j - 1];
        events[j] = event;
    }
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
moe_event_push_slow(moe_event_queue *q, const moe_event *event)
{
    moe_event_ladder *ladder = q->ladder;
    if (event->time >= q->limit) {
        unsigned i = ladder->n_rungs;
        while (i > 0 && event->time >= ladder->rungs[i - 1].end)
            i--;
        if (i > 0)
            event_bucket_push(ladder, &ladder->rungs[i - 1], event);
        else
            event_top_push(ladder, event);
        return;
    }
    uint32_t n = (uint32_t)(q->last - q->first);
    bool crowded = 2 * n >= ladder->room;
    if (crowded && q->first->time != q->last[-1].time)
        event_sorted_split(q);
    else
        event_sorted_settle(q, n + 1);
    q->pending--;
    moe_event_push(q, event->time, event->order, event->payload);
}

/* The nearest bucket becomes the sorted part. */
static void
event_take_bucket(moe_event_queue *q, event_bucket bucket)
{
    moe_event_ladder *ladder = q->ladder;
    q->first = q->last = ladder->base;
    event_sorted_settle(q, bucket.n);
    /* A bucket lists the last pushed first; filled from behind, equal times come in order. */
    moe_event *at = ladder->base + bucket.n;
    for (uint32_t i = bucket.head; i != MOE_NONE;) {
        event_node *node = &ladder->nodes[i];
        uint32_t next = node->next;
        if (!event_dead_take(&ladder->dead, &node->event))
            *--at = node->event;
        node->next = ladder->free_node;
        ladder->free_node = i;
        i = next;
    }
    q->first = at;
    q->last = ladder->base + bucket.n;
    event_sort(q->first, (size_t)(q->last - q->first));
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
    event_sort(q->first, (size_t)(q->last - q->first));
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

static void
event_spread_bucket(moe_event_ladder *ladder, event_bucket bucket, moe_time start, moe_time end)
{
    event_rung *rung = event_rung_open(ladder, start, end, bucket.n);
    uint32_t next;
    for (uint32_t i = bucket.head; i != MOE_NONE; i = next) {
        event_node *node = &ladder->nodes[i];
        event_bucket *to = &rung->buckets[(uint64_t)(node->event.time - start) >> rung->shift];
        next = node->next;
        node->next = to->head;
        to->head = i;
        to->n++;
    }
}

/* Empties the next bucket of the innermost rung, or drops the rung when it has none. */
static void
event_step(moe_event_queue *q)
{
    moe_event_ladder *ladder = q->ladder;
    event_rung *rung = &ladder->rungs[ladder->n_rungs - 1];
    while (rung->current < rung->n && rung->buckets[rung->current].n == 0)
        rung->current++;
    if (rung->current == rung->n) {
        q->limit = rung->end;
        ladder->n_rungs--;
        return;
    }
    uint32_t i = rung->current++;
    event_bucket bucket = rung->buckets[i];
    moe_time start = rung->start + ((moe_time)i << rung->shift);
    bool last = (rung->end - start) >> rung->shift == 0;
    moe_time end = last ? rung->end : start + ((moe_time)1 << rung->shift);
    q->limit = end;
    if (bucket.n > EVENT_CROWD && rung->shift > 0)
        event_spread_bucket(ladder, bucket, start, end);
    else
        event_take_bucket(q, bucket);
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
            uint32_t next;
            for (uint32_t i = rung->buckets[b].head; i != MOE_NONE; i = next) {
                event_node *node = &ladder->nodes[i];
                next = node->next;
                if (!event_dead_take(&ladder->dead, &node->event))
                    event_top_push(ladder, &node->event);
                node->next = ladder->free_node;
                ladder->free_node = i;
            }
        }
    }
    moe_assert(ladder->dead.n == 0, "%zu cancelled events were not pending", ladder->dead.n);
}

void
moe_event_cancel(moe_event_queue *q, moe_time time, uint64_t order)
{
    moe_event_ladder *ladder = q->ladder;
    moe_event event = {time, order, NULL};
    q->pending--;
    if (time >= q->limit) {
        event_dead_add(&ladder->dead, time, order);
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
    moe_assert(low < q->last && low->time == time && low->order == order,
               "cancelling an event at %lld ps that is not pending", (long long)time);
    memmove(low, low + 1, (size_t)(q->last - low - 1) * sizeof *low);
    q->last--;
}
