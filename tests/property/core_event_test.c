/* The event queue against a plain list that is searched for its smallest event: same pops for
 * the same pushes and cancels, whatever the distribution of times and the number pending. */
#include "sim/base/random.h"
#include "sim/core/event.h"

#include "tests/test.h"

#define MAX_PENDING 20000

typedef struct model {
    moe_stream random;
    moe_event_queue *queue;
    moe_event *heap; /* binary heap of what is pending */
    uint64_t *orders;
    size_t n;
    uint64_t sequence;
    moe_time now;
    int shape;
} model;

static void
heap_push(model *m, moe_event event)
{
    size_t i = m->n++;
    for (; i > 0 && moe_event_before(&event, &m->heap[(i - 1) / 2]); i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = event;
}

static void
heap_remove(model *m, size_t i)
{
    moe_event last = m->heap[--m->n];
    if (i == m->n)
        return;
    for (; i > 0 && moe_event_before(&last, &m->heap[(i - 1) / 2]); i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    for (size_t child = 2 * i + 1; child < m->n; child = 2 * i + 1) {
        if (child + 1 < m->n && moe_event_before(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!moe_event_before(&m->heap[child], &last))
            break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = last;
}

static moe_time
increment(model *m)
{
    uint64_t draw = moe_stream_next(&m->random);
    switch (m->shape) {
    case 0:
        return (moe_time)(draw % 1000000);
    case 1: /* many ties */
        return (moe_time)(draw % 4) * 1000;
    case 2: /* over many scales */
        return (moe_time)(draw >> 20 >> (draw % 44));
    case 3: /* bursts at one instant, some far away */
        return draw % 50 ? 5 : (moe_time)(draw % 100000000000);
    default: /* all now */
        return 0;
    }
}

static void
push(model *m)
{
    moe_time time = m->now + increment(m);
    uint8_t priority = (uint8_t)(moe_stream_next(&m->random) % 3);
    uint64_t order = moe_event_order(priority, ++m->sequence);
    uintptr_t item = (uintptr_t)&m->orders[m->sequence] | m->sequence % 4;
    m->orders[m->sequence] = order;
    moe_event_push(m->queue, time, item);
    heap_push(m, (moe_event){time, item});
}

static void
pop(model *m)
{
    moe_event got = {0};
    const moe_event *peeked = moe_event_peek(m->queue);
    MOE_CHECK(!peeked == (m->n == 0), "peeked %p of %zu", (const void *)peeked, m->n);
    bool any = moe_event_pop(m->queue, &got);
    if (any != (m->n > 0))
        MOE_CHECK(false, "popped %d of %zu", any, m->n);
    if (!any || m->n == 0)
        return;
    moe_event want = m->heap[0];
    heap_remove(m, 0);
    if (got.time != want.time || got.item != want.item)
        MOE_CHECK(false, "popped (%lld, %llx), not (%lld, %llx)", (long long)got.time,
                  (unsigned long long)moe_event_item_order(got.item), (long long)want.time,
                  (unsigned long long)moe_event_item_order(want.item));
    m->now = got.time;
}

static void
cancel(model *m)
{
    if (m->n == 0)
        return;
    size_t i = moe_stream_below(&m->random, m->n);
    moe_event_cancel(m->queue, m->heap[i].time, m->heap[i].item);
    heap_remove(m, i);
}

/* Grows to `peak` pending, holds, shrinks to nothing; with a share of cancels. */
static void
run(uint64_t seed, int shape, size_t peak, unsigned cancels)
{
    model m = {.random = moe_stream_new(seed, "event", 0), .shape = shape};
    m.queue = moe_event_queue_new();
    m.heap = calloc(MAX_PENDING + 8, sizeof *m.heap);
    m.orders = calloc(6 * peak + 1, sizeof *m.orders);
    for (size_t step = 0; step < 6 * peak; step++) {
        uint64_t draw = moe_stream_below(&m.random, 100);
        bool grow = step < 2 * peak ? draw < 75 : step < 4 * peak ? draw < 50 : draw < 25;
        if (moe_stream_below(&m.random, 100) < cancels)
            cancel(&m);
        else if (grow && m.n < MAX_PENDING)
            push(&m);
        else
            pop(&m);
        if (moe_event_pending(m.queue) != m.n)
            MOE_CHECK(false, "%zu pending, not %zu", moe_event_pending(m.queue), m.n);
    }
    while (m.n > 0)
        pop(&m);
    pop(&m);
    free(m.heap);
    free(m.orders);
    moe_event_queue_free(m.queue);
}

static void
same_order(void)
{
    static const size_t peaks[] = {3, 20, 60, 130, 1000, 8000};
    static const unsigned cancels[] = {0, 5, 45};
    for (uint64_t seed = 0; seed < 3; seed++) {
        for (int shape = 0; shape < 5; shape++) {
            for (size_t p = 0; p < MOE_COUNT(peaks); p++) {
                for (size_t c = 0; c < MOE_COUNT(cancels); c++)
                    run(seed, shape, peaks[p], cancels[c]);
            }
        }
    }
}

/* An event that is put off again and again leaves nothing behind. */
static void
rescheduled(void)
{
    moe_event_queue *queue = moe_event_queue_new();
    uint64_t orders[501];
    for (uint64_t i = 0; i <= 500; i++)
        orders[i] = i;
    for (uint64_t i = 0; i < 500; i++)
        moe_event_push(queue, 1000 + (moe_time)i, (uintptr_t)&orders[i]);
    moe_event event = {0};
    moe_event_pop(queue, &event);
    moe_time due = 1000000;
    moe_event_push(queue, due, (uintptr_t)&orders[500]);
    for (int i = 0; i < 200000; i++) {
        moe_event_cancel(queue, due, (uintptr_t)&orders[500]);
        due += i % 3 ? 1 : 0; /* to the same time too */
        moe_event_push(queue, due, (uintptr_t)&orders[500]);
    }
    MOE_CHECK(moe_event_pending(queue) == 500, "%zu pending", moe_event_pending(queue));
    size_t n = 0;
    while (moe_event_pop(queue, &event))
        n++;
    MOE_CHECK(n == 500 && event.time == due, "%zu popped, the last at %lld", n,
              (long long)event.time);
    moe_event_queue_free(queue);
}

MOE_TESTS({"same order as a heap", same_order}, {"rescheduled", rescheduled})
