/* What the experts of one layer say about those of the next, for the same token.
 *
 * For a layer l >= 1: pairs(a, b) counts tokens that had a at layer l - 1 and b at layer l.
 * mass: how much of the choices at l lie on the k experts that follow most often, given an expert
 * at l - 1: sum over a of the k largest pairs(a, .) / sum of all pairs. Knowing nothing, it would
 * be the k most popular experts' share.
 * mutual information: between an expert drawn from a token's set at l - 1 and one drawn from its
 * set at l, in bits, of the counted frequencies (plug-in estimate: it reads high by about
 * (E - 1)^2 / (2 ln 2 pairs) bits). */
#ifndef MOE_TRACES_STATS_AFFINITY_H
#define MOE_TRACES_STATS_AFFINITY_H

#include "traces/stats/sweep.h"

typedef struct moe_affinity {
    uint32_t n_layers, n_experts, k;
    uint32_t *pairs;  /* [n_layers][n_experts][n_experts]: of layer 0 all zero */
    uint32_t *before; /* [n_layers][n_experts]: uses at l - 1 by tokens for which l ran too */
} moe_affinity;

/* NULL: the table would have more than 2^28 entries. */
moe_affinity *moe_affinity_new(const moe_routing *routing);
void moe_affinity_free(moe_affinity *affinity);
void moe_affinity_add(void *affinity, const moe_block *block);

static inline const uint32_t *
moe_affinity_row(const moe_affinity *affinity, uint32_t layer, uint32_t expert)
{
    return affinity->pairs + ((size_t)layer * affinity->n_experts + expert) * affinity->n_experts;
}

typedef struct moe_affinity_summary {
    double mass;        /* conditional top-k mass */
    double independent; /* share of the k most popular at this layer */
    double information; /* bits */
} moe_affinity_summary;

/* Of layer >= 1; NAN when no token ran both layers. */
moe_affinity_summary moe_affinity_of(const moe_affinity *affinity, uint32_t layer);
/* The expert at `layer` that follows `expert` of layer - 1 most often (the lowest of equals), and
 * the share of the latter's tokens that it does; MOE_NONE when that one was not used. */
uint32_t moe_affinity_partner(const moe_affinity *affinity, uint32_t layer, uint32_t expert,
                              double *probability);

#endif
