#include "traces/requests/names.h"

#include "sim/base/random.h"

#include <glib.h>
#include <string.h>

static uint64_t
names_hash(const char *name, size_t n)
{
    uint64_t hash = n;
    for (; n >= sizeof hash; n -= sizeof hash, name += sizeof hash) {
        uint64_t word;
        memcpy(&word, name, sizeof word);
        hash = moe_mix64(hash ^ word) + 0x9E3779B97F4A7C15ull;
    }
    uint64_t word = 0;
    memcpy(&word, name, n);
    return moe_mix64(hash ^ word);
}

const char *
moe_names_at(const moe_names *names, uint32_t i, size_t *n)
{
    size_t first = i ? names->ends[i - 1] : 0;
    *n = names->ends[i] - first;
    return names->bytes + first;
}

static size_t
names_slot(const moe_names *names, const char *name, size_t n)
{
    size_t mask = names->n_slots - 1, at = (size_t)names_hash(name, n) & mask;
    for (; names->slots[at] != MOE_NONE; at = (at + 1) & mask) {
        size_t length;
        const char *known = moe_names_at(names, names->slots[at], &length);
        if (length == n && (n == 0 || memcmp(known, name, n) == 0))
            break;
    }
    return at;
}

static bool
names_grow_slots(moe_names *names)
{
    size_t n_slots = names->n_slots ? names->n_slots * 2 : 64;
    uint32_t *slots = g_try_new(uint32_t, n_slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < n_slots; i++)
        slots[i] = MOE_NONE;
    g_free(names->slots);
    names->slots = slots;
    names->n_slots = n_slots;
    for (uint32_t i = 0; i < names->n; i++) {
        size_t length;
        const char *name = moe_names_at(names, i, &length);
        slots[names_slot(names, name, length)] = i;
    }
    return true;
}

/* Room for one more name of n bytes. */
static bool
names_reserve(moe_names *names, size_t n)
{
    if (names->n == names->max) {
        uint32_t max = names->max ? names->max * 2 : 32;
        void *ends =
            max > names->max ? g_try_realloc_n(names->ends, max, sizeof *names->ends) : NULL;
        if (!ends)
            return false;
        names->ends = ends;
        names->max = max;
    }
    if (names->max_bytes - names->n_bytes < n || !names->bytes) {
        size_t max = names->max_bytes * 2 + n + 256;
        void *bytes = g_try_realloc(names->bytes, max);
        if (!bytes)
            return false;
        names->bytes = bytes;
        names->max_bytes = max;
    }
    return (size_t)names->n * 3 < names->n_slots * 2 || names_grow_slots(names);
}

uint32_t
moe_names_add(moe_names *names, const void *name, size_t n)
{
    if (names->n_slots) {
        uint32_t known = names->slots[names_slot(names, name, n)];
        if (known != MOE_NONE)
            return known;
    }
    if (names->n == MOE_NONE - 1 || !names_reserve(names, n))
        return MOE_NONE;
    size_t slot = names_slot(names, name, n);
    if (n)
        memcpy(names->bytes + names->n_bytes, name, n);
    names->n_bytes += n;
    names->ends[names->n] = names->n_bytes;
    names->slots[slot] = names->n;
    return names->n++;
}

void
moe_names_clear(moe_names *names)
{
    g_free(names->bytes);
    g_free(names->ends);
    g_free(names->slots);
    *names = (moe_names){0};
}
