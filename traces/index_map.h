/* A map from 64-bit keys to dense indices 0, 1, 2, … in order of first appearance: open addressing
 * in flat arrays. Zero-initialised it is empty. */
#ifndef MOE_TRACES_INDEX_MAP_H
#define MOE_TRACES_INDEX_MAP_H

#include "sim/base/random.h"

#include <glib.h>

typedef struct moe_index_map {
    uint64_t *keys;
    uint32_t *values; /* MOE_NONE: empty slot */
    size_t capacity;  /* a power of two */
    uint32_t n;
} moe_index_map;

static inline size_t
moe_index_map_slot(const moe_index_map *map, uint64_t key)
{
    size_t mask = map->capacity - 1, at = (size_t)moe_mix64(key + 0x9E3779B97F4A7C15ull) & mask;
    while (map->values[at] != MOE_NONE && map->keys[at] != key)
        at = (at + 1) & mask;
    return at;
}

static inline bool
moe_index_map_grow(moe_index_map *map)
{
    moe_index_map bigger = {.capacity = map->capacity ? map->capacity * 2 : 256, .n = map->n};
    bigger.keys = g_try_new(uint64_t, bigger.capacity);
    bigger.values = g_try_new(uint32_t, bigger.capacity);
    if (!bigger.keys || !bigger.values) {
        g_free(bigger.keys);
        g_free(bigger.values);
        return false;
    }
    for (size_t i = 0; i < bigger.capacity; i++)
        bigger.values[i] = MOE_NONE;
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->values[i] == MOE_NONE)
            continue;
        size_t at = moe_index_map_slot(&bigger, map->keys[i]);
        bigger.keys[at] = map->keys[i];
        bigger.values[at] = map->values[i];
    }
    g_free(map->keys);
    g_free(map->values);
    *map = bigger;
    return true;
}

/* The index of `key`, which is `n` before the call when the key is new; MOE_NONE: no memory. */
static inline uint32_t
moe_index_map_add(moe_index_map *map, uint64_t key)
{
    if ((size_t)map->n * 3 >= map->capacity * 2 && !moe_index_map_grow(map))
        return MOE_NONE;
    size_t at = moe_index_map_slot(map, key);
    if (map->values[at] == MOE_NONE) {
        map->keys[at] = key;
        map->values[at] = map->n++;
    }
    return map->values[at];
}

static inline void
moe_index_map_clear(moe_index_map *map)
{
    g_free(map->keys);
    g_free(map->values);
    *map = (moe_index_map){0};
}

#endif
