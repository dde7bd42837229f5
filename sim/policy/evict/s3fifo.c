/* s3fifo: three queues; what is not used again soon after its admission leaves quickly.
 *
 * A new object enters the small queue. At its end it moves to the main queue if it was hit at
 * least `threshold` times, else it leaves and a ghost queue remembers it; a miss found there
 * enters the main queue at once. At the main queue's end an object that was hit goes round once
 * more with one use less. Invariant: residents = small + main; only their sum is bounded, main's
 * size decides where the next victim is sought. The resident queues are rings; the ghost queue is
 * a list, since objects leave it from the middle. Walking past barred objects and `remove` are
 * O(slots).
 *
 * Yang et al., FIFO queues are all you need for cache eviction, SOSP 2023. */
#include "sim/policy/evict/list.h"
#include "sim/policy/evict/replay.h"
#include "sim/policy/evict/ring.h"

/* What is known of an object: where it is, and in the low bits its uses (at most 3). */
enum { ABSENT = 0, USES = 3, GHOST = 4, SMALL = 8, MAIN = 16 };

typedef struct s3fifo_config {
    double small, ghost;
    int64_t threshold;
} s3fifo_config;

struct s3fifo {
    moe_ring small, main;
    moe_links ghosts;
    uint8_t *what; /* per object */
    uint32_t end;  /* the ghost list's own node */
    uint32_t main_slots, ghost_slots, n_ghosts;
    uint32_t threshold;
    uint32_t coming; /* the object that `victim` made room for */
    bool coming_to_main;
};

static const moe_param s3fifo_rows[] = {
    {"small", MOE_PARAM_SHARE, offsetof(s3fifo_config, small), "10%", 0, 1,
     .flags = MOE_PARAM_IDENTITY, .help = "Share of the slots meant for the small queue."},
    {"ghost", MOE_PARAM_SHARE, offsetof(s3fifo_config, ghost), "90%", 0, 1,
     .flags = MOE_PARAM_IDENTITY, .help = "Evicted experts remembered, as a share of the slots."},
    {"threshold", MOE_PARAM_INT, offsetof(s3fifo_config, threshold), "2", 1, 3,
     .flags = MOE_PARAM_IDENTITY,
     .help = "Hits in the small queue that carry an expert into the main queue."},
};

static struct s3fifo *
s3fifo_open(const moe_evict_setup *setup, const void *config)
{
    const s3fifo_config *rows = config;
    struct s3fifo *s3 = moe_policy_alloc(1, sizeof *s3);
    s3->main_slots = setup->n_slots - (uint32_t)(rows->small * setup->n_slots);
    s3->ghost_slots = (uint32_t)(rows->ghost * setup->n_slots);
    s3->threshold = (uint32_t)rows->threshold;
    s3->coming = MOE_NONE;
    moe_ring_open(&s3->small, setup->n_slots);
    moe_ring_open(&s3->main, setup->n_slots);
    s3->ghosts = moe_list_open(setup->n_objects, 1);
    s3->end = setup->n_objects;
    s3->what = moe_policy_alloc(setup->n_objects, 1);
    return s3;
}

static void
s3fifo_close(struct s3fifo *s3)
{
    moe_ring_close(&s3->small);
    moe_ring_close(&s3->main);
    moe_list_close(&s3->ghosts);
    free(s3->what);
    free(s3);
}

static inline bool
s3fifo_holds(const struct s3fifo *s3, uint32_t object)
{
    return s3->what[object] >= SMALL;
}

static inline void
s3fifo_hit(struct s3fifo *s3, uint32_t object)
{
    unsigned what = s3->what[object];
    s3->what[object] = (uint8_t)(what + ((what & USES) != USES));
}

/* Takes a ghost out; false if the object is none. */
static inline bool
s3fifo_recall(struct s3fifo *s3, uint32_t object)
{
    if (s3->what[object] != GHOST)
        return false;
    s3->what[object] = ABSENT;
    s3->n_ghosts--;
    moe_list_unlink(&s3->ghosts, object);
    return true;
}

