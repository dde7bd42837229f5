/* Hit rates of a cache of experts at every capacity, in one pass over the trace: the policies here
 * keep the residents of a cache of C slots among those of a cache of C + 1 (Mattson, Gecsei, Slutz,
 * Traiger: Evaluation techniques for storage hierarchies, IBM Systems Journal 9(2), 1970). One
 * stack holds the caches of all sizes; an access moves its object to the top, and on the way down
 * to where the object stood each place keeps the better of what it holds and what was pushed out
 * above. Better is a priority that does not depend on the capacity:
 *   lru     used later
 *   lfu     used more often since the history began, evictions or not; of equals, used later
 *   belady  next use sooner
 *   ahead   more uses in the next `window` tokens; of equals, used later (SCH's oracle)
 * An object that is asked for is always admitted.
 *
 * `together`: all experts of a token (in scope layer: of a token at the layer) are tested against
 * the caches as the token finds them, then the caches take them in one by one, in the order of the
 * row, layer by layer. That is the convention of arXiv 2505.16056 (github.com/ljcleo/moe-lrc), in
 * which an expert that a token has just used may leave for its next one: so belady is better than
 * lru even with k slots. Its look-ahead window is m tokens beginning with the one at hand, without
 * the accesses already served; `ahead` does the same. Otherwise accesses are tested one by one.
 *
 * `pinned`: as `together`, but what a token asks for stays until all of it is in, as in a machine
 * and in `moesim trace mrc` with groups of a token. Then capacities below the largest group's size
 * mean nothing (there, a machine computes with part of a group at a time).
 *
 * `cold`: caches are empty at the start of each sequence, else the pick is one history.
 * `first_fill_hit`: the first use of an object that finds a free slot counts as a hit. */
#ifndef MOE_TRACES_STATS_CURVE_H
#define MOE_TRACES_STATS_CURVE_H

#include "traces/stats/pick.h"

typedef enum moe_curve_policy {
    MOE_CURVE_LRU,
    MOE_CURVE_LFU,
    MOE_CURVE_BELADY,
    MOE_CURVE_AHEAD,
    MOE_CURVE_POLICIES, /* how many there are */
} moe_curve_policy;

typedef struct moe_curve_config {
    moe_curve_policy policy;
    uint32_t window; /* of MOE_CURVE_AHEAD, tokens >= 1 */
    bool per_layer;  /* a cache for each layer, else one for all */
    bool together, pinned, cold, first_fill_hit;
    /* Capacities (in experts; per_layer: of each layer) for which hits are kept by sequence. */
    const uint32_t *capacities;
    uint32_t n_capacities;
} moe_curve_config;

typedef struct moe_curve {
    uint32_t n_caches;  /* layers, or 1 */
    uint32_t n_objects; /* of one cache: the largest capacity that makes a difference */
    uint64_t *at; /* [n_caches][n_objects]: repeated uses that a cache of c + 1 slots serves and one
                     of c does not */
    uint64_t *first;    /* the same of first uses, with first_fill_hit */
    uint64_t *accesses; /* [n_caches] */
    uint32_t n_sequences, n_capacities;
    uint32_t *sequence_hits;     /* [n_sequences][n_caches][n_capacities]; NULL without `cold` */
    uint32_t *sequence_accesses; /* [n_sequences][n_caches] */
} moe_curve;

moe_curve *moe_curve_new(const moe_pick *pick, const moe_curve_config *config,
                         moe_progress *progress, void *context);
void moe_curve_free(moe_curve *curve);

/* Hits of cache `cache` (MOE_NONE: all) with `capacity` slots each. */
uint64_t moe_curve_hits(const moe_curve *curve, uint32_t cache, uint64_t capacity);
uint64_t moe_curve_accesses(const moe_curve *curve, uint32_t cache);
/* Their quotient; NAN without accesses. */
double moe_curve_hit_rate(const moe_curve *curve, uint32_t cache, uint64_t capacity);
/* "lru", "lfu", "belady", "ahead". */
const char *moe_curve_policy_name(moe_curve_policy policy);

#endif
