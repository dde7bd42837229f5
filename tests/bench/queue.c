/* The event queue: hold operations (pop the earliest, push one more) and PHOLD, at 10^2 to 10^6
 * pending events, beside bare queues with 16-byte keys, no classes and no cancelling, measured in
 * the same run: a sorted array, a binary heap, a ladder. */
#include "sim/base/random.h"
#include "sim/core/event.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DRAWS (1u << 16)

static moe_time draws[DRAWS]; /* exponential increments, mean 10^6 ps */

static double
bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void
bench_draw(void)
{
    moe_stream stream = moe_stream_new(1, "bench", 0);
    for (uint32_t i = 0; i < DRAWS; i++)
        draws[i] = 1 + (moe_time)(-1e6 * log(1 - moe_stream_unit(&stream)));
}

/* ---- bare queues ---- */

typedef struct bare_event {
    moe_time time;
    uint64_t id;
} bare_event;

static bare_event *heap;
static size_t heap_n;

static void
heap_push(moe_time time, uint64_t id)
{
    size_t i = heap_n++;
    for (; i > 0 && time < heap[(i - 1) / 2].time; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = (bare_event){time, id};
}

static bare_event
heap_pop(void)
{
    bare_event top = heap[0], last = heap[--heap_n];
    size_t i = 0;
    for (size_t child = 1; child < heap_n; child = 2 * i + 1) {
        if (child + 1 < heap_n && heap[child + 1].time < heap[child].time)
            child++;
        if (last.time <= heap[child].time)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

/* One rung of linked buckets over an unsorted top, and a sorted bottom. */
typedef struct bare_node {
    bare_event event;
    uint32_t next;
} bare_node;

static struct {
    bare_event bottom[4096], *top;
    size_t first, last, n_top;
    moe_time limit, start, end;
    unsigned shift;
    uint32_t n, current, free;
    uint32_t *heads;
    bare_node *nodes;
} bare;

static void
ladder_insert(bare_event event)
{
    size_t i = bare.last++;
    for (; i > bare.first && event.time < bare.bottom[i - 1].time; i--)
        bare.bottom[i] = bare.bottom[i - 1];
    bare.bottom[i] = event;
}

static void
ladder_bucket(bare_event event)
{
    uint32_t i = bare.free, bucket = (uint32_t)((event.time - bare.start) >> bare.shift);
    bare.free = bare.nodes[i].next;
    bare.nodes[i] = (bare_node){event, bare.heads[bucket]};
    bare.heads[bucket] = i;
}

static void
ladder_push(moe_time time, uint64_t id)
{
    bare_event event = {time, id};
    if (time < bare.limit)
        ladder_insert(event);
    else if (time < bare.end)
        ladder_bucket(event);
    else
        bare.top[bare.n_top++] = event;
}

static void
ladder_spread(void)
{
    moe_time first = bare.top[0].time, last = first;
    for (size_t i = 1; i < bare.n_top; i++) {
        first = bare.top[i].time < first ? bare.top[i].time : first;
        last = bare.top[i].time > last ? bare.top[i].time : last;
    }
    bare.start = first;
    bare.end = last + 1;
    bare.shift = 0;
    while ((uint64_t)(last - first) >> bare.shift >= bare.n_top)
        bare.shift++;
    bare.n = (uint32_t)((last - first) >> bare.shift) + 1;
    bare.current = 0;
    memset(bare.heads, 0xff, bare.n * sizeof *bare.heads);
    for (size_t i = 0; i < bare.n_top; i++)
        ladder_bucket(bare.top[i]);
    bare.n_top = 0;
}

static bare_event
ladder_pop(void)
{
    while (bare.first == bare.last) {
        bare.first = bare.last = 0;
        if (bare.current == bare.n) {
            ladder_spread();
            continue;
        }
        uint32_t next, bucket = bare.current++;
        moe_time limit = bare.start + ((moe_time)bare.current << bare.shift);
        bare.limit = limit < bare.end ? limit : bare.end;
        for (uint32_t i = bare.heads[bucket]; i != MOE_NONE; i = next) {
            next = bare.nodes[i].next;
            ladder_insert(bare.nodes[i].event);
            bare.nodes[i].next = bare.free;
            bare.free = i;
        }
    }
    return bare.bottom[bare.first++];
}

/* Moved to the front when the sorted part has come near the end of its room. */
static void
ladder_settle(void)
{
    if (bare.first < 2048)
        return;
    memmove(bare.bottom, bare.bottom + bare.first, (bare.last - bare.first) * sizeof *bare.bottom);
    bare.last -= bare.first;
    bare.first = 0;
}

static void
ladder_reset(size_t n)
{
    free(bare.top);
    free(bare.heads);
    free(bare.nodes);
    memset(&bare, 0, sizeof bare);
    bare.top = malloc((n + 1) * sizeof *bare.top);
    bare.heads = malloc((n + 1) * sizeof *bare.heads);
    bare.nodes = malloc((n + 1) * sizeof *bare.nodes);
    for (uint32_t i = 0; i <= n; i++)
        bare.nodes[i].next = i + 1;
}

/* ---- holds ---- */

static double
hold_ours(size_t pending, size_t operations)
{
    moe_event_queue *queue = moe_event_queue_new();
    uint64_t *orders = malloc(pending * sizeof *orders);
    moe_event event = {0};
    uint64_t sequence = 0;
    for (; sequence < pending; sequence++) {
        orders[sequence] = sequence;
        moe_event_push(queue, draws[sequence % DRAWS], (uintptr_t)&orders[sequence]);
    }
    double t = 0;
    for (size_t i = 0; i < 2 * operations; i++) {
        if (i == operations) /* the first half warms up */
            t = bench_seconds();
        moe_event_pop(queue, &event);
        sequence++;
        moe_event_push(queue, event.time + draws[sequence % DRAWS], event.item);
    }
    t = bench_seconds() - t;
    free(orders);
    moe_event_queue_free(queue);
    return (double)operations / t * 1e-6;
}

static double
hold_heap(size_t pending, size_t operations)
{
    heap = malloc((pending + 1) * sizeof *heap);
    heap_n = 0;
    uint64_t sequence = 0;
    for (; sequence < pending; sequence++)
        heap_push(draws[sequence % DRAWS], sequence);
    double t = 0;
    for (size_t i = 0; i < 2 * operations; i++) {
        if (i == operations)
            t = bench_seconds();
        bare_event event = heap_pop();
        sequence++;
        heap_push(event.time + draws[sequence % DRAWS], sequence);
    }
    t = bench_seconds() - t;
    free(heap);
    return (double)operations / t * 1e-6;
}

static double
hold_ladder(size_t pending, size_t operations)
{
    ladder_reset(pending);
    uint64_t sequence = 0;
    for (; sequence < pending; sequence++)
        ladder_push(draws[sequence % DRAWS], sequence);
    double t = 0;
    for (size_t i = 0; i < 2 * operations; i++) {
        if (i == operations)
            t = bench_seconds();
        bare_event event = ladder_pop();
        sequence++;
        ladder_push(event.time + draws[sequence % DRAWS], sequence);
        ladder_settle();
    }
    t = bench_seconds() - t;
    return (double)operations / t * 1e-6;
}

typedef struct bench_message {
    uint64_t order;
    moe_stream *to;
} bench_message;

/* PHOLD on one processor: each event goes to an object, draws there, and schedules one more. */
static double
phold(size_t pending, size_t operations)
{
    moe_event_queue *queue = moe_event_queue_new();
    moe_stream *objects = malloc(pending * sizeof *objects);
    bench_message *messages = malloc(pending * sizeof *messages);
    moe_event event = {0};
    uint64_t sequence = 0;
    for (; sequence < pending; sequence++) {
        objects[sequence] = (moe_stream){moe_mix64(sequence), 0};
        messages[sequence] = (bench_message){sequence, &objects[sequence]};
        moe_event_push(queue, draws[sequence % DRAWS], (uintptr_t)&messages[sequence].order);
    }
    double t = 0;
    for (size_t i = 0; i < 2 * operations; i++) {
        if (i == operations)
            t = bench_seconds();
        moe_event_pop(queue, &event);
        bench_message *message = (bench_message *)event.item;
        uint64_t draw = moe_stream_next(message->to);
        message->to = &objects[(draw >> 32) * pending >> 32];
        message->order = ++sequence;
        moe_event_push(queue, event.time + draws[draw % DRAWS], event.item);
    }
    t = bench_seconds() - t;
    free(objects);
    free(messages);
    moe_event_queue_free(queue);
    return (double)operations / t * 1e-6;
}

static double
bench_best(double (*run)(size_t pending, size_t operations), size_t pending)
{
    size_t operations = pending < 100000 ? 1000000 : 10 * pending;
    double best = 0;
    for (int round = 0; round < (pending < 100000 ? 12 : 4); round++) {
        double rate = run(pending, operations);
        best = rate > best ? rate : best;
    }
    return best;
}

int
main(void)
{
    static const size_t sizes[] = {4, 16, 64, 100, 1000, 10000, 100000, 1000000};
    bench_draw();
    printf("M operations/s\n pending    hold  bare heap  bare ladder  hold/best   PHOLD\n");
    for (size_t i = 0; i < MOE_COUNT(sizes); i++) {
        double ours = bench_best(hold_ours, sizes[i]), plain = bench_best(hold_heap, sizes[i]);
        double ladder = bench_best(hold_ladder, sizes[i]);
        printf("%8zu  %6.1f     %6.1f       %6.1f       %4.2f  %6.1f\n", sizes[i], ours, plain,
               ladder, ours / (plain > ladder ? plain : ladder), bench_best(phold, sizes[i]));
    }
    ladder_reset(0);
    free(bare.top);
    free(bare.heads);
    free(bare.nodes);
    return 0;
}
