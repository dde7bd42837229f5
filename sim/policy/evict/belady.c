/* belady: the object whose next use lies farthest ahead leaves; never is farther than any.
 *
 * The optimum without bypass for objects of one size and one access at a time; a bound for the
 * others, not something a machine can do. A binary heap holds the residents, farthest next use on
 * top; the keys are copies, taken at the object's last hit or admission, so the heap is in order
 * whatever the view says by now. All are O(log slots); past k barred objects `victim` looks at
 * O(k) more. In a stream of single accesses next uses are distinct, and the tight loop replaces
 * the heap by a bitmap over time (belady_replay).
 *
 * Belady, A study of replacement algorithms for a virtual-storage computer, IBM Systems Journal
 * 5(2), 1966. */
#include "sim/policy/evict/future.h"
#include "sim/policy/evict/replay.h"
#include "sim/policy/evict/timeline.h"

struct belady {
    const uint32_t *next_use; /* the setup's view */
    uint32_t *heap;           /* objects */
    uint32_t *at, *key;       /* per object: place in the heap, next use */
    uint32_t *visit;          /* places to look at, when something is barred */
    uint32_t n;
};

static struct belady *
belady_open(const moe_evict_setup *setup, const void *config)
{
    struct belady *belady = moe_policy_alloc(1, sizeof *belady);
    belady->next_use = setup->next_use;
    belady->heap = moe_policy_alloc(setup->n_slots, sizeof *belady->heap);
    belady->at = moe_policy_alloc(setup->n_objects, sizeof *belady->at);
    belady->key = moe_policy_alloc(setup->n_objects, sizeof *belady->key);
    belady->visit = moe_policy_alloc((size_t)setup->n_slots + 1, sizeof *belady->visit);
    return belady;
}

static void
belady_close(struct belady *belady)
{
    free(belady->heap);
    free(belady->at);
    free(belady->key);
    free(belady->visit);
    free(belady);
}

static inline void
belady_set(struct belady *belady, uint32_t place, uint32_t object)
{
    belady->heap[place] = object;
    belady->at[object] = place;
}

/* Puts `object` where it belongs, from a hole at `place`. */
static inline void
belady_settle(struct belady *belady, uint32_t place, uint32_t object)
{
    uint32_t key = belady->key[object];
    while (place) {
        uint32_t above = belady->heap[(place - 1) / 2];
        if (belady->key[above] >= key)
            break;
        belady_set(belady, place, above);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= belady->n)
            break;
        if (child + 1 < belady->n &&
            belady->key[belady->heap[child + 1]] > belady->key[belady->heap[child]])
            child++;
        if (belady->key[belady->heap[child]] <= key)
            break;
        belady_set(belady, place, belady->heap[child]);
        place = child;
    }
    belady_set(belady, place, object);
}

static inline void
belady_hit(struct belady *belady, uint32_t object)
{
    belady->key[object] = belady->next_use[object];
    belady_settle(belady, belady->at[object], object);
}

static inline void
belady_remove(struct belady *belady, uint32_t object)
{
    uint32_t place = belady->at[object], last = belady->heap[--belady->n];
    if (last != object)
        belady_settle(belady, place, last);
}

/* The farthest that is not barred: from the top down, turning back where nothing is farther. */
static inline uint32_t
belady_farthest(struct belady *belady, const moe_evict_bar *bar)
{
    uint32_t best = MOE_NONE, n = 0;
    belady->visit[n++] = 0;
    while (n) {
        uint32_t place = belady->visit[--n];
        if (place >= belady->n)
            continue;
        uint32_t object = belady->heap[place];
        if (best != MOE_NONE && belady->key[object] <= belady->key[best])
            continue;
        if (!moe_evict_barred(bar, object)) {
            best = object;
            continue;
        }
        belady->visit[n++] = 2 * place + 2;
        belady->visit[n++] = 2 * place + 1;
    }
    return best;
}

static inline uint32_t
belady_victim(struct belady *belady, uint32_t incoming, const moe_evict_bar *bar)
{
    uint32_t victim = belady_farthest(belady, bar);
    if (victim != MOE_NONE)
        belady_remove(belady, victim);
    return victim;
}

static inline void
belady_admit(struct belady *belady, uint32_t object)
{
    belady->key[object] = belady->next_use[object];
    belady_settle(belady, belady->n++, object);
}

/* A resident's mark stands at the time of its next use: an access at time i is a hit if and only
 * if time i is marked, the victim is what is accessed at the last mark, and marks that have become
 * the past need no removal. Residents that are never used again are only counted. */
static uint64_t
belady_replay(const moe_evict_setup *setup, const void *config, const moe_evict_stream *stream,
              uint64_t *fills)
{
    moe_future future;
    moe_timeline marks;
    moe_future_open(&future, stream, setup->n_objects);
    moe_timeline_open(&marks, stream->n);
    uint64_t misses = 0;
    uint32_t unused = 0;
    *fills = 0;
    for (size_t from = 0; from < stream->n; from += future.block) {
        size_t end = moe_future_end(&future, from);
        moe_future_read(&future, from);
        for (size_t i = from; i < end; i++) {
            if (!moe_timeline_marked(&marks, i)) {
                misses++;
                if (*fills < setup->n_slots)
                    ++*fills;
                else if (unused)
                    unused--;
                else
                    moe_timeline_clear_last(&marks);
            }
            uint32_t next = future.next_use[i - from];
            if (next == MOE_NONE)
                unused++;
            else
                moe_timeline_mark(&marks, next);
        }
    }
    moe_future_close(&future);
    moe_timeline_close(&marks);
    return misses;
}

MOE_EVICT_HOOKS(belady, MOE_EVICT_NEXT_USE)

const moe_variant moe_evict_belady = {
    .name = "belady",
    .help = "Evict the expert whose next use lies farthest ahead: needs the future, a bound for "
            "the other policies.",
    .ops = &belady_ops,
};
