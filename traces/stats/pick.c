#include "traces/stats/pick.h"

#include <glib.h>

uint64_t
moe_pick_tokens(const moe_pick *pick)
{
    uint64_t tokens = 0;
    for (uint32_t i = 0; i < pick->n; i++)
        tokens += moe_pick_length(pick, i);
    return tokens;
}

static uint64_t
tokens_left(const moe_pick *pick, uint32_t stride)
{
    uint64_t tokens = 0;
    for (uint32_t i = 0; i < pick->n; i += stride)
        tokens += moe_pick_length(pick, i);
    return tokens;
}

moe_pick
moe_pick_thinned(const moe_pick *pick, uint64_t tokens, uint32_t **indices)
{
    uint64_t all = moe_pick_tokens(pick);
    uint32_t stride = (uint32_t)MIN(all / MAX(tokens, 1), pick->n);
    for (stride = MAX(stride, 1); stride < pick->n && tokens_left(pick, stride) > tokens;)
        stride++;
    moe_pick thinned = {.routing = pick->routing};
    *indices = g_new(uint32_t, pick->n + 1);
    for (uint32_t i = 0; i < pick->n; i += stride)
        (*indices)[thinned.n++] = moe_pick_sequence(pick, i);
    thinned.sequences = *indices;
    return thinned;
}
