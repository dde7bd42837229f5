/* Driving an eviction policy's hooks as a cache would, for property tests. */
#ifndef MOE_TESTS_POLICY_DRIVE_H
#define MOE_TESTS_POLICY_DRIVE_H

#include "sim/base/random.h"
#include "sim/policy/evict/evict.h"
#include "tests/property/policy_config.h"

typedef struct drive {
    const moe_evict_ops *ops;
    void *state;
    uint32_t n_objects, n_slots, occupied;
    uint32_t *next_use;
    bool *resident;
    uint64_t misses, fills;
} drive;

static inline drive
drive_open(const policy_config *policy, uint32_t n_objects, uint32_t n_slots,
           const uint32_t *popularity)
{
    drive d = {.ops = policy->variant->ops, .n_objects = n_objects, .n_slots = n_slots};
    d.next_use = g_new0(uint32_t, n_objects);
    d.resident = g_new0(bool, n_objects);
    moe_evict_setup setup = {n_objects, n_slots, d.next_use, popularity};
    d.state = d.ops->open(&setup, policy->config);
    return d;
}

static inline void
drive_close(drive *d)
{
    d->ops->close(d->state);
    g_free(d->next_use);
    g_free(d->resident);
}

/* Makes room; MOE_NONE when everything is barred. */
static inline uint32_t
drive_evict(drive *d, uint32_t incoming, const moe_evict_bar *bar)
{
    uint32_t victim = d->ops->victim(d->state, incoming, bar);
    if (victim != MOE_NONE) {
        moe_assert(victim < d->n_objects && d->resident[victim], "victim %u is not resident",
                   victim);
        d->resident[victim] = false;
        d->occupied--;
    }
    return victim;
}

static inline void
drive_admit(drive *d, uint32_t object)
{
    d->ops->admit(d->state, object);
    d->resident[object] = true;
    d->occupied++;
}

/* One access; returns the victim, MOE_NONE when nobody had to leave. */
static inline uint32_t
drive_access(drive *d, uint32_t object, uint32_t next_use)
{
    uint32_t victim = MOE_NONE;
    d->next_use[object] = next_use;
    if (d->resident[object]) {
        d->ops->hit(d->state, object);
        return MOE_NONE;
    }
    d->misses++;
    if (d->occupied == d->n_slots)
        victim = drive_evict(d, object, NULL);
    else
        d->fills++;
    drive_admit(d, object);
    return victim;
}

/* A stream with some of everything: skewed draws, stretches of a cycle, repeats. */
typedef struct sample {
    uint32_t n_objects, n;
    uint32_t *objects, *next_use, *popularity;
} sample;

static inline sample
sample_new(uint64_t seed, uint32_t n_objects, uint32_t n)
{
    sample s = {n_objects, n, g_new(uint32_t, n), g_new(uint32_t, n), g_new0(uint32_t, n_objects)};
    moe_stream stream = moe_stream_new(seed, "test.sample", n_objects);
    for (uint32_t i = 0; i < n; i++) {
        double u = moe_stream_unit(&stream);
        uint64_t kind = moe_stream_below(&stream, 8);
        uint32_t skewed = (uint32_t)(u * u * u * n_objects);
        s.objects[i] = kind < 5         ? skewed
                       : kind == 5 && i ? s.objects[i - 1]
                       : kind == 6 && i ? (s.objects[i - 1] + 1) % n_objects
                                        : (i * 7) % n_objects;
        s.popularity[s.objects[i]]++;
    }
    g_autofree uint32_t *met = g_new(uint32_t, n_objects);
    memset(met, 0xFF, n_objects * sizeof *met);
    for (uint32_t i = n; i-- > 0;) {
        s.next_use[i] = met[s.objects[i]];
        met[s.objects[i]] = i;
    }
    return s;
}

static inline void
sample_free(sample *s)
{
    g_free(s->objects);
    g_free(s->next_use);
    g_free(s->popularity);
}

#endif
