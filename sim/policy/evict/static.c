/* static: the most popular objects of a profile stay; the least popular resident leaves.
 *
 * Objects are ranked once by the profile's counts, ties to the lower id. Residents are a bitmap
 * over ranks; `worst` is a rank at or behind the last resident, from which the victim is sought
 * forwards. Invariant: no resident ranks behind `worst`. `victim` is O(objects / 64) at worst.
 * Ranked by use, never by recency: with a stable profile the cache settles on its head.
 *
 * Popularity-pinned experts: Eliseev, Mazur, Fast inference of Mixture-of-Experts language models
 * with offloading, 2023 (the static baseline); Kamahori et al., Fiddler, 2024. */
#include "sim/policy/evict/replay.h"

struct ranked {
    uint64_t *here; /* bitmap over ranks */
    uint32_t *rank_of, *object_of;
    uint32_t worst;
};

/* static is a keyword: the functions go by the state's name. */
static void
ranked_order(struct ranked *ranked, uint32_t n, const uint32_t *popularity)
{
    uint32_t *order = ranked->object_of;
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t gap = n / 2; popularity && gap; gap /= 2) {
        for (uint32_t i = gap; i < n; i++) {
            uint32_t object = order[i], j = i;
            for (; j >= gap; j -= gap) {
                uint32_t other = order[j - gap];
                if (popularity[other] > popularity[object] ||
                    (popularity[other] == popularity[object] && other < object))
                    break;
                order[j] = other;
            }
            order[j] = object;
        }
    }
    for (uint32_t rank = 0; rank < n; rank++)
        ranked->rank_of[order[rank]] = rank;
}

static struct ranked *
ranked_open(const moe_evict_setup *setup, const void *config)
{
    struct ranked *ranked = moe_policy_alloc(1, sizeof *ranked);
    ranked->here = moe_policy_alloc(setup->n_objects / 64 + 1, sizeof *ranked->here);
    ranked->rank_of = moe_policy_alloc(setup->n_objects, sizeof *ranked->rank_of);
    ranked->object_of = moe_policy_alloc(setup->n_objects, sizeof *ranked->object_of);
    ranked_order(ranked, setup->n_objects, setup->popularity);
    return ranked;
}

static void
ranked_close(struct ranked *ranked)
{
    free(ranked->here);
    free(ranked->rank_of);
    free(ranked->object_of);
    free(ranked);
}

static inline bool
ranked_holds(const struct ranked *ranked, uint32_t object)
{
    uint32_t rank = ranked->rank_of[object];
    return ranked->here[rank / 64] >> (rank % 64) & 1;
}

static inline void
ranked_hit(struct ranked *ranked, uint32_t object)
{
}

static inline void
ranked_remove(struct ranked *ranked, uint32_t object)
{
    uint32_t rank = ranked->rank_of[object];
    ranked->here[rank / 64] &= ~(1ull << (rank % 64));
}

static inline uint32_t
ranked_victim(struct ranked *ranked, uint32_t incoming, const moe_evict_bar *bar)
{
    uint32_t word = ranked->worst / 64;
    uint64_t left = ranked->here[word];
    for (;;) {
        while (!left) {
            if (!word)
                return MOE_NONE;
            left = ranked->here[--word];
        }
        uint32_t bit = 63 - (uint32_t)__builtin_clzll(left);
        uint32_t object = ranked->object_of[word * 64 + bit];
        left &= ~(1ull << bit);
        if (moe_evict_barred(bar, object))
            continue;
        if (!bar)
            ranked->worst = word * 64 + bit;
        ranked_remove(ranked, object);
        return object;
    }
}

static inline void
ranked_admit(struct ranked *ranked, uint32_t object)
{
    uint32_t rank = ranked->rank_of[object];
    ranked->here[rank / 64] |= 1ull << (rank % 64);
    if (rank > ranked->worst)
        ranked->worst = rank;
}

MOE_EVICT_ACCESS(ranked)
MOE_EVICT_DEFINE(ranked, MOE_EVICT_POPULARITY)

const moe_variant moe_evict_static = {
    .name = "static",
    .help = "Keep the experts that a profiling slice used most; evict the least popular one.",
    .ops = &ranked_ops,
};
