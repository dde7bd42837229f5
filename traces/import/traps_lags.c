/* Rows of S sequences that alternate: a token then shares little with the one before it, as with
 * any other sequence, and much with the one S rows earlier, its own predecessor. Text that repeats
 * itself also shares much at some lag, but shares with its neighbours too. */
#include "traces/import/traps_state.h"

#include <string.h>

#define LAGS_TOKENS 4096 /* looked at */
#define LAGS_PAIRS 256   /* of each lag, at least */
#define LAGS_MORE 0.08   /* more than at lag 1, as a share of k */
#define LAGS_SAME 0.03   /* lag 1 is not above the other lags by more */

void
traps_lags_init(traps_lags *lags, uint32_t k)
{
    lags->k = k;
    lags->ring = g_new0(uint16_t, (gsize)TRAPS_LAGS * k);
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
traps_lags_add(traps_lags *lags, uint32_t sequence, const uint16_t *ids, uint32_t k)
{
    if (lags->seen >= LAGS_TOKENS || k > lags->k)
        return;
    for (uint32_t lag = 1; lag <= TRAPS_LAGS && lag <= lags->seen; lag++) {
        size_t slot = (size_t)((lags->seen - lag) % TRAPS_LAGS);
        if (lags->sequence[slot] != sequence)
            continue;
        lags->shared[lag] += lags_shared(ids, lags->ring + slot * lags->k, k);
        lags->pairs[lag] += k;
    }
    size_t slot = (size_t)(lags->seen++ % TRAPS_LAGS);
    uint16_t *to = lags->ring + slot * lags->k;
    memset(to, 0xFF, lags->k * sizeof *to);
    memcpy(to, ids, k * sizeof *to);
    lags->sequence[slot] = sequence;
}

static double
lags_share(const traps_lags *lags, uint32_t lag)
{
    return (double)lags->shared[lag] / (double)lags->pairs[lag];
}

/* The mean over lags that are neither 1 nor multiples of `found`. */
static double
lags_others(const traps_lags *lags, uint32_t found)
{
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t lag = 2; lag <= TRAPS_LAGS; lag++) {
        if (lag % found == 0 || lags->pairs[lag] == 0)
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
    for (uint32_t lag = 2; lag <= TRAPS_LAGS && lags->pairs[lag] >= LAGS_PAIRS; lag++) {
        *at_found = lags_share(lags, lag);
        if (*at_found > *at_one + LAGS_MORE && *at_one < lags_others(lags, lag) + LAGS_SAME)
            return lag;
    }
    return 0;
}