static inline void
s3fifo_remember(struct s3fifo *s3, uint32_t object)
{
    if (s3->n_ghosts == s3->ghost_slots) {
        if (!s3->ghost_slots) {
            s3->what[object] = ABSENT;
            return;
        }
        s3fifo_recall(s3, moe_list_oldest(&s3->ghosts, s3->end));
    }
    s3->what[object] = GHOST;
    s3->n_ghosts++;
    moe_list_push(&s3->ghosts, s3->end, object);
}

/* MOE_NONE: what was not barred has all moved to the main queue. */
static inline uint32_t
s3fifo_from_small(struct s3fifo *s3, const moe_evict_bar *bar)
{
    uint32_t i = 0;
    while ((i = moe_ring_free(&s3->small, i, bar)) < moe_ring_count(&s3->small)) {
        uint32_t object = moe_ring_take(&s3->small, i);
        if ((s3->what[object] & USES) < s3->threshold) {
            s3fifo_remember(s3, object);
            return object;
        }
        s3->what[object] = MAIN;
        moe_ring_push(&s3->main, object);
    }
    return MOE_NONE;
}

static inline uint32_t
s3fifo_from_main(struct s3fifo *s3, const moe_evict_bar *bar)
{
    uint32_t i = 0;
    while ((i = moe_ring_free(&s3->main, i, bar)) < moe_ring_count(&s3->main)) {
        uint32_t object = moe_ring_take(&s3->main, i);
        if (s3->what[object] == MAIN) {
            s3->what[object] = ABSENT;
            return object;
        }
        s3->what[object]--;
        moe_ring_push(&s3->main, object);
    }
    return MOE_NONE;
}

static inline bool
s3fifo_stuck(const struct s3fifo *s3, const moe_evict_bar *bar)
{
    return bar && moe_ring_free(&s3->small, 0, bar) == moe_ring_count(&s3->small) &&
           moe_ring_free(&s3->main, 0, bar) == moe_ring_count(&s3->main);
}

static inline uint32_t
s3fifo_victim(struct s3fifo *s3, uint32_t incoming, const moe_evict_bar *bar)
{
    if (s3fifo_stuck(s3, bar))
        return MOE_NONE;
    s3->coming = incoming;
    s3->coming_to_main = s3fifo_recall(s3, incoming);
    for (;;) {
        bool first = moe_ring_count(&s3->main) > s3->main_slots || !moe_ring_count(&s3->small);
        uint32_t victim = first ? s3fifo_from_main(s3, bar) : s3fifo_from_small(s3, bar);
        if (victim == MOE_NONE)
            victim = first ? s3fifo_from_small(s3, bar) : s3fifo_from_main(s3, bar);
        if (victim != MOE_NONE)
            return victim;
    }
}

static inline void
s3fifo_admit(struct s3fifo *s3, uint32_t object)
{
    if (s3->coming != object)
        s3->coming_to_main = s3fifo_recall(s3, object);
    s3->coming = MOE_NONE;
    if (s3->coming_to_main) {
        s3->what[object] = MAIN;
        moe_ring_push(&s3->main, object);
    } else {
        s3->what[object] = SMALL;
        moe_ring_push(&s3->small, object);
    }
}

static inline void
s3fifo_remove(struct s3fifo *s3, uint32_t object)
{
    uint32_t i = moe_ring_find(&s3->main, object);
    if (i != MOE_NONE)
        moe_ring_take(&s3->main, i);
    else
        moe_ring_take(&s3->small, moe_ring_find(&s3->small, object));
    s3->what[object] = ABSENT;
}

MOE_EVICT_ACCESS(s3fifo)
MOE_EVICT_DEFINE(s3fifo, 0)

const moe_variant moe_evict_s3fifo = {
    .name = "s3fifo",
    .help = "Let new experts prove themselves in a small queue before they enter the main one "
            "(S3-FIFO).",
    .rows = s3fifo_rows,
    .n_rows = MOE_COUNT(s3fifo_rows),
    .config_size = sizeof(s3fifo_config),
    .ops = &s3fifo_ops,
};
