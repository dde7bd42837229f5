/* Made router logits, for moe_generate. The logit of an expert at a layer, for token t of a
 * sequence, is
 *     -skew ln(rank) + spread (sqrt(taste) a(t) + sqrt(1 - taste) b(t)),
 * where rank is the expert's place in its domain's order at that layer, and a and b go on from
 * token to token as b(t) = memory b(t-1) + sqrt(1 - memory^2) n(t), a likewise with a memory of
 * 1 - drift; a(0), b(0) and n(t) are normal (sums of twelve uniform draws, less 6). Taste is what a
 * text prefers for long, without drift throughout; memory is how slowly it changes its mind. Logits
 * are multiples of 1/128 within +-16, which F16 holds exactly: choosing the best of the recorded
 * ones again gives the same experts. */
#ifndef MOE_TRACES_GENERATE_LOGITS_H
#define MOE_TRACES_GENERATE_LOGITS_H

#include "sim/base/random.h"
#include "traces/routing.h"

typedef struct moe_logits_law {
    uint32_t layers, experts;
    double spread, taste, drift, memory;
    const double *skew; /* [layers] */
} moe_logits_law;

typedef struct moe_logits moe_logits;

/* The skews are copied. NULL: no memory. */
moe_logits *moe_logits_new(const moe_logits_law *law);
void moe_logits_free(moe_logits *logits);
/* Begins a sequence; order[layers * experts]: rank -> expert, borrowed until the next one. */
void moe_logits_begin(moe_logits *logits, const uint16_t *order, moe_stream stream);
/* The next token's logits [layers * experts], borrowed until the next call. */
const float *moe_logits_next(moe_logits *logits);
/* Of one layer's logits the k best, best first, ties by number; and the softmax over them. */
void moe_logits_choose(const float *logits, uint32_t experts, uint32_t k, uint16_t *ids,
                       float *weights);

#endif
