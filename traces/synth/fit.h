/* The hidden state (traces/synth/hidden.h) whose routing has the moments of a given one.
 *
 * 1. First tokens that most sequences share become the opening, and are left out of the rest.
 * 2. Correlations of normal scores come from how often two cells are used by one token, by two 1,
 *    3, 16 or 96 places apart, and by tokens of neighbouring sequences (traces/synth/moments.h).
 * 3. From the slowest component to the fastest: what the slower ones leave of the correlations at
 *    the component's lag, scaled back to lag 0, is given loadings of a low rank; the component of
 *    the token itself takes what is left at lag 0, and noise the rest of the variance.
 * 4. As choosing the k highest is not crossing a threshold, the rest is trial: routing is
 *    generated, and biases are corrected by the uses, and each layer's loadings by the overlap of
 *    tokens at the lags, until both agree. In models small enough for it, pairs of experts of
 *    neighbouring layers are corrected in the same way.
 * 5. Gate weights, where recorded, give each layer's sharpness: by the largest weight's share. */
#ifndef MOE_TRACES_FIT_H
#define MOE_TRACES_FIT_H

#include "traces/stats/pick.h"
#include "traces/synth/hidden.h"

typedef struct moe_fit_config {
    uint64_t tokens;       /* at most so many are looked at, of every n-th sequence; 0: 100,000 */
    uint32_t numbers;      /* of the hidden state; 0: as many as suit the size */
    uint32_t rounds;       /* of trial; 0: 16 */
    const char *transform; /* what the description says of the trace, NULL: nothing */
    bool counterfactual;
} moe_fit_config;

/* Yours; NULL with a message at `where` (the pick's trace) when there is too little or too much to
 * fit. progress may be NULL. */
moe_hidden *moe_fit(const moe_pick *pick, const moe_fit_config *config, moe_loc where,
                    moe_progress *progress, void *context, moe_diag *diag);

#endif
