/* Two traces of one shape, statistic by statistic. */
#ifndef MOE_TRACES_COMPARE_H
#define MOE_TRACES_COMPARE_H

#include "traces/stats/pick.h"

#include <glib.h>

typedef struct moe_compared {
    const char *name;   /* of the statistic: rows of one stand together */
    char parameter[24]; /* "lag=4"; "" when there is none */
    double first, second;
    double distance; /* of the two; popularity: mean over layers of the total variation distance */
    double worst;    /* largest distance of a layer; NAN: not by layer */
    double halves;   /* the distance of two halves of the first trace; NAN: not measured */
} moe_compared;

/* Rows (moe_compared): popularity, overlap at lags 1 .. 16 and on, affinity mass, coverage of
 * batches of 1 .. 128 as a share of the experts (decode: tokens of different sequences;
 * consecutive: tokens that follow one another, whatever their phase), miss ratios of LRU and Belady
 * by capacity of each layer's cache and of one for all layers. Yours; NULL after a message when
 * the shapes differ. */
GArray *moe_compare(const moe_pick *first, const moe_pick *second, moe_diag *diag);

/* Sets `halves` of rows that moe_compare(first, …) returned: every second sequence of `first`
 * against the others, which differ by chance only. Left NAN where a half is too little for the
 * statistic, and with less than two sequences. Takes about as long as measuring `first`. */
void moe_compare_halves(const moe_pick *first, GArray *rows);

#endif
