/* A hidden state whose read-outs choose the experts, as in a real router.
 *
 * Each token of a sequence has a hidden state of a few numbers z, in components that last
 * differently long: the domain that neighbouring sequences share, what the text is about (thousands
 * of tokens), its passage (tens), its phrase, the token itself. Each number is a standard normal
 * that follows itself from token to token with correlation exp(-1 / lasts); or, with lasts 0, is
 * drawn anew; or, as an echo, is the mean (times sqrt 2) of this token's draw and the one before:
 * correlation 1/2 with the next token, 0 with the others. At the start of a sequence it has the
 * correlation `next` with its value at the start of the sequence before. The score of expert e at
 * layer l is
 *   bias[l][e] + sum over the numbers r of loading[r][l][e] z[r] + noise[l][e] * a standard normal,
 * plus, from layer 1 on, the sum of pairs[l][d][e] over the experts d chosen at the layer before,
 * and the k highest scores are chosen, the highest first (of equals the lowest expert). One state
 * is read by all layers, so that layers agree; slow numbers make tokens of one sequence alike.
 * Gate weights, where a layer's sharpness is above 0, are the softmax of sharpness * score over the
 * k chosen.
 *
 * Single-precision sums in a fixed order, normals from a table, no libm: the same bytes on any
 * machine.
 *
 * The first tokens of a sequence may be fixed: with probability share[i] the i-th token chooses
 * what opening i says (chat templates begin alike). A component is renewed every lasts / 10 tokens
 * with the correlation of that step, for speed. */
#ifndef MOE_TRACES_HIDDEN_H
#define MOE_TRACES_HIDDEN_H

#include "sim/base/random.h"

#include <glib.h>

#define MOE_HIDDEN_COMPONENTS 16
#define MOE_HIDDEN_OPENING 64 /* tokens */
#define MOE_HIDDEN_RANK 4096  /* numbers of all components together */

typedef struct moe_hidden_component {
    double lasts;  /* tokens; 0: drawn anew for each token */
    bool echo;     /* with lasts 0: half of it comes from the token before */
    double next;   /* correlation with the sequence before, 0 .. 1 */
    int64_t rank;  /* how many numbers */
    double spread; /* standard deviation of the component's part of a score, where loadings are
                      drawn */
} moe_hidden_component;

typedef struct moe_hidden {
    uint32_t n_layers, n_experts, k;
    uint32_t n_components, n_numbers;
    moe_hidden_component components[MOE_HIDDEN_COMPONENTS];
    float *bias;      /* [n_layers][n_experts] */
    float *noise;     /* [n_layers][n_experts] */
    float *loadings;  /* [n_numbers][n_layers][n_experts], component by component */
    float *sharpness; /* [n_layers] */
    float *pairs;     /* [n_layers][n_experts][n_experts]: before, at this layer; NULL: none */
    uint32_t n_opening;
    double opening_share[MOE_HIDDEN_OPENING];
    uint16_t *opening; /* [n_opening][n_layers][k] */
    bool weighted;     /* some sharpness is above 0: tokens have gate weights */
} moe_hidden;

/* All zero; NULL: no memory. */
moe_hidden *moe_hidden_new(uint32_t n_layers, uint32_t n_experts, uint32_t k,
                           const moe_hidden_component *components, uint32_t n_components);
void moe_hidden_free(moe_hidden *hidden);
/* Makes room for pairs, all 0; false: no memory. */
bool moe_hidden_pair(moe_hidden *hidden);
/* Makes room for fixed first tokens: shares 0, experts 0. */
void moe_hidden_open(moe_hidden *hidden, uint32_t n_opening);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(moe_hidden, moe_hidden_free)

/* One sequence after another, token by token. */
typedef struct moe_hidden_walk moe_hidden_walk;
/* NULL: no memory. `hidden` must outlive it. */
moe_hidden_walk *moe_hidden_walk_new(const moe_hidden *hidden);
void moe_hidden_walk_free(moe_hidden_walk *walk);
/* Sequences 0, 1, 2, … one after another: what is left of the one before is in the walk. */
void moe_hidden_walk_begin(moe_hidden_walk *walk, uint64_t seed, uint64_t sequence);
/* The next token: best[n_layers][k], the highest score first. */
void moe_hidden_walk_next(moe_hidden_walk *walk, uint16_t *best);
/* Its scores, [n_layers][n_experts]; borrowed, until the next token. */
const float *moe_hidden_walk_scores(const moe_hidden_walk *walk);
/* Gate weights [k] of a layer from the scores of its k experts. */
void moe_hidden_weights(const moe_hidden *hidden, uint32_t layer, const float *scores,
                        float *weights);

#endif
