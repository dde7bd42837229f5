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

static bool
leaves_more(const moe_pick *pick, uint32_t stride, uint64_t tokens, uint32_t sequences)
{
    uint64_t left = 0;
    for (uint32_t i = 0; i < pick->n; i += stride)
        left += moe_pick_length(pick, i);
    return left > tokens || (pick->n - 1) / stride + 1 > sequences;
}

moe_pick
moe_pick_thinned(const moe_pick *pick, uint64_t tokens, uint32_t sequences, uint32_t **indices)
{
    uint64_t ratio = moe_pick_tokens(pick) / MAX(tokens, 1);
    uint32_t stride = (uint32_t)CLAMP(ratio, 1, MAX(pick->n, 1));
    while (stride < pick->n && leaves_more(pick, stride, tokens, sequences))
        stride++;
    moe_pick thinned = {.routing = pick->routing};
    *indices = g_new(uint32_t, pick->n + 1);
    for (uint32_t i = 0; i < pick->n; i += stride)
        (*indices)[thinned.n++] = moe_pick_sequence(pick, i);
    thinned.sequences = *indices;
    return thinned;
}
