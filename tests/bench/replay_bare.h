/* The bare loops that tests/bench/replay.c holds the policies against: each written for its policy
 * alone, on dense arrays with the sizes as they come, for single accesses and nothing else (no
 * bars, no removal, no hooks). Each returns the misses of the stream from an empty cache. */
#ifndef MOE_TESTS_REPLAY_BARE_H
#define MOE_TESTS_REPLAY_BARE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Objects; not a power of two, which would let the arrays alias in the cache. */
enum { BARE_MAX = 4176 };

static uint32_t bare_prev[BARE_MAX + 2], bare_next[BARE_MAX + 2];
static uint32_t bare_ring[BARE_MAX], bare_other[BARE_MAX];
static uint32_t bare_word[BARE_MAX];
static uint8_t bare_byte[BARE_MAX];

static inline void
bare_unlink(uint32_t o)
{
    uint32_t p = bare_prev[o], n = bare_next[o];
    bare_next[p] = n;
    bare_prev[n] = p;
}

static inline void
bare_push(uint32_t end, uint32_t o)
{
    uint32_t newest = bare_next[end];
    bare_prev[o] = end;
    bare_next[o] = newest;
    bare_prev[newest] = o;
    bare_next[end] = o;
}

static inline uint32_t
bare_mask(uint32_t slots)
{
    uint32_t size = 1;
    while (size < slots)
        size *= 2;
    return size - 1;
}

static uint64_t
bare_lru(const uint32_t *objects, size_t n, uint32_t n_objects, uint32_t slots)
{
    const uint32_t end = n_objects;
    uint64_t misses = 0;
    memset(bare_next, 0xFF, sizeof bare_next);
    bare_prev[end] = bare_next[end] = end;
    for (size_t i = 0; i < n; i++) {
        uint32_t o = objects[i];
        if (bare_next[o] != UINT32_MAX) {
            bare_unlink(o);
        } else if (misses++ >= slots) {
            uint32_t v = bare_prev[end], p = bare_prev[v];
            bare_prev[end] = p;
            bare_next[p] = end;
            bare_next[v] = UINT32_MAX;
        }
        bare_push(end, o);
    }
    return misses;
}

static uint64_t
bare_fifo(const uint32_t *objects, size_t n, uint32_t n_objects, uint32_t slots)
{
    uint64_t misses = 0;
    uint32_t at = 0, used = 0;
    memset(bare_byte, 0, sizeof bare_byte);
    for (size_t i = 0; i < n; i++) {
        uint32_t o = objects[i];
        if (bare_byte[o])
            continue;
        misses++;
        if (used == slots)
            bare_byte[bare_ring[at]] = 0;
        else
            used++;
        bare_byte[o] = 1;
        bare_ring[at] = o;
        at = at + 1 == slots ? 0 : at + 1;
    }
    return misses;
}

/* The i-th miss (from 1) is there until miss i + slots: no queue at all. */
static uint64_t
bare_fifo_ages(const uint32_t *objects, size_t n, uint32_t n_objects, uint32_t slots)
{
    uint32_t misses = slots + 1;
    memset(bare_word, 0, sizeof bare_word);
    for (size_t i = 0; i < n; i++) {
        uint32_t o = objects[i];
        if (misses - bare_word[o] > slots)
            bare_word[o] = misses++;
    }
    return misses - slots - 1;
}

static uint64_t
bare_sieve(const uint32_t *objects, size_t n, uint32_t n_objects, uint32_t slots)
{
    uint32_t *ahead = bare_ring, *passed = bare_other, mask = bare_mask(slots);
    uint32_t first = 0, last = 0, n_passed = 0, used = 0;
    uint64_t misses = 0;
    memset(bare_byte, 0, sizeof bare_byte);
    for (size_t i = 0; i < n; i++) {
        uint32_t o = objects[i];
        if (bare_byte[o]) {
            bare_byte[o] = 2;
            continue;
        }
        misses++;
        for (bool gone = used < slots; !gone;) {
            uint32_t v = ahead[first++ & mask];
            gone = --bare_byte[v] == 0;
            if (!gone)
                passed[n_passed++ & mask] = v;
            if (first == last) {
                uint32_t *swap = ahead;
                ahead = passed;
                passed = swap;
                first = 0;
                last = n_passed;
                n_passed = 0;
            }
        }
        used += used < slots;
        bare_byte[o] = 1;
        ahead[last++ & mask] = o;
    }
    return misses;
}

struct bare_bucket {
    uint32_t count, lower, higher;
};
static struct bare_bucket bare_buckets[BARE_MAX];
static uint32_t bare_list_prev[2 * BARE_MAX], bare_list_next[2 * BARE_MAX];

static inline void
bare_join(uint32_t end, uint32_t o, uint32_t b)
{
    uint32_t newest = bare_list_next[end];
    bare_word[o] = b;
    bare_list_prev[o] = end;
    bare_list_next[o] = newest;
    bare_list_prev[newest] = o;
    bare_list_next[end] = o;
}

