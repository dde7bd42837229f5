/* sieve: a hand sweeps from the oldest to the newest and takes the first that was not hit since it
 * last passed.
 *
 * Objects stand in order of admission. The order is kept in two rings: `passed` holds what the
 * hand went by in this sweep, `ahead` what it has yet to see, newest last; a new object joins
 * `ahead`. Sparing an object moves it from one ring to the other, so nothing is ever unlinked.
 * Invariant: passed + ahead are the residents in order of admission, and `ahead` is empty only
 * when both are (a finished sweep swaps them). `remove` is O(slots).
 *
 * Zhang et al., SIEVE is simpler than LRU, NSDI 2024. */
#include "sim/policy/evict/replay.h"
#include "sim/policy/evict/ring.h"

enum { ABSENT, RESIDENT, VISITED };

struct sieve {
    moe_ring passed, ahead;
    uint8_t *what; /* per object */
};

static struct sieve *
sieve_open(const moe_evict_setup *setup, const void *config)
{
    struct sieve *sieve = moe_policy_alloc(1, sizeof *sieve);
    moe_ring_open(&sieve->passed, setup->n_slots);
    moe_ring_open(&sieve->ahead, setup->n_slots);
    sieve->what = moe_policy_alloc(setup->n_objects, 1);
    return sieve;
}

static void
sieve_close(struct sieve *sieve)
{
    moe_ring_close(&sieve->passed);
    moe_ring_close(&sieve->ahead);
    free(sieve->what);
    free(sieve);
}

static inline bool
sieve_holds(const struct sieve *sieve, uint32_t object)
{
    return sieve->what[object] != ABSENT;
}

static inline void
sieve_hit(struct sieve *sieve, uint32_t object)
{
    sieve->what[object] = VISITED;
}

/* Behind the newest object the hand starts again at the oldest. */
static inline void
sieve_turn(struct sieve *sieve)
{
    if (moe_ring_count(&sieve->ahead))
        return;
    moe_ring swap = sieve->ahead;
    sieve->ahead = sieve->passed;
    sieve->passed = swap;
}

static inline bool
sieve_stuck(const struct sieve *sieve, const moe_evict_bar *bar)
{
    return bar && moe_ring_free(&sieve->ahead, 0, bar) == moe_ring_count(&sieve->ahead) &&
           moe_ring_free(&sieve->passed, 0, bar) == moe_ring_count(&sieve->passed);
}

static inline uint32_t
sieve_victim(struct sieve *sieve, uint32_t incoming, const moe_evict_bar *bar)
{
    if (sieve_stuck(sieve, bar))
        return MOE_NONE;
    for (;;) {
        uint32_t object = moe_ring_pop(&sieve->ahead);
        bool barred = moe_evict_barred(bar, object);
        if (!barred && sieve->what[object] == RESIDENT) {
            sieve->what[object] = ABSENT;
            sieve_turn(sieve);
            return object;
        }
        if (!barred)
            sieve->what[object] = RESIDENT;
        moe_ring_push(&sieve->passed, object);
        sieve_turn(sieve);
    }
}

static inline void
sieve_admit(struct sieve *sieve, uint32_t object)
{
    sieve->what[object] = RESIDENT;
    moe_ring_push(&sieve->ahead, object);
}

static inline void
sieve_remove(struct sieve *sieve, uint32_t object)
{
    sieve->what[object] = ABSENT;
    uint32_t i = moe_ring_find(&sieve->ahead, object);
    if (i != MOE_NONE)
        moe_ring_take(&sieve->ahead, i);
    else
        moe_ring_take(&sieve->passed, moe_ring_find(&sieve->passed, object));
    sieve_turn(sieve);
}

MOE_EVICT_ACCESS(sieve)
MOE_EVICT_DEFINE(sieve, 0)

const moe_variant moe_evict_sieve = {
    .name = "sieve",
    .help = "Evict the oldest expert that was not used since the hand last passed it (SIEVE).",
    .ops = &sieve_ops,
};
