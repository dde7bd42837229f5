/* A set of points in time 0..n-1 that knows its last one: a bitmap with summaries, 64 to 1, in
 * which a bit says that the word below it is not zero. Marking and clearing touch one word per
 * level, and mostly only the lowest. */
#ifndef MOE_POLICY_EVICT_TIMELINE_H
#define MOE_POLICY_EVICT_TIMELINE_H

#include "sim/policy/memory.h"

#define MOE_TIMELINE_LEVELS 6 /* 64^6 > 2^32 */

typedef struct moe_timeline {
    uint64_t *level[MOE_TIMELINE_LEVELS];
    unsigned n_levels;
    uint64_t last; /* meaningless while the set is empty */
} moe_timeline;

static inline void
moe_timeline_open(moe_timeline *time, uint64_t n)
{
    *time = (moe_timeline){0};
    do {
        n = n / 64 + 1;
        time->level[time->n_levels++] = moe_policy_alloc(n, sizeof(uint64_t));
    } while (n > 1);
}

static inline void
moe_timeline_close(moe_timeline *time)
{
    for (unsigned l = 0; l < time->n_levels; l++)
        free(time->level[l]);
}

static inline bool
moe_timeline_marked(const moe_timeline *time, uint64_t at)
{
    return time->level[0][at / 64] >> (at % 64) & 1;
}

static inline void
moe_timeline_mark(moe_timeline *time, uint64_t at)
{
    time->last = at > time->last ? at : time->last;
    for (unsigned l = 0; l < time->n_levels; l++, at /= 64) {
        uint64_t *word = &time->level[l][at / 64];
        bool known = *word;
        *word |= 1ull << (at % 64);
        if (known)
            break;
    }
}

/* Clears the last point and finds the one before it; with none left, `last` is 0. */
static inline void
moe_timeline_clear_last(moe_timeline *time)
{
    uint64_t at = time->last, word = 0;
    unsigned l = 0;
    bool empty = true;
    for (; l < time->n_levels; l++, at /= 64) {
        uint64_t bit = 1ull << (at % 64);
        uint64_t *w = &time->level[l][at / 64];
        if (empty)
            *w &= ~bit;
        empty = !*w;
        word = *w & (bit - 1);
        if (word)
            break;
    }
    time->last = 0;
    if (l == time->n_levels)
        return;
    at = at / 64 * 64 + (63 - (uint64_t)__builtin_clzll(word));
    while (l--)
        at = at * 64 + (63 - (uint64_t)__builtin_clzll(time->level[l][at]));
    time->last = at;
}

#endif
