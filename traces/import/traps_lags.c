/* Rows of S sequences that alternate: a token then shares with the one before it, of another
 * sequence, no more than with any token, and much with the one S rows earlier, its own predecessor,
 * and less with that one's. Text that repeats itself also shares much at some lag, but with its
 * neighbours too, and at twice the lag no less.
 *
 * Measured on gpt-oss-20b, six sequences in turn: 24 % at lag 1, 45 % at lag 6, 17 % at lags 2 and
 * 3; in order: 45 % at lag 1. The first layer, which goes by the token alone, shows it least, so
 * layers farther up are looked at. Of 36 draws of 2 .. 24 sequences in turn 34 are found; of single
 * sequences none of 120 is taken for it, and 18 of 90 that loop: hence a warning, no error. */
#include "traces/import/traps_state.h"

#include <string.h>

#define LAGS_TOKENS 4096 /* looked at */
#define LAGS_PAIRS 256   /* of each lag, at least */
#define LAGS_MORE 0.08   /* more than at lag 1, as a share of k */
#define LAGS_SAME 0.05   /* lag 1 is not above the mean of lags by more */
#define LAGS_FALL 0.02   /* less again at twice the lag: a loop of text comes back as it was */

void
traps_lags_init(traps_lags *lags, uint32_t n_layers, uint32_t k)
{
    lags->k = k;
    for (uint32_t i = 1; i <= TRAPS_LAG_LAYERS; i++) {
        uint32_t layer = (n_layers - 1) * i / TRAPS_LAG_LAYERS;
        if (lags->n_layers == 0 || layer > lags->layers[lags->n_layers - 1])
            lags->layers[lags->n_layers++] = layer;
    }
    lags->ring = g_new0(uint16_t, (gsize)TRAPS_LAGS * lags->n_layers * k);
}

void
traps_lags_clear(traps_lags *lags)
{
    g_clear_pointer(&lags->ring, g_free);
}

static uint32_t
lags_shared(const uint16_t *a, const uint16_t *b, uint32_t k)
{
    uint32_t shared = 0;
    for (uint32_t i = 0; i < k && a[i] < MOE_ROUTING_NOT_RUN; i++)
        for (uint32_t j = 0; j < k; j++)
            shared += a[i] == b[j];
    return shared;
}

void
traps_lags_add(traps_lags *lags, uint32_t sequence, const uint16_t *ids)
{
    uint32_t k = lags->k;
    size_t row = (size_t)lags->n_layers * k;
    if (lags->seen >= LAGS_TOKENS)
        return;
    uint64_t own = lags->seen++ % TRAPS_LAGS;
    for (uint32_t lag = 1; lag < TRAPS_LAGS && lag < lags->seen; lag++) {
        uint64_t slot = (own + TRAPS_LAGS - lag) % TRAPS_LAGS;
        if (lags->sequence[slot] != sequence)
            continue;
        for (uint32_t i = 0; i < lags->n_layers; i++)
            lags->shared[lag] += lags_shared(ids + (size_t)lags->layers[i] * k,
                                             lags->ring + slot * row + (size_t)i * k, k);
        lags->pairs[lag] += row;
    }
    for (uint32_t i = 0; i < lags->n_layers; i++)
        memcpy(lags->ring + own * row + (size_t)i * k, ids + (size_t)lags->layers[i] * k,
               k * sizeof *ids);
    lags->sequence[own] = sequence;
}

static double
lags_share(const traps_lags *lags, uint32_t lag)
{
    return (double)lags->shared[lag] / (double)lags->pairs[lag];
}

static double
lags_mean(const traps_lags *lags)
{
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t lag = 2; lag < TRAPS_LAGS; lag++) {
        if (lags->pairs[lag] == 0)
            continue;
        sum += lags_share(lags, lag);
        n++;
    }
    return n ? sum / n : 0;
}

uint32_t
traps_lags_found(const traps_lags *lags, double *at_one, double *at_found)
{
    if (lags->pairs[1] < LAGS_PAIRS)
        return 0;
    *at_one = lags_share(lags, 1);
    if (*at_one > lags_mean(lags) + LAGS_SAME)
        return 0;
    for (uint32_t lag = 2; 2 * lag < TRAPS_LAGS && lags->pairs[2 * lag] >= LAGS_PAIRS; lag++) {
        *at_found = lags_share(lags, lag);
        if (*at_found > *at_one + LAGS_MORE)
            return *at_found > lags_share(lags, 2 * lag) + LAGS_FALL ? lag : 0;
    }
    return 0;
}
