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

/* The slot of a name of this hash, which is empty when the name is new. */
static size_t
names_slot(const moe_names *names, uint64_t hash, const char *name, size_t n)
{
    size_t mask = names->n_slots - 1, at = (size_t)hash & mask;
    for (; names->slots[at]; at = (at + 1) & mask) {
        if ((names->slots[at] ^ hash) >> 32)
            continue;
        size_t length;
        const char *known = moe_names_at(names, (uint32_t)names->slots[at] - 1, &length);
        if (length == n && (n == 0 || memcmp(known, name, n) == 0))
            break;
    }
    return at;
}

static bool
names_grow_slots(moe_names *names)
{
    size_t n_slots = names->n_slots ? names->n_slots * 4 : 64, mask = n_slots - 1;
    uint64_t *slots = g_try_new0(uint64_t, n_slots);
    if (!slots)
        return false;
    for (uint32_t i = 0; i < names->n; i++) {
        size_t n;
        const char *name = moe_names_at(names, i, &n);
        uint64_t hash = names_hash(name, n);
        size_t at = (size_t)hash & mask;
        while (slots[at])
            at = (at + 1) & mask;
        slots[at] = (hash >> 32 << 32) | (i + 1);
    }
    g_free(names->slots);
    names->slots = slots;
    names->n_slots = n_slots;
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
    if (names->n == MOE_NONE - 1 || !names_reserve(names, n))
        return MOE_NONE;
    uint64_t hash = names_hash(name, n);
    size_t slot = names_slot(names, hash, name, n);
    if (names->slots[slot])
        return (uint32_t)names->slots[slot] - 1;
    if (n)
        memcpy(names->bytes + names->n_bytes, name, n);
    names->n_bytes += n;
    names->ends[names->n] = names->n_bytes;
    names->slots[slot] = (hash >> 32 << 32) | (names->n + 1);
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
