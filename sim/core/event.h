/* The event queue: pops by (time, priority, sequence), whatever structure holds the events.
 *
 * Up to some dozens of pending events lie in one sorted array, which is what most scenarios need;
 * beyond that the queue becomes a ladder (Tang, Goh, Thng: Ladder queue, 2005): far events lie
 * unsorted in a top list, nearer ones in buckets, and only the nearest are sorted.
 *
 * An event is a time and an item: the address of a word that holds the item's order (priority and
 * sequence), which is looked at only when times are equal. The word must not change while the
 * item is pending. The two lowest bits of an item are the caller's, to mark what it belongs to.
 *
 * A cancelled event is removed at once when it lies in the sorted part, and otherwise remembered
 * and dropped when it surfaces; when such are more than half of the queue, it is swept. */
#ifndef MOE_CORE_EVENT_H
#define MOE_CORE_EVENT_H

#include "sim/core/time.h"

#define MOE_EVENT_MARKS ((uintptr_t)3)

/* priority in the upper 8 bits, sequence in the lower 56 */
static inline uint64_t
moe_event_order(uint8_t priority, uint64_t sequence)
{
    return (uint64_t)priority << 56 | sequence;
}

typedef struct moe_event {
    moe_time time;
    uintptr_t item;
} moe_event;

static inline uint64_t
moe_event_item_order(uintptr_t item)
{
    return *(const uint64_t *)(item & ~MOE_EVENT_MARKS);
}

static inline bool
moe_event_before(const moe_event *a, const moe_event *b)
{
    if (MOE_LIKELY(a->time != b->time))
        return a->time < b->time;
    return moe_event_item_order(a->item) < moe_event_item_order(b->item);
}

typedef struct moe_event_ladder moe_event_ladder;

/* Open only to the inline functions below: the sorted part is first..last, ascending, and holds
 * every pending event before `limit`; `room` is where it must be moved or thinned out. */
typedef struct moe_event_queue {
    moe_event *first, *last, *room;
    moe_time limit;
    size_t pending;
    moe_event_ladder *ladder;
} moe_event_queue;

moe_event_queue *moe_event_queue_new(void);
void moe_event_queue_free(moe_event_queue *queue);
/* Takes out a pending event; one that is not pending is the caller's error. */
void moe_event_cancel(moe_event_queue *queue, moe_time time, uintptr_t item);

/* The slow halves of push and pop. */
void moe_event_push_slow(moe_event_queue *queue, moe_event event);
void moe_event_refill(moe_event_queue *queue);

/* A time before the last one popped is allowed; it comes next then. */
static inline void
moe_event_push(moe_event_queue *queue, moe_time time, uintptr_t item)
{
    moe_event event = {time, item};
    queue->pending++;
    if (MOE_UNLIKELY(time >= queue->limit || queue->last == queue->room)) {
        moe_event_push_slow(queue, event);
        return;
    }
    moe_event *at = queue->last++;
    for (; at > queue->first && moe_event_before(&event, at - 1); at--)
        *at = at[-1];
    *at = event;
}

/* The earliest event, borrowed until the next call; NULL when there is none. */
static inline const moe_event *
moe_event_peek(moe_event_queue *queue)
{
    if (MOE_UNLIKELY(queue->first == queue->last)) {
        if (queue->pending == 0)
            return NULL;
        moe_event_refill(queue);
    }
    return queue->first;
}

/* Takes the earliest event; false when there is none. */
static inline bool
moe_event_pop(moe_event_queue *queue, moe_event *out)
{
    const moe_event *event = moe_event_peek(queue);
    if (MOE_UNLIKELY(!event))
        return false;
    *out = *event;
    queue->first++;
    queue->pending--;
    return true;
}

static inline size_t
moe_event_pending(const moe_event_queue *queue)
{
    return queue->pending;
}

#endif
