#include "traces/synth/fit_private.h"

#include <math.h>

#define LEAST_SEQUENCES 16
#define LEAST_SHARE 0.25

/* Uses of the i-th token's experts by layer, over all sequences that have one: n of them. */
static uint64_t
count_place(const moe_pick *pick, uint64_t i, uint32_t *counts)
{
    const moe_routing *routing = pick->routing;
    uint64_t n = 0;
    for (uint32_t s = 0; s < pick->n; s++) {
        if (i >= moe_pick_length(pick, s))
            continue;
        uint64_t row = moe_routing_token(routing, moe_pick_sequence(pick, s), i);
        n++;
        for (uint32_t l = 0; l < routing->n_layers; l++)
            for (uint32_t j = 0; j < routing->k; j++) {
                uint32_t id = moe_routing_id(routing, row, l, j);
                if (id < routing->n_experts)
                    counts[(size_t)l * routing->n_experts + id]++;
            }
    }
    return n;
}

/* The experts of a layer that most have at this place, the most frequent first. */
static void
most_frequent(const uint32_t *counts, uint32_t n_experts, uint32_t k, uint16_t *out)
{
    for (uint32_t j = 0; j < k; j++) {
        uint32_t best = MOE_NONE;
        for (uint32_t e = 0; e < n_experts; e++) {
            bool taken = false;
            for (uint32_t i = 0; i < j; i++)
                taken |= out[i] == e;
            if (!taken && (best == MOE_NONE || counts[e] > counts[best]))
                best = e;
        }
        out[j] = (uint16_t)best;
    }
}

/* Tokens of different sequences at this place share o of their experts, others o_all. If a share s
 * of them has one common choice, o = s^2 + (1 - s^2) o_all. */
static double
common_share(const struct fit *f, const uint32_t *counts, uint64_t n, const moe_routing *routing)
{
    double here = 0, all = 0, choices = (double)routing->k * routing->n_layers;
    for (size_t c = 0; c < f->cells; c++) {
        double share = counts[c] / (double)n;
        here += (share * share * (double)n - share) / (double)(n - 1) / choices;
        all += f->uses[c] * f->uses[c] / choices;
    }
    return here > all && all < 1 ? sqrt((here - all) / (1 - all)) : 0;
}

void
moe_fit_opening(const struct fit *f, moe_hidden *hidden)
{
    const moe_routing *routing = f->sample.routing;
    size_t choices = (size_t)routing->n_layers * routing->k;
    moe_hidden_open(hidden, MOE_HIDDEN_OPENING);
    for (uint32_t i = 0; i < MOE_HIDDEN_OPENING; i++) {
        g_autofree uint32_t *counts = g_new0(uint32_t, f->cells);
        uint64_t n = count_place(&f->sample, i, counts);
        double share = n >= LEAST_SEQUENCES ? common_share(f, counts, n, routing) : 0;
        hidden->n_opening = i;
        if (share < LEAST_SHARE)
            return;
        hidden->opening_share[i] = share;
        for (uint32_t l = 0; l < routing->n_layers; l++)
            most_frequent(counts + (size_t)l * routing->n_experts, routing->n_experts, routing->k,
                          hidden->opening + i * choices + (size_t)l * routing->k);
    }
    hidden->n_opening = MOE_HIDDEN_OPENING;
}
