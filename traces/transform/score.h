/* Scores per expert that only a trace is needed for: what pruning, merging and bit allocation go
 * by. All are sums over the tokens of a range of sequences, one value per (layer, expert). */
#ifndef MOE_TRACES_TRANSFORM_SCORE_H
#define MOE_TRACES_TRANSFORM_SCORE_H

#include "traces/routing.h"

typedef enum moe_score_kind {
    MOE_SCORE_FREQUENCY, /* share of the (token, layer) rows that route to the expert */
    MOE_SCORE_WEIGHT,    /* mean gate weight over all tokens, 0 where not routed: EASY-EP's
                            sum of g_i without its factors |e_i| and s_t, which need activations
                            (arXiv 2504.06792) */
    MOE_SCORE_LOGIT,     /* PreMoe's TCESS (arXiv 2505.17639): of each token the `best` highest
                            logits above `floor`, others 0, averaged over tokens */
    MOE_SCORES,
} moe_score_kind;

#define MOE_SCORE_NAMES "frequency|weight|logit"

typedef struct moe_score_of {
    moe_score_kind kind;
    uint32_t from, to; /* sequences from .. to - 1 */
    uint32_t domain;   /* only tokens of this domain; MOE_NONE: of any */
    uint32_t best;     /* LOGIT */
    double floor;      /* LOGIT */
} moe_score_of;

/* What the kind needs that the routing lacks ("gate weights"); NULL: nothing. */
const char *moe_score_lacks(const moe_routing *routing, moe_score_kind kind);
/* [n_layers * n_experts]; all 0 when no token is in range; yours. */
double *moe_score(const moe_routing *routing, const moe_score_of *of);
/* The number of a domain given by name or number; false after a message. */
bool moe_score_domain(const moe_routing *routing, const char *name, uint32_t *domain, moe_loc at,
                      moe_diag *diag);
/* Euclidean distance of two layers' scores: PreMoe's retrieval takes the nearest stored pattern of
 * the first layer. */
double moe_score_distance(const double *a, const double *b, uint32_t n);
/* Merge groups as MC-SMoE makes them (arXiv 2310.01334), from the trace alone: the `groups` x
 * n_layers most used experts of the whole model stay (each layer keeps one at least), the others
 * join the most similar one of their layer. Similarity is the cosine of their router logits over
 * the tokens (at most 16384 of them, evenly spread), or, where none are recorded, of their gate
 * weights (1 without), which is how often they are used together. to[n_layers * n_experts]. */
void moe_score_groups(const moe_routing *routing, uint32_t groups, uint16_t *to);
/* Experts of a layer from the highest score to the lowest, ties by number: order[n]. */
void moe_score_rank(const double *scores, uint32_t n, uint32_t *order);

#endif
