/* lfu: the object used least often leaves; among equals the one that has been at that count
 * longest, which is the one used longest ago.
 *
 * With `counts: cache` an evicted object starts again at 1; with `counts: history` it goes on from
 * the count that it left with. Residents of one count form a bucket, a list in order of arrival;
 * the buckets in use stand in ascending order of count. Invariant: no bucket in that order is
 * empty, so the victim is the oldest of the first bucket. A hit moves an object to the next bucket;
 * alone in its bucket, it takes the bucket with it. An admission with a history seeks its bucket
 * from below: O(distinct counts).
 *
 * Shah, Mitra, Matani, An O(1) algorithm for implementing the LFU cache eviction scheme, 2010. */
#include "sim/policy/evict/list.h"
#include "sim/policy/evict/replay.h"

enum { COUNTS_CACHE, COUNTS_HISTORY };

typedef struct lfu_config {
    int counts;
} lfu_config;

struct bucket {
    uint32_t count;
    uint32_t lower, higher; /* neighbours in the order; `higher` links the unused ones too */
};

struct lfu {
    moe_links links;        /* list of bucket b: node n_objects + b */
    uint32_t *bucket_of;    /* per object; 0: not resident */
    struct bucket *buckets; /* [0] closes the order on both sides */
    uint32_t *uses;         /* per object, with a history: when it left; else NULL */
    uint32_t n_objects;
    uint32_t unused;
};

static const moe_param lfu_rows[] = {
    {"counts", MOE_PARAM_ENUM, offsetof(lfu_config, counts), "cache", .choices = "cache|history",
     .flags = MOE_PARAM_IDENTITY,
     .help = "Uses that count: since the expert was loaded last, or all that it ever had."},
};

static struct lfu *
lfu_open(const moe_evict_setup *setup, const void *config)
{
    const lfu_config *rows = config;
    uint32_t n_buckets = setup->n_slots + 2; /* one being emptied beside one being filled */
    struct lfu *lfu = moe_policy_alloc(1, sizeof *lfu);
    lfu->links = moe_list_open(setup->n_objects, n_buckets);
    lfu->bucket_of = moe_policy_alloc(setup->n_objects, sizeof *lfu->bucket_of);
    lfu->buckets = moe_policy_alloc(n_buckets, sizeof *lfu->buckets);
    if (rows->counts == COUNTS_HISTORY)
        lfu->uses = moe_policy_alloc(setup->n_objects, sizeof *lfu->uses);
    lfu->n_objects = setup->n_objects;
    lfu->unused = 1;
    for (uint32_t b = 1; b < n_buckets; b++)
        lfu->buckets[b].higher = b + 1;
    return lfu;
}

static void
lfu_close(struct lfu *lfu)
{
    moe_list_close(&lfu->links);
    free(lfu->bucket_of);
    free(lfu->buckets);
    free(lfu->uses);
    free(lfu);
}

static inline bool
lfu_holds(const struct lfu *lfu, uint32_t object)
{
    return lfu->bucket_of[object];
}

/* A new bucket of `count` above bucket `lower`. */
static inline uint32_t
lfu_insert_bucket(struct lfu *lfu, uint32_t lower, uint32_t count)
{
    uint32_t b = lfu->unused, higher = lfu->buckets[lower].higher;
    lfu->unused = lfu->buckets[b].higher;
    lfu->buckets[b] = (struct bucket){count, lower, higher};
    lfu->buckets[lower].higher = b;
    lfu->buckets[higher].lower = b;
    return b;
}

/* Takes the object out of its bucket b, and with the last one the bucket out of the order. */
static inline void
lfu_leave_bucket(struct lfu *lfu, uint32_t b, uint32_t object)
{
    bool alone = lfu->links.prev[object] == lfu->links.next[object];
    moe_list_unlink(&lfu->links, object);
    if (!alone)
        return;
    uint32_t lower = lfu->buckets[b].lower, higher = lfu->buckets[b].higher;
    lfu->buckets[lower].higher = higher;
    lfu->buckets[higher].lower = lower;
    lfu->buckets[b].higher = lfu->unused;
    lfu->unused = b;
}

static inline void
lfu_join_bucket(struct lfu *lfu, uint32_t b, uint32_t object)
{
    lfu->bucket_of[object] = b;
    moe_list_push(&lfu->links, lfu->n_objects + b, object);
}

static inline void
lfu_hit(struct lfu *lfu, uint32_t object)
{
    uint32_t b = lfu->bucket_of[object];
    uint32_t higher = lfu->buckets[b].higher, count = lfu->buckets[b].count + 1;
    if (lfu->buckets[higher].count != count) {
        if (lfu->links.prev[object] == lfu->links.next[object]) {
            lfu->buckets[b].count = count;
            return;
        }
        higher = lfu_insert_bucket(lfu, b, count);
    }
    lfu_leave_bucket(lfu, b, object);
    lfu_join_bucket(lfu, higher, object);
}

/* Takes the object out; the count it had. */
static inline uint32_t
lfu_leave(struct lfu *lfu, uint32_t object)
{
    uint32_t count = lfu->buckets[lfu->bucket_of[object]].count;
    lfu_leave_bucket(lfu, lfu->bucket_of[object], object);
    lfu->bucket_of[object] = 0;
    return count;
}

/* An admission that is called off was no use. */
static inline void
lfu_remove(struct lfu *lfu, uint32_t object)
{
    uint32_t count = lfu_leave(lfu, object);
    if (lfu->uses)
        lfu->uses[object] = count - 1;
}

static inline uint32_t
lfu_victim(struct lfu *lfu, uint32_t incoming, const moe_evict_bar *bar)
{
    for (uint32_t b = lfu->buckets[0].higher; b; b = lfu->buckets[b].higher) {
        uint32_t end = lfu->n_objects + b, object = moe_list_oldest(&lfu->links, end);
        while (object != end && moe_evict_barred(bar, object))
            object = lfu->links.prev[object];
        if (object != end) {
            uint32_t count = lfu_leave(lfu, object);
            if (lfu->uses)
                lfu->uses[object] = count;
            return object;
        }
    }
    return MOE_NONE;
}

static inline void
lfu_admit(struct lfu *lfu, uint32_t object)
{
    uint32_t count = 1 + (lfu->uses ? lfu->uses[object] : 0);
    uint32_t below = 0, b = lfu->buckets[0].higher;
    while (b && lfu->buckets[b].count < count) {
        below = b;
        b = lfu->buckets[b].higher;
    }
    if (!b || lfu->buckets[b].count != count)
        b = lfu_insert_bucket(lfu, below, count);
    lfu_join_bucket(lfu, b, object);
}

MOE_EVICT_ACCESS(lfu)
MOE_EVICT_DEFINE(lfu, 0)

const moe_variant moe_evict_lfu = {
    .name = "lfu",
    .help = "Evict the expert used least often; of equals, the one that has stood at its count "
            "longest.",
    .rows = lfu_rows,
    .n_rows = MOE_COUNT(lfu_rows),
    .config_size = sizeof(lfu_config),
    .ops = &lfu_ops,
};