static inline uint32_t
bare_new_bucket(uint32_t *unused, uint32_t lower, uint32_t count)
{
    uint32_t b = *unused, higher = bare_buckets[lower].higher;
    *unused = bare_buckets[b].higher;
    bare_buckets[b] = (struct bare_bucket){count, lower, higher};
    bare_buckets[lower].higher = bare_buckets[higher].lower = b;
    return b;
}

static inline void
bare_part(uint32_t *unused, uint32_t o, uint32_t b)
{
    uint32_t p = bare_list_prev[o], x = bare_list_next[o];
    bare_list_next[p] = x;
    bare_list_prev[x] = p;
    if (p != x) /* not alone in it */
        return;
    uint32_t lower = bare_buckets[b].lower, higher = bare_buckets[b].higher;
    bare_buckets[lower].higher = higher;
    bare_buckets[higher].lower = lower;
    bare_buckets[b].higher = *unused;
    *unused = b;
}

static uint64_t
bare_lfu(const uint32_t *objects, size_t n, uint32_t n_objects, uint32_t slots)
{
    uint64_t misses = 0;
    uint32_t unused = 1;
    memset(bare_word, 0, sizeof bare_word); /* bucket, 0: absent */
    for (uint32_t b = 0; b < slots + 2; b++) {
        bare_buckets[b] = (struct bare_bucket){0, 0, b ? b + 1 : 0};
        bare_list_prev[n_objects + b] = bare_list_next[n_objects + b] = n_objects + b;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t o = objects[i], b = bare_word[o];
        if (b) {
            uint32_t higher = bare_buckets[b].higher, count = bare_buckets[b].count + 1;
            if (bare_buckets[higher].count != count) {
                if (bare_list_prev[o] == bare_list_next[o]) {
                    bare_buckets[b].count = count;
                    continue;
                }
                higher = bare_new_bucket(&unused, b, count);
            }
            bare_part(&unused, o, b);
            bare_join(n_objects + higher, o, higher);
            continue;
        }
        uint32_t lowest = bare_buckets[0].higher;
        if (misses++ >= slots) {
            uint32_t v = bare_list_prev[n_objects + lowest];
            bare_word[v] = 0;
            bare_part(&unused, v, lowest);
            lowest = bare_buckets[0].higher;
        }
        if (bare_buckets[lowest].count != 1)
            lowest = bare_new_bucket(&unused, 0, 1);
        bare_join(n_objects + lowest, o, lowest);
    }
    return misses;
}

/* T1 + B1 and T2 + B2 as two lists; `old1`, `old2` are the oldest residents of each. */
static uint64_t
bare_arc(const uint32_t *objects, size_t n, uint32_t n_objects, uint32_t slots)
{
    enum { B1 = 1, B2, T1, T2 };
    const uint32_t end1 = n_objects, end2 = n_objects + 1;
    uint32_t t1 = 0, t2 = 0, b1 = 0, b2 = 0, whole = 0, old1 = end1, old2 = end2;
    uint64_t misses = 0;
    double target = 0, c = slots;
    bool exact = true;
    memset(bare_byte, 0, sizeof bare_byte);
    bare_prev[end1] = bare_next[end1] = end1;
    bare_prev[end2] = bare_next[end2] = end2;
    for (size_t i = 0; i < n; i++) {
        uint32_t o = objects[i];
        uint8_t where = bare_byte[o];
        if (where >= T1) {
            uint32_t newer = bare_prev[o];
            old1 = o == old1 ? newer : old1;
            old2 = o == old2 ? newer : old2;
            t1 -= where == T1;
            t2 += where == T1;
            bare_unlink(o);
            bare_byte[o] = T2;
            bare_push(end2, o);
            old2 = old2 == end2 ? o : old2;
            continue;
        }
        misses++;
        bool full = t1 + t2 == slots;
        if (where) {
            bare_unlink(o);
            double up = b2 > b1 ? (double)b2 / b1 : 1, down = b1 > b2 ? (double)b1 / b2 : 1;
            target = where == B1 ? target + up : target - down;
            target = target > c ? c : target < 0 ? 0 : target;
            b1 -= where == B1;
            b2 -= where == B2;
            whole = (uint32_t)target;
            exact = whole == target;
        } else if (t1 + b1 >= slots) {
            uint32_t v = bare_prev[end1];
            bare_byte[v] = 0;
            old1 = b1 ? old1 : bare_prev[v];
            t1 -= !b1;
            full = b1;
            b1 -= b1 > 0;
            bare_unlink(v);
        } else if (t1 + t2 + b1 + b2 >= 2 * slots) {
            uint32_t v = bare_prev[end2];
            bare_byte[v] = 0;
            b2--;
            bare_unlink(v);
        }
        if (full && (t1 > whole || (t1 && t1 == whole && exact && where == B2) || !t2)) {
            bare_byte[old1] = B1;
            old1 = bare_prev[old1];
            t1--;
            b1++;
        } else if (full) {
            bare_byte[old2] = B2;
            old2 = bare_prev[old2];
            t2--;
            b2++;
        }
        if (where) {
            bare_byte[o] = T2;
            bare_push(end2, o);
            old2 = old2 == end2 ? o : old2;
            t2++;
        } else {
            bare_byte[o] = T1;
            bare_push(end1, o);
            old1 = old1 == end1 ? o : old1;
            t1++;
        }
    }
    return misses;
}

