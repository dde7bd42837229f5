#include "traces/synth/fit_private.h"

#include <math.h>
#include <string.h>

#define TOKENS 4000
#define LENGTH 100
#define HALVINGS 30
#define SHARPEST 1000.0

/* Mean over tokens of the largest gate weight's share of the token's, for each layer. */
static void
largest_shares(const moe_pick *pick, double *share)
{
    const moe_routing *routing = pick->routing;
    g_autofree uint64_t *tokens = g_new0(uint64_t, routing->n_layers);
    memset(share, 0, routing->n_layers * sizeof *share);
    for (uint32_t i = 0; i < pick->n; i++)
        for (uint64_t t = 0; t < moe_pick_length(pick, i); t++) {
            uint64_t row = moe_routing_token(routing, moe_pick_sequence(pick, i), t);
            for (uint32_t l = 0; l < routing->n_layers; l++) {
                const float *weights =
                    routing->weights + (row * routing->n_layers + l) * routing->k;
                double sum = 0, most = 0;
                for (uint32_t j = 0; j < routing->k; j++)
                    if (moe_routing_id(routing, row, l, j) < routing->n_experts) {
                        sum += (double)weights[j];
                        most = MAX(most, (double)weights[j]);
                    }
                share[l] += sum > 0 ? most / sum : 0;
                tokens[l] += sum > 0;
            }
        }
    for (uint32_t l = 0; l < routing->n_layers; l++)
        share[l] /= tokens[l] ? (double)tokens[l] : 1;
}

/* Scores of the chosen experts of TOKENS tokens, [TOKENS][n_layers][k], highest first; yours. */
static float *
chosen_scores(const moe_hidden *hidden)
{
    moe_hidden_walk *walk = moe_hidden_walk_new(hidden);
    size_t choices = (size_t)hidden->n_layers * hidden->k;
    float *scores = g_try_new(float, TOKENS *choices);
    g_autofree uint16_t *best = g_new(uint16_t, choices);
    for (uint32_t t = 0; walk && scores && t < TOKENS; t++) {
        if (t % LENGTH == 0)
            moe_hidden_walk_begin(walk, 1, t / LENGTH);
        moe_hidden_walk_next(walk, best);
        const float *all = moe_hidden_walk_scores(walk);
        for (size_t c = 0; c < choices; c++)
            scores[t * choices + c] = all[c / hidden->k * hidden->n_experts + best[c]];
    }
    if (!walk)
        g_clear_pointer(&scores, g_free);
    moe_hidden_walk_free(walk);
    return scores;
}

static double
made_share(moe_hidden *hidden, uint32_t layer, const float *scores, double sharpness)
{
    float weights[MOE_ROUTING_MAX_K];
    double sum = 0;
    hidden->sharpness[layer] = (float)sharpness;
    for (uint32_t t = 0; t < TOKENS; t++) {
        size_t at = ((size_t)t * hidden->n_layers + layer) * hidden->k;
        moe_hidden_weights(hidden, layer, scores + at, weights);
        sum += (double)weights[0] / TOKENS;
    }
    return sum;
}

bool
moe_fit_weights(const struct fit *f, moe_hidden *hidden)
{
    if (!f->sample.routing->weights || hidden->k < 2)
        return true;
    g_autofree double *wanted = g_new(double, hidden->n_layers);
    g_autofree float *scores = chosen_scores(hidden);
    largest_shares(&f->sample, wanted);
    for (uint32_t l = 0; scores && l < hidden->n_layers; l++) {
        double low = 0, high = SHARPEST;
        for (int i = 0; i < HALVINGS; i++) {
            double middle = (low + high) / 2;
            if (made_share(hidden, l, scores, middle) < wanted[l])
                low = middle;
            else
                high = middle;
        }
        hidden->sharpness[l] = (float)MAX(high, 1e-3);
    }
    hidden->weighted = true;
    return scores != NULL;
}
