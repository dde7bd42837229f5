/* What the steps of a fit share. */
#ifndef MOE_TRACES_FIT_PRIVATE_H
#define MOE_TRACES_FIT_PRIVATE_H

#include "traces/synth/fit.h"

#define MOE_FIT_SCALES 6
#define MOE_FIT_TOKEN (MOE_FIT_SCALES - 1) /* the token itself */

enum fit_kind { FIT_DOMAIN, FIT_LASTING, FIT_ECHO, FIT_TOKEN };

struct fit_scale {
    enum fit_kind kind;
    double lasts;
    uint32_t lag;   /* at which it is read from the trace */
    uint32_t share; /* of the numbers */
};
extern const struct fit_scale moe_fit_scales[MOE_FIT_SCALES];

struct fit {
    moe_pick sample;
    uint64_t tokens; /* of the sample */
    size_t cells;
    uint32_t longest_lag, rounds;
    uint32_t from; /* first tokens that sequences share, left out of all that follows */
    double *uses;  /* [cells] per token */
    double *pairs; /* [n_layers][n_experts][n_experts] per token; NULL: not fitted */
    float *weight; /* [cells]: how much a cell's correlations count */
    moe_progress *progress;
    void *context;
};

void moe_fit_tell(struct fit *f, double done);
double moe_fit_quantile(double uses);
/* The first tokens of sequences, where many begin alike. */
void moe_fit_opening(const struct fit *f, moe_hidden *hidden);
/* Each layer's sharpness, where gate weights are recorded: the largest weight then has the share of
 * a token's weights that it has in the trace. False: no memory. */
bool moe_fit_weights(const struct fit *f, moe_hidden *hidden);
/* How often a token has expert a at layer l - 1 and b at l, per token, at [l][a][b]; yours. */
double *moe_fit_pairs(const moe_pick *pick, uint32_t from);
/* Generates and corrects, round after round; false: no memory. */
bool moe_fit_try(struct fit *f, moe_hidden *hidden);

#endif