static uint64_t
bare_s3fifo(const uint32_t *objects, size_t n, uint32_t n_objects, uint32_t slots)
{
    enum { GHOST = 4, SMALL = 8, MAIN = 16 };
    const uint32_t end = n_objects, mask = bare_mask(slots);
    const uint32_t main_slots = slots - slots / 10, ghost_slots = (uint32_t)(0.9 * slots);
    uint32_t *small = bare_ring, *main = bare_other;
    uint32_t s0 = 0, s1 = 0, m0 = 0, m1 = 0, ghosts = 0;
    uint64_t misses = 0;
    memset(bare_byte, 0, sizeof bare_byte);
    bare_prev[end] = bare_next[end] = end;
    for (size_t i = 0; i < n; i++) {
        uint32_t o = objects[i];
        uint8_t what = bare_byte[o];
        if (what >= SMALL) {
            bare_byte[o] = (uint8_t)(what + ((what & 3) != 3));
            continue;
        }
        misses++;
        if (what == GHOST) {
            bare_unlink(o);
            ghosts--;
        }
        for (bool gone = s1 - s0 + m1 - m0 < slots; !gone;) {
            if (m1 - m0 > main_slots || s0 == s1) {
                uint32_t v = main[m0++ & mask];
                gone = bare_byte[v] == MAIN;
                bare_byte[v] = gone ? 0 : (uint8_t)(bare_byte[v] - 1);
                if (!gone)
                    main[m1++ & mask] = v;
                continue;
            }
            while (s0 != s1 && !gone) {
                uint32_t v = small[s0++ & mask];
                if ((bare_byte[v] & 3) >= 2) {
                    bare_byte[v] = MAIN;
                    main[m1++ & mask] = v;
                    continue;
                }
                gone = true;
                bare_byte[v] = ghost_slots ? GHOST : 0;
                if (ghosts == ghost_slots && ghosts) {
                    uint32_t oldest = bare_prev[end];
                    bare_byte[oldest] = 0;
                    bare_unlink(oldest);
                    ghosts--;
                }
                if (ghost_slots) {
                    bare_push(end, v);
                    ghosts++;
                }
            }
        }
        if (what == GHOST) {
            bare_byte[o] = MAIN;
            main[m1++ & mask] = o;
        } else {
            bare_byte[o] = SMALL;
            small[s1++ & mask] = o;
        }
    }
    return misses;
}

/* Next uses for the whole stream, then a bitmap of them with three summaries (64^4 accesses). */
static uint64_t
bare_belady(const uint32_t *objects, size_t n, uint32_t n_objects, uint32_t slots)
{
    uint32_t *next = malloc(n * sizeof *next);
    uint64_t *a = calloc(n / 64 + 1, 8), *b = calloc(n / 4096 + 1, 8);
    uint64_t *c = calloc(n / 262144 + 1, 8), *d = calloc(n / 16777216 + 1, 8);
    memset(bare_word, 0xFF, sizeof bare_word);
    for (size_t i = n; i-- > 0;) {
        next[i] = bare_word[objects[i]];
        bare_word[objects[i]] = (uint32_t)i;
    }
    uint64_t misses = 0, top = 0;
    uint32_t unused = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(a[i / 64] >> (i % 64) & 1) && misses++ >= slots) {
            if (unused) {
                unused--;
            } else {
                while (!d[top])
                    top--;
                uint64_t z = top * 64 + 63 - (uint64_t)__builtin_clzll(d[top]);
                uint64_t y = z * 64 + 63 - (uint64_t)__builtin_clzll(c[z]);
                uint64_t x = y * 64 + 63 - (uint64_t)__builtin_clzll(b[y]);
                uint64_t bit = 63 - (uint64_t)__builtin_clzll(a[x]);
                a[x] &= ~(1ull << bit);
                if (!a[x] && !(b[y] &= ~(1ull << (x % 64))) && !(c[z] &= ~(1ull << (y % 64))))
                    d[top] &= ~(1ull << (z % 64));
            }
        }
        uint64_t at = next[i];
        if (at == UINT32_MAX) {
            unused++;
            continue;
        }
        bool known = a[at / 64];
        a[at / 64] |= 1ull << (at % 64);
        if (!known) {
            b[at / 4096] |= 1ull << (at / 64 % 64);
            c[at / 262144] |= 1ull << (at / 4096 % 64);
            d[at / 16777216] |= 1ull << (at / 262144 % 64);
            top = at / 16777216 > top ? at / 16777216 : top;
        }
    }
    free(next);
    free(a);
    free(b);
    free(c);
    free(d);
    return misses;
}

#endif
